//! Why a class gets no place: one code, and a text that says it for every group.

use policy_sdk::scale_up::Snapshot;
use policy_sdk::what_if::{self, Addition, Question};
use policy_sdk::{ClassCount, Reason};

/// Groups that a text names; the rest is counted.
const NAMED_GROUPS: usize = 6;
/// Questions to the oracle in one decision: each names the rule that keeps a class from a group, which is
/// worth a little fuel and not a lot.
const QUESTIONS: u32 = 32;

/// Why one group takes no pod of the class, in the order of what helps the user most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Obstacle {
    /// Would fit, but all that may still come is spoken for.
    Full,
    /// Would fit, but the provider failed and the host waits.
    BackingOff,
    /// No template of the group can hold such a pod.
    NoFit,
}

/// Explains refusals within a budget of questions.
pub(crate) struct Refusals<'a> {
    snapshot: &'a Snapshot,
    questions: u32,
}

impl<'a> Refusals<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            questions: QUESTIONS,
        }
    }

    /// Why `left` pods of the class get nothing.
    pub(crate) fn explain(&mut self, class: u32, left: u64) -> Reason {
        let groups = &self.snapshot.catalogue.groups;
        if groups.is_empty() {
            return Reason::new("NoGroups", "there is no node group that may grow");
        }
        let obstacles: Vec<_> = (0..)
            .take(groups.len())
            .map(|group| self.obstacle(class, group))
            .collect();
        let cluster_full = self.snapshot.context.cluster_headroom == Some(0);
        let first = obstacles
            .iter()
            .map(|(obstacle, _)| *obstacle)
            .min()
            .unwrap_or(Obstacle::NoFit);
        let code = match first {
            Obstacle::NoFit => "NoGroupFits",
            _ if cluster_full => "ClusterFull",
            Obstacle::Full => "GroupsFull",
            Obstacle::BackingOff => "BackingOff",
        };
        let mut parts: Vec<String> = groups
            .iter()
            .zip(&obstacles)
            .take(NAMED_GROUPS)
            .map(|(group, (_, text))| format!("{}: {text}", group.name))
            .collect();
        if groups.len() > NAMED_GROUPS {
            parts.push(format!("and {} groups more", groups.len() - NAMED_GROUPS));
        }
        let subject = if left == 1 {
            "1 pod".to_owned()
        } else {
            format!("{left} pods")
        };
        Reason::new(code, format!("no place for {subject}: {}", parts.join("; ")))
    }

    fn obstacle(&mut self, class: u32, group: u32) -> (Obstacle, String) {
        let snapshot = self.snapshot;
        let row = &snapshot.catalogue.groups[group as usize];
        let mut fitting = snapshot
            .catalogue
            .templates_of(group)
            .filter(|(number, _)| snapshot.pending.pods_per_node(class, *number) > 0)
            .peekable();
        if fitting.peek().is_none() {
            return (Obstacle::NoFit, self.misfit(class, group));
        }
        if row.current >= row.max {
            return (Obstacle::Full, format!("at its maximum of {} nodes", row.max));
        }
        let waits: Vec<u64> = fitting.map(|(_, template)| template.backoff_ms).collect();
        match waits.iter().min() {
            Some(&wait) if wait > 0 => (
                Obstacle::BackingOff,
                format!("purchases failed, next try in {} s", wait.div_ceil(1000)),
            ),
            _ => (
                Obstacle::Full,
                "all that may still be bought is spoken for".to_owned(),
            ),
        }
    }

    /// Why no template of the group holds a pod of the class.
    fn misfit(&mut self, class: u32, group: u32) -> String {
        let snapshot = self.snapshot;
        let Some((first, _)) = snapshot.catalogue.templates_of(group).next() else {
            return "offers nothing to buy".to_owned();
        };
        if let Some(text) = self.too_big(class, group) {
            return text;
        }
        if self.questions == 0 {
            return "a scheduling rule keeps the pod away".to_owned();
        }
        self.questions -= 1;
        let question = Question::additions(
            vec![Addition {
                template: first,
                count: 1,
            }],
            vec![ClassCount { class, pods: 1 }],
        );
        match what_if::ask(&question).unplaced.first() {
            Some(leftover) => leftover.cause.text().to_owned(),
            None => "a scheduling rule keeps the pod away".to_owned(),
        }
    }

    /// The resource of which even the largest template has too little.
    fn too_big(&self, class: u32, group: u32) -> Option<String> {
        let snapshot = self.snapshot;
        let requests = snapshot.pending.requests_of(class);
        requests.iter().enumerate().find_map(|(resource, &wanted)| {
            let offered = snapshot
                .catalogue
                .templates_of(group)
                .map(|(number, _)| {
                    snapshot
                        .catalogue
                        .allocatable_of(number)
                        .get(resource)
                        .copied()
                        .unwrap_or(0)
                })
                .max()?;
            let name = snapshot
                .context
                .resource_names
                .get(resource)
                .map_or("resource", String::as_str);
            (wanted > offered).then(|| {
                format!(
                    "requests {} {name}, a new node offers {}",
                    quantity(resource, wanted),
                    quantity(resource, offered)
                )
            })
        })
    }
}

/// An amount as people read it.
fn quantity(resource: usize, amount: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    match resource {
        policy_sdk::resource::CPU => format!("{amount}m"),
        policy_sdk::resource::MEMORY | policy_sdk::resource::EPHEMERAL_STORAGE => {
            format!("{}Mi", amount / MIB)
        }
        _ => amount.to_string(),
    }
}
