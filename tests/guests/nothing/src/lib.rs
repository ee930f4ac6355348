//! A policy that never proposes anything. With it a cluster gets no node and loses none.

use policy_sdk::{
    Description, NoConfig, NodeSelection, PolicyError, Rebalance, ScaleUp, node_selection, rebalance,
    scale_up,
};

struct Nothing;

fn description() -> Description {
    Description::new("nothing", "1.0.0", NoConfig::SCHEMA)
}

impl ScaleUp for Nothing {
    type Config = NoConfig;

    fn describe() -> Description {
        description()
    }

    fn decide(_: &scale_up::Snapshot, _: &NoConfig) -> Result<scale_up::Demand, PolicyError> {
        Ok(scale_up::Demand {
            groups: Vec::new(),
            rejections: Vec::new(),
        })
    }
}

impl NodeSelection for Nothing {
    type Config = NoConfig;

    fn describe() -> Description {
        description()
    }

    fn decide(_: &node_selection::Snapshot, _: &NoConfig) -> Result<node_selection::Mix, PolicyError> {
        Ok(node_selection::Mix {
            purchases: Vec::new(),
            rejections: Vec::new(),
        })
    }
}

impl Rebalance for Nothing {
    type Config = NoConfig;

    fn describe() -> Description {
        description()
    }

    fn decide(_: &rebalance::Snapshot, _: &NoConfig) -> Result<rebalance::Proposal, PolicyError> {
        Ok(rebalance::Proposal {
            steps: Vec::new(),
            kept: Vec::new(),
        })
    }
}

policy_sdk::export_scale_up!(Nothing);
policy_sdk::export_node_selection!(Nothing);
policy_sdk::export_rebalance!(Nothing);
