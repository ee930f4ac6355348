//! A policy that panics whatever it is asked.

use policy_sdk::{
    Description, NoConfig, NodeSelection, PolicyError, Rebalance, ScaleUp, node_selection, rebalance,
    scale_up,
};

struct Trap;

impl ScaleUp for Trap {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new("trap", "1.0.0", NoConfig::SCHEMA)
    }

    fn decide(_: &scale_up::Snapshot, _: &NoConfig) -> Result<scale_up::Demand, PolicyError> {
        panic!("nothing is decided here")
    }
}

impl NodeSelection for Trap {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new("trap", "1.0.0", NoConfig::SCHEMA)
    }

    fn decide(_: &node_selection::Snapshot, _: &NoConfig) -> Result<node_selection::Mix, PolicyError> {
        panic!("nothing is decided here")
    }
}

impl Rebalance for Trap {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new("trap", "1.0.0", NoConfig::SCHEMA)
    }

    fn decide(_: &rebalance::Snapshot, _: &NoConfig) -> Result<rebalance::Proposal, PolicyError> {
        panic!("nothing is decided here")
    }
}

policy_sdk::export_scale_up!(Trap);
policy_sdk::export_node_selection!(Trap);
policy_sdk::export_rebalance!(Trap);
