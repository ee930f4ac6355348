//! A policy whose answers cannot be: things that were not in the question, and more of them than fits.

use policy_sdk::node_selection::{Mix, Purchase};
use policy_sdk::rebalance::{Action, Proposal, Step};
use policy_sdk::scale_up::Demand;
use policy_sdk::{
    ClassCount, Description, GroupDemand, NoConfig, NodeSelection, PolicyError, Reason, Rebalance, ScaleUp,
    node_selection, rebalance, scale_up,
};

struct Garbage;

fn description() -> Description {
    Description::new("garbage", "1.0.0", NoConfig::SCHEMA)
}

fn reason() -> Reason {
    Reason::new("Garbage", "there is no reason")
}

impl ScaleUp for Garbage {
    type Config = NoConfig;

    fn describe() -> Description {
        description()
    }

    /// Pods of a class that does not exist, for a group that does not exist.
    fn decide(_: &scale_up::Snapshot, _: &NoConfig) -> Result<Demand, PolicyError> {
        let pods = vec![ClassCount {
            class: u32::MAX,
            pods: u32::MAX,
        }];
        Ok(Demand {
            groups: vec![GroupDemand {
                group: u32::MAX,
                pods,
                reason: reason(),
            }],
            rejections: Vec::new(),
        })
    }
}

impl NodeSelection for Garbage {
    type Config = NoConfig;

    fn describe() -> Description {
        description()
    }

    /// A list that is longer than any plan.
    fn decide(_: &node_selection::Snapshot, _: &NoConfig) -> Result<Mix, PolicyError> {
        let purchase = |_| Purchase {
            template: 0,
            count: 1,
            fallbacks: Vec::new(),
            reason: reason(),
        };
        Ok(Mix {
            purchases: (0..200_000).map(purchase).collect(),
            rejections: Vec::new(),
        })
    }
}

impl Rebalance for Garbage {
    type Config = NoConfig;

    fn describe() -> Description {
        description()
    }

    /// The removal of a node that is not there.
    fn decide(snapshot: &rebalance::Snapshot, _: &NoConfig) -> Result<Proposal, PolicyError> {
        let beyond = u32::try_from(snapshot.fleet.names.len()).unwrap_or(u32::MAX);
        Ok(Proposal {
            steps: vec![Step {
                action: Action::Remove(beyond),
                batch: 0,
                reason: reason(),
            }],
            kept: Vec::new(),
        })
    }
}

policy_sdk::export_scale_up!(Garbage);
policy_sdk::export_node_selection!(Garbage);
policy_sdk::export_rebalance!(Garbage);
