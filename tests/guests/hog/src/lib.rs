//! A policy that takes all the memory it can get.

use policy_sdk::{
    Description, NoConfig, NodeSelection, PolicyError, Rebalance, ScaleUp, node_selection, rebalance,
    scale_up,
};

struct Hog;

/// Takes memory and uses it, one MiB after the other.
fn hog() -> ! {
    let mut taken: Vec<Vec<u8>> = Vec::new();
    loop {
        taken.push(std::hint::black_box(vec![1; 1 << 20]));
    }
}

impl ScaleUp for Hog {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new("hog", "1.0.0", NoConfig::SCHEMA)
    }

    fn decide(_: &scale_up::Snapshot, _: &NoConfig) -> Result<scale_up::Demand, PolicyError> {
        hog()
    }
}

impl NodeSelection for Hog {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new("hog", "1.0.0", NoConfig::SCHEMA)
    }

    fn decide(_: &node_selection::Snapshot, _: &NoConfig) -> Result<node_selection::Mix, PolicyError> {
        hog()
    }
}

impl Rebalance for Hog {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new("hog", "1.0.0", NoConfig::SCHEMA)
    }

    fn decide(_: &rebalance::Snapshot, _: &NoConfig) -> Result<rebalance::Proposal, PolicyError> {
        hog()
    }
}

policy_sdk::export_scale_up!(Hog);
policy_sdk::export_node_selection!(Hog);
policy_sdk::export_rebalance!(Hog);
