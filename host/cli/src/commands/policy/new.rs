//! `policy new`: a project that builds and has a case that holds.

use super::sdk;
use crate::arguments::{Language, PolicyKind, PolicyNew};
use anyhow::{Context, bail};
use std::path::Path;

/// What projects of one kind share, whatever their language.
struct Shared {
    kind: &'static str,
    snapshot: &'static str,
    expectation: &'static str,
}

macro_rules! shared {
    ($kind:literal) => {
        Shared {
            kind: $kind,
            snapshot: include_str!(concat!("../../../templates/cases/", $kind, "/snapshot.yaml")),
            expectation: include_str!(concat!("../../../templates/cases/", $kind, "/expect.yaml")),
        }
    };
}

macro_rules! file {
    ($path:literal) => {
        include_str!(concat!("../../../templates/", $path))
    };
}

/// A file of a project: place and text.
type File = (&'static str, &'static str);

pub(super) fn run(options: &PolicyNew) -> anyhow::Result<()> {
    let folder = &options.path;
    let name = name(folder)?;
    let occupied = folder
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        bail!("{}: the folder is not empty; name another one", folder.display());
    }
    let shared = match options.kind {
        PolicyKind::ScaleUp => shared!("scale-up"),
        PolicyKind::NodeSelection => shared!("node-selection"),
        PolicyKind::Rebalance => shared!("rebalance"),
    };
    // The first case holds a policy to much less than the limit of production; an interpreter has to start first.
    let fuel = match options.lang {
        Language::Rust => "1000000",
        Language::Python | Language::Javascript => "1000000000",
    };
    let fill = |text: &str| {
        text.replace("{{name}}", &name)
            .replace("{{kind}}", shared.kind)
            .replace("{{fuel}}", fuel)
    };
    let mut files = own(options.lang, options.kind);
    files.extend([
        ("cases/first/snapshot.yaml", shared.snapshot),
        ("cases/first/expect.yaml", shared.expectation),
    ]);
    for (place, text) in files {
        write(&folder.join(place), &fill(text))?;
    }
    let vendored = sdk::FILES.iter().filter(|(place, _)| {
        // Other languages are written against the interface alone.
        options.lang == Language::Rust || place.starts_with("vendor/wit")
    });
    for (place, text) in vendored {
        write(&folder.join(place), text)?;
    }
    let tools = match options.lang {
        Language::Rust => "",
        Language::Python => "  pip install componentize-py\n",
        Language::Javascript => "  npm install\n",
    };
    super::super::print(&format!(
        "{name} is in {folder}. Next:\n  cd {folder}\n{tools}  vpsie-autoscaler policy test --build\n",
        folder = folder.display()
    ))
}

/// The files that a language has for itself.
fn own(lang: Language, kind: PolicyKind) -> Vec<File> {
    let source = match (lang, kind) {
        (Language::Rust, PolicyKind::ScaleUp) => file!("rust/scale-up/lib.rs.txt"),
        (Language::Rust, PolicyKind::NodeSelection) => file!("rust/node-selection/lib.rs.txt"),
        (Language::Rust, PolicyKind::Rebalance) => file!("rust/rebalance/lib.rs.txt"),
        (Language::Python, PolicyKind::ScaleUp) => file!("python/scale-up/app.py.txt"),
        (Language::Python, PolicyKind::NodeSelection) => file!("python/node-selection/app.py.txt"),
        (Language::Javascript, PolicyKind::ScaleUp) => file!("javascript/scale-up/policy.js.txt"),
        (Language::Javascript, PolicyKind::NodeSelection) => {
            file!("javascript/node-selection/policy.js.txt")
        }
        (Language::Python, PolicyKind::Rebalance) => file!("python/rebalance/app.py.txt"),
        (Language::Javascript, PolicyKind::Rebalance) => file!("javascript/rebalance/policy.js.txt"),
    };
    let schema = match kind {
        PolicyKind::ScaleUp => file!("rust/scale-up/config.schema.json"),
        PolicyKind::NodeSelection => file!("rust/node-selection/config.schema.json"),
        PolicyKind::Rebalance => file!("rust/rebalance/config.schema.json"),
    };
    let guest = [
        ("policy.json", "{ \"kind\": \"{{kind}}\" }\n"),
        (".gitignore", "/target\n/node_modules\n__pycache__\n"),
    ];
    match lang {
        Language::Rust => vec![
            ("Cargo.toml", file!("rust/Cargo.toml.txt")),
            (".gitignore", file!("rust/gitignore.txt")),
            ("README.md", file!("rust/README.md.txt")),
            ("config.schema.json", schema),
            ("src/lib.rs", source),
        ],
        Language::Python => [
            &[("app.py", source), ("README.md", file!("python/README.md.txt"))][..],
            &guest,
        ]
        .concat(),
        Language::Javascript => [
            &[
                ("policy.js", source),
                ("package.json", file!("javascript/package.json.txt")),
                ("README.md", file!("javascript/README.md.txt")),
            ][..],
            &guest,
        ]
        .concat(),
    }
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    let folder = file.parent().context("a file lies in a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))
}

/// The name of the project: that of its folder, which must do as a name of a crate.
fn name(folder: &Path) -> anyhow::Result<String> {
    let name = folder
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let good = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(|character| {
            character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-'
        });
    if !good {
        bail!("{name:?} cannot be the name of a project: small letters, digits and `-`, a letter first");
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for (folder, expected) in [
            ("my-policy", Some("my-policy")),
            ("/somewhere/p2", Some("p2")),
            ("2p", None),
            ("My", None),
            ("a b", None),
            ("..", None),
        ] {
            assert_eq!(name(Path::new(folder)).ok().as_deref(), expected, "{folder}");
        }
    }

    #[test]
    fn a_policy_has_the_same_options_in_every_language() {
        for kind in [
            PolicyKind::ScaleUp,
            PolicyKind::NodeSelection,
            PolicyKind::Rebalance,
        ] {
            let file = |lang: Language, place: &str| {
                let files = own(lang, kind);
                let (_, text) = files.into_iter().find(|(name, _)| *name == place).unwrap();
                text
            };
            let schema = file(Language::Rust, "config.schema.json").trim_end();
            for (lang, place) in [(Language::Python, "app.py"), (Language::Javascript, "policy.js")] {
                assert!(file(lang, place).contains(schema), "{lang:?} {kind:?}");
            }
        }
    }
}
