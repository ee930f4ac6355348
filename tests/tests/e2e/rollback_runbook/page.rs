//! The commands of the page by their headings, those of the runbook that it answers, and what stands for a name there.

use super::desk::Names;
use crate::typing::commands;
use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};

/// Namespace of the controller and its objects.
pub(super) const SYSTEM: &str = "kube-system";

/// A command of the runbook that our page answers.
pub(super) struct Theirs {
    /// As it stands there, with our words for names.
    pub(super) says: &'static str,
    /// What kubectl answers where its syntax is wrong, and the right form.
    pub(super) wrong: Option<(&'static str, &'static str)>,
}

const fn right(says: &'static str) -> Theirs {
    Theirs { says, wrong: None }
}

/// Every command of that runbook, in its order. Those that our page has too are typed where it has them.
pub(super) const CONTRACT: [Theirs; 25] = [
    right(
        "kubectl exec -n kube-system deployment/vpsie-autoscaler -- curl -s localhost:8080/metrics | grep rebalancer",
    ),
    right(
        "kubectl logs -n kube-system deployment/vpsie-autoscaler --tail=500 | grep -i \"rebalanc\\|rollback\\|migration\"",
    ),
    right("kubectl get nodes | grep SchedulingDisabled"),
    right("kubectl describe nodes | grep -A 5 \"Conditions\""),
    right("kubectl get vpsienodes -A -o wide"),
    right("kubectl describe vpsienodes -A | grep -E \"Phase|Reason\""),
    right("kubectl get pods -A -o wide | grep -v Running"),
    right("kubectl get vpsienodes -A | grep -E \"Provisioning|Failed\""),
    right("kubectl get pods -A -o wide --field-selector spec.nodeName=NODE"),
    right("kubectl get pdb -A"),
    right("kubectl drain NODE --ignore-daemonsets --delete-emptydir-data --force"),
    right("kubectl get events -A | grep -i \"failed\\|error\" | head -20"),
    right("kubectl describe pod POD -n NAMESPACE"),
    right("kubectl logs -n kube-system deployment/vpsie-autoscaler | grep -i \"timeout\""),
    right("kubectl get vpsienodes -A -l rebalance-operation=in-progress"),
    right("kubectl uncordon NODE"),
    right("kubectl get nodes | grep NODE"),
    right("kubectl get vpsienodes -A --sort-by=.metadata.creationTimestamp | tail -5"),
    right("kubectl delete vpsienode NEW-NODE -n NAMESPACE"),
    right("kubectl get pods -A | grep -v Running"),
    right("kubectl get pods -A --field-selector status.phase=Pending"),
    Theirs {
        says: "kubectl label vpsienodes -A rebalance-operation-",
        wrong: Some((
            "resource(s) were provided, but no name was specified",
            "kubectl label vpsienodes -A -l rebalance-operation rebalance-operation-",
        )),
    },
    right("kubectl label nodes -l rebalance-operation rebalance-operation-"),
    right("kubectl get nodes -o wide"),
    right("kubectl get pods -A | grep -v Running | head"),
];

/// The page.
pub(super) struct Page {
    sections: BTreeMap<String, Vec<String>>,
}

impl Page {
    pub(super) fn new(text: &str) -> Self {
        let parts = text.split("\n## ").skip(1);
        let sections = parts.map(|part| {
            let heading = part.lines().next().unwrap_or_default().to_owned();
            (heading, commands(part))
        });
        Self {
            sections: sections.collect(),
        }
    }

    /// The commands under a heading.
    pub(super) fn section(&self, heading: &str) -> Result<Vec<String>> {
        let found = self.sections.get(heading).cloned();
        found.with_context(|| format!("the page has no section {heading:?}"))
    }

    /// Those that only look, without the pipes' ends that only the section's own trouble has.
    pub(super) fn looks(&self, heading: &str) -> Result<Vec<String>> {
        Ok(self
            .section(heading)?
            .into_iter()
            .filter(|line| looks(line))
            .collect())
    }

    /// Those that change something.
    pub(super) fn deeds(&self, heading: &str) -> Result<Vec<String>> {
        Ok(self
            .section(heading)?
            .into_iter()
            .filter(|line| !looks(line))
            .collect())
    }

    /// The command under a heading that has this in it.
    pub(super) fn one(&self, heading: &str, part: &str) -> Result<String> {
        let found = self
            .section(heading)?
            .into_iter()
            .find(|line| line.contains(part));
        found.with_context(|| format!("no command of {heading:?} has {part:?}"))
    }

    /// What is typed in the whole play, each once.
    pub(super) fn all(&self) -> BTreeSet<String> {
        let ours = self.sections.values().flatten().cloned();
        ours.chain(CONTRACT.iter().map(|theirs| theirs.says.to_owned()))
            .collect()
    }

    /// Commands of the other runbook that only look and that no section of ours has.
    pub(super) fn theirs(&self) -> Vec<String> {
        let ours: BTreeSet<&String> = self.sections.values().flatten().collect();
        let theirs = CONTRACT.iter().map(|theirs| theirs.says.to_owned());
        theirs
            .filter(|line| looks(line) && !ours.contains(line))
            .collect()
    }
}

/// Whether a command only looks.
pub(super) fn looks(command: &str) -> bool {
    let verbs = ["get", "describe", "logs"];
    verbs
        .iter()
        .any(|verb| command.starts_with(&format!("kubectl {verb} ")))
        || command.contains("-- curl")
        || command.contains("vpsie-autoscaler orphans")
}

/// A command with the names of this system in it. What is done inside the pod there is done beside the process here:
/// KWOK runs no containers.
pub(super) fn here(command: &str, names: &Names, process: &Process) -> String {
    let words = [
        ("pod POD -n NAMESPACE", format!("pod {}", names.pod)),
        ("vpsienode NAME", format!("vpsienode {}", names.new)),
        ("nodegroup NAME", format!("nodegroup {}", names.tier)),
        ("-n NAMESPACE", format!("-n {SYSTEM}")),
    ];
    let line = words
        .iter()
        .fold(command.to_owned(), |line, (from, to)| line.replace(from, to));
    let inside = "kubectl exec -n kube-system deployment/vpsie-autoscaler --";
    let rollback = format!("rollback {} -n {SYSTEM}", names.operation);
    let places = [
        (
            format!("{inside} curl -s localhost:8080"),
            format!("curl -s http://{}", process.address),
        ),
        (
            format!("{inside} vpsie-autoscaler orphans"),
            process.program.replace("COMMAND", "orphans"),
        ),
        (
            format!("{inside} vpsie-autoscaler {rollback}"),
            process.program.replace("COMMAND", &rollback),
        ),
        (
            "kubectl logs -n kube-system deployment/vpsie-autoscaler".to_owned(),
            format!("cat {}", process.log),
        ),
        // The process logs more here than in a cluster at rest.
        (" --tail=500".to_owned(), " | tail -n 20000".to_owned()),
    ];
    places
        .iter()
        .fold(names.fill(&line), |line, (from, to)| line.replace(from, to))
}

/// Where the process is, and how its program is asked: a line with COMMAND in it.
pub(super) struct Process {
    pub(super) address: String,
    pub(super) log: String,
    pub(super) program: String,
}
