//! The crate graph is the architecture, so it is checked: arrows point down only, and the core knows no
//! runtime, no Kubernetes client, no clock, no randomness and no I/O, neither by a crate nor by the standard
//! library.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{talk, workspace::Workspace};

/// The crates of the product from the bottom to the top: each may use those above it in this list only.
const LAYERS: [&str; 13] = [
    "autoscaler-patterns",
    "autoscaler-core",
    "autoscaler-api",
    "vpsie-client",
    "autoscaler-registry",
    "autoscaler-cluster",
    "autoscaler-policy",
    "autoscaler-cases",
    "autoscaler-controllers",
    "simulated-kubernetes",
    "fake-vpsie",
    "autoscaler-simulation",
    "vpsie-autoscaler",
];

const CORE: &str = "autoscaler-core";

/// Crates that would bring in what the core must not know. A name that ends in `-` stands for a family.
const BANNED_CRATES: [&str; 26] = [
    "async-",
    "chrono",
    "fastrand",
    "futures",
    "futures-",
    "getrandom",
    "h2",
    "http",
    "hyper",
    "hyper-",
    "jiff",
    "k8s-",
    "kube",
    "kube-",
    "libc",
    "mio",
    "rand",
    "rand-",
    "reqwest",
    "rustix",
    "rustls",
    "socket2",
    "time",
    "tokio",
    "tokio-",
    "wasmtime",
];

/// The same by the standard library. Hash containers are here because their order is random.
const BANNED_WORDS: [&str; 13] = [
    "SystemTime",
    "Instant",
    "HashMap",
    "HashSet",
    "RandomState",
    "std::fs",
    "std::io",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::os",
    "std::sync::mpsc",
];

/// Checks both rules and reports every breach.
pub fn check(workspace: &Workspace) -> Result<()> {
    let mut metadata = workspace.cargo();
    metadata.args(["metadata", "--format-version=1", "--locked"]);
    let metadata: Value =
        serde_json::from_str(&talk::output(&mut metadata)?).context("reading cargo's metadata")?;
    let graph = Graph::read(&metadata)?;

    let mut breaches = graph.upward_arrows();
    breaches.extend(graph.banned_crates());
    breaches.extend(banned_words(&workspace.root.join("host/core/src"))?);
    if breaches.is_empty() {
        return Ok(());
    }
    bail!(
        "{} breaches of the dependency rule:\n  {}",
        breaches.len(),
        breaches.join("\n  ")
    )
}

/// Which package uses which, for normal dependencies (not those of tests and build scripts).
struct Graph {
    names: BTreeMap<String, String>,
    uses: BTreeMap<String, Vec<String>>,
}

impl Graph {
    fn read(metadata: &Value) -> Result<Self> {
        let text = |value: &Value| {
            value
                .as_str()
                .map(str::to_owned)
                .context("cargo's metadata has another shape")
        };
        let list = |value: &Value| {
            value
                .as_array()
                .cloned()
                .context("cargo's metadata has another shape")
        };
        let mut names = BTreeMap::new();
        for package in list(&metadata["packages"])? {
            names.insert(text(&package["id"])?, text(&package["name"])?);
        }
        let mut uses = BTreeMap::new();
        for node in list(&metadata["resolve"]["nodes"])? {
            let mut used = Vec::new();
            for dependency in list(&node["deps"])? {
                let kinds = list(&dependency["dep_kinds"])?;
                if kinds.iter().any(|kind| kind["kind"].is_null()) {
                    used.push(text(&dependency["pkg"])?);
                }
            }
            uses.insert(text(&node["id"])?, used);
        }
        Ok(Self { names, uses })
    }

    fn name<'a>(&'a self, id: &'a str) -> &'a str {
        self.names.get(id).map_or(id, String::as_str)
    }

    fn used_by(&self, id: &str) -> &[String] {
        self.uses.get(id).map_or(&[], Vec::as_slice)
    }

    fn id(&self, name: &str) -> Option<&str> {
        let same = |(_, of): &(&String, &String)| of.as_str() == name;
        self.names.iter().find(same).map(|(id, _)| id.as_str())
    }

    fn upward_arrows(&self) -> Vec<String> {
        let level = |name: &str| LAYERS.iter().position(|layer| *layer == name);
        let mut breaches = Vec::new();
        for (from, layer) in LAYERS.iter().enumerate() {
            let Some(id) = self.id(layer) else { continue };
            for used in self.used_by(id) {
                let used = self.name(used);
                if level(used).is_some_and(|to| to > from) {
                    breaches.push(format!("{layer} uses {used}, which lies above it"));
                }
            }
        }
        breaches
    }

    /// Everything the core reaches. What runs in the compiler (procedural macros and what they use) is let
    /// through by its harmlessness: none of the banned names is among it.
    fn banned_crates(&self) -> Vec<String> {
        let mut breaches = Vec::new();
        let mut seen = BTreeMap::new();
        let mut open: Vec<(String, String)> = self
            .id(CORE)
            .map(|id| (id.to_owned(), CORE.to_owned()))
            .into_iter()
            .collect();
        while let Some((id, path)) = open.pop() {
            if seen.insert(id.clone(), ()).is_some() {
                continue;
            }
            if banned_crate(self.name(&id)) {
                breaches.push(format!("the core reaches a banned crate: {path}"));
            }
            for used in self.used_by(&id) {
                open.push((used.clone(), format!("{path} → {}", self.name(used))));
            }
        }
        breaches
    }
}

fn banned_crate(name: &str) -> bool {
    let name = name.replace('_', "-");
    BANNED_CRATES.iter().any(|banned| {
        if banned.ends_with('-') {
            name.starts_with(banned)
        } else {
            name == *banned
        }
    })
}

fn banned_words(folder: &Path) -> Result<Vec<String>> {
    let mut breaches = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text =
                    fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
                breaches.extend(
                    banned_words_in(&text).map(|(line, word)| format!("{}:{line}: {word}", path.display())),
                );
            }
        }
    }
    breaches.sort();
    Ok(breaches)
}

/// The banned words outside comments, with their line numbers.
fn banned_words_in(text: &str) -> impl Iterator<Item = (usize, &'static str)> {
    text.lines().enumerate().flat_map(|(index, line)| {
        let code = line.split("//").next().unwrap_or_default();
        let found = BANNED_WORDS.iter().filter(move |word| has_word(code, word));
        found.map(move |word| (index + 1, *word))
    })
}

fn has_word(code: &str, word: &str) -> bool {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(word).any(|(at, _)| {
        let before = code[..at].chars().next_back();
        let after = code[at + word.len()..].chars().next();
        !before.is_some_and(part_of_a_name) && !after.is_some_and(part_of_a_name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn banned_words_are_found_in_code_and_not_in_comments_or_longer_names() {
        for (line, found) in [
            ("use std::time::Instant;", 1),
            ("let now = SystemTime::now(); // SystemTime", 1),
            ("use std::collections::{BTreeMap, HashMap};", 1),
            ("// an Instant would be read here", 0),
            ("struct InstantNoodles;", 0),
            ("use std::fmt;", 0),
            ("std::fs::read(path)", 1),
        ] {
            assert_eq!(banned_words_in(line).count(), found, "{line}");
        }
    }

    #[test]
    fn banned_crates_by_name_and_by_family() {
        for (name, banned) in [
            ("tokio", true),
            ("tokio-util", true),
            ("rand_chacha", true),
            ("kube-client", true),
            ("k8s-openapi", true),
            ("thiserror", false),
            ("timeless", false),
            ("serde", false),
        ] {
            assert_eq!(banned_crate(name), banned, "{name}");
        }
    }

    #[test]
    fn arrows_that_point_up_and_hidden_crates_are_breaches() {
        let node = |id: &str, uses: &[&str]| {
            let deps: Vec<Value> = uses
                .iter()
                .map(|pkg| serde_json::json!({ "pkg": pkg, "dep_kinds": [{ "kind": null }] }))
                .collect();
            serde_json::json!({ "id": id, "deps": deps })
        };
        let names = ["autoscaler-core", "autoscaler-api", "helper", "tokio"];
        let metadata = serde_json::json!({
            "packages": names.map(|name| serde_json::json!({ "id": name, "name": name })),
            "resolve": { "nodes": [
                node("autoscaler-core", &["helper", "autoscaler-api"]),
                node("autoscaler-api", &[]),
                node("helper", &["tokio"]),
                node("tokio", &[]),
            ] },
        });
        let graph = Graph::read(&metadata).unwrap();
        assert_eq!(
            graph.upward_arrows(),
            ["autoscaler-core uses autoscaler-api, which lies above it"]
        );
        assert_eq!(
            graph.banned_crates(),
            ["the core reaches a banned crate: autoscaler-core → helper → tokio"]
        );
    }
}
