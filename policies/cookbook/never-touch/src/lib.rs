//! Never touch: idle nodes go, but not those of node groups that carry a label of their owner's choice.
//!
//! The label is an annotation of the NodeGroup: that is what a policy sees of a group. A single node is kept by the
//! host, whatever policies say, where it carries `cluster-autoscaler.kubernetes.io/scale-down-disabled`.

use policy_sdk::rebalance::{Action, Kept, NodeFlags, Proposal, Snapshot, Step};
use policy_sdk::{Description, PolicyError, Reason, Rebalance};
use serde::Deserialize;

struct NeverTouch;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Config {
    annotation: String,
    idle_seconds: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            annotation: "example.com/never-touch".to_owned(),
            idle_seconds: 600,
        }
    }
}

impl Rebalance for NeverTouch {
    type Config = Config;

    fn describe() -> Description {
        Description::new(
            "never-touch",
            env!("CARGO_PKG_VERSION"),
            include_str!("../config.schema.json"),
        )
    }

    fn decide(snapshot: &Snapshot, config: &Config) -> Result<Proposal, PolicyError> {
        let fleet = &snapshot.fleet;
        let is_marked = |group: u32| {
            let group = snapshot.catalogue.groups.get(group as usize);
            group.is_some_and(|group| {
                group
                    .annotations
                    .iter()
                    .any(|(name, _)| *name == config.annotation)
            })
        };
        let mut proposal = Proposal {
            steps: Vec::new(),
            kept: Vec::new(),
        };
        let busy = NodeFlags::BLOCKED | NodeFlags::UPCOMING | NodeFlags::LEAVING;
        for (row, flags) in (0..).zip(&fleet.flags) {
            let at = row as usize;
            if flags.intersects(busy) || fleet.pods_to_move[at] > 0 {
                continue;
            }
            let keep = if is_marked(fleet.group[at]) {
                Some(Reason::new(
                    "NeverTouch",
                    format!("its node group carries {}", config.annotation),
                ))
            } else if fleet.idle_ms[at] / 1000 < config.idle_seconds {
                Some(Reason::new(
                    "JustIdle",
                    format!("not idle for {} s yet", config.idle_seconds),
                ))
            } else {
                None
            };
            match keep {
                Some(reason) => proposal.kept.push(Kept { node: row, reason }),
                None => proposal.steps.push(Step {
                    action: Action::Remove(row),
                    batch: 0,
                    reason: Reason::new("Idle", "no pod to move"),
                }),
            }
        }
        Ok(proposal)
    }
}

policy_sdk::export_rebalance!(NeverTouch);
