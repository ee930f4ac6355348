//! Which nodes look superfluous, and what keeps one of them.

use crate::Config;
use policy_sdk::Reason;
use policy_sdk::rebalance::{Fleet, NodeFlags, Snapshot};

/// `scaleDownPolicy.cpuThreshold` and `.memoryThreshold` of the node group, in percent.
const CPU_THRESHOLD: &str = "scale-down-cpu-threshold";
const MEMORY_THRESHOLD: &str = "scale-down-memory-threshold";

/// How superfluous a node looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Appearance {
    /// No pod to move.
    Idle,
    /// Requests below the configured share.
    Underused,
}

/// A row of the fleet; columns that are too short read as the value that keeps the node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node<'a> {
    pub(crate) number: u32,
    pub(crate) name: &'a str,
    pub(crate) group: u32,
    pub(crate) hourly_micros: u64,
    pub(crate) busiest_permille: u32,
    cpu_permille: u32,
    memory_permille: u32,
    pub(crate) pods_to_move: u32,
    pub(crate) age_ms: u64,
    pub(crate) idle_ms: u64,
    pub(crate) not_ready_ms: u64,
    pub(crate) flags: NodeFlags,
}

pub(crate) fn nodes(fleet: &Fleet) -> impl Iterator<Item = Node<'_>> {
    (0..).zip(&fleet.names).filter_map(|(number, name)| {
        let row = number as usize;
        Some(Node {
            number,
            name,
            group: *fleet.group.get(row)?,
            hourly_micros: *fleet.hourly_micros.get(row)?,
            busiest_permille: *fleet.cpu_permille.get(row)?.max(fleet.memory_permille.get(row)?),
            cpu_permille: *fleet.cpu_permille.get(row)?,
            memory_permille: *fleet.memory_permille.get(row)?,
            pods_to_move: *fleet.pods_to_move.get(row)?,
            age_ms: *fleet.age_ms.get(row)?,
            idle_ms: *fleet.idle_ms.get(row)?,
            not_ready_ms: *fleet.not_ready_ms.get(row)?,
            flags: *fleet.flags.get(row)?,
        })
    })
}

impl Node<'_> {
    /// None for a node that does its work, or that is coming or going.
    pub(crate) fn appearance(&self, snapshot: &Snapshot, config: &Config) -> Option<Appearance> {
        if self.flags.intersects(NodeFlags::LEAVING | NodeFlags::UPCOMING) {
            return None;
        }
        if self.pods_to_move == 0 {
            return Some(Appearance::Idle);
        }
        let cpu = self.threshold(snapshot, CPU_THRESHOLD, config);
        let memory = self.threshold(snapshot, MEMORY_THRESHOLD, config);
        (self.cpu_permille < cpu && self.memory_permille < memory).then_some(Appearance::Underused)
    }

    /// The node group's own threshold, where it sets one; else that of the policy's configuration.
    fn threshold(&self, snapshot: &Snapshot, key: &str, config: &Config) -> u32 {
        let group = snapshot.catalogue.groups.get(self.group as usize);
        let set = group.and_then(|group| group.annotations.iter().find(|(name, _)| name == key));
        let percent = set.and_then(|(_, value)| value.parse::<u32>().ok());
        percent.map_or(config.underused_permille, |percent| percent.saturating_mul(10))
    }

    /// What keeps the node whatever the others do.
    pub(crate) fn obstacle(
        &self,
        appearance: Appearance,
        snapshot: &Snapshot,
        config: &Config,
    ) -> Option<Reason> {
        if self.flags.contains(NodeFlags::BLOCKED) {
            return Some(Reason::new(
                "Blocked",
                "the node opted out, or one of its pods may not move",
            ));
        }
        if snapshot.waiting_pods > 0 && !config.while_pods_wait {
            return Some(Reason::new(
                "PodsWait",
                format!("{} pods wait for a place", snapshot.waiting_pods),
            ));
        }
        match appearance {
            Appearance::Idle => too_soon("IdleTooShort", "idle for", self.idle_ms, config.idle_seconds),
            Appearance::Underused => {
                let group = snapshot.catalogue.groups.get(self.group as usize);
                let grown = group
                    .and_then(|group| group.since_scale_up_ms)
                    .unwrap_or(u64::MAX);
                too_soon("TooYoung", "here for", self.age_ms, config.settle_seconds).or_else(|| {
                    too_soon(
                        "GroupJustGrew",
                        "its group grew before",
                        grown,
                        config.settle_seconds,
                    )
                })
            }
        }
    }
}

fn too_soon(code: &str, what: &str, elapsed_ms: u64, seconds: u32) -> Option<Reason> {
    let elapsed = elapsed_ms / 1000;
    (elapsed < u64::from(seconds))
        .then(|| Reason::new(code, format!("{what} {elapsed} s, {seconds} s are asked for")))
}
