//! A policy that never comes to an end.

use policy_sdk::{
    Description, NoConfig, NodeSelection, PolicyError, Rebalance, ScaleUp, node_selection, rebalance,
    scale_up,
};

struct Spin;

/// Counts for ever; the compiler cannot know that.
fn spin(mut number: u64) -> ! {
    loop {
        number = std::hint::black_box(number.wrapping_add(1));
    }
}

impl ScaleUp for Spin {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new("spin", "1.0.0", NoConfig::SCHEMA)
    }

    fn decide(snapshot: &scale_up::Snapshot, _: &NoConfig) -> Result<scale_up::Demand, PolicyError> {
        spin(snapshot.context.now_ms)
    }
}

impl NodeSelection for Spin {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new("spin", "1.0.0", NoConfig::SCHEMA)
    }

    fn decide(snapshot: &node_selection::Snapshot, _: &NoConfig) -> Result<node_selection::Mix, PolicyError> {
        spin(snapshot.context.now_ms)
    }
}

impl Rebalance for Spin {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new("spin", "1.0.0", NoConfig::SCHEMA)
    }

    fn decide(snapshot: &rebalance::Snapshot, _: &NoConfig) -> Result<rebalance::Proposal, PolicyError> {
        spin(snapshot.context.now_ms)
    }
}

policy_sdk::export_scale_up!(Spin);
policy_sdk::export_node_selection!(Spin);
policy_sdk::export_rebalance!(Spin);
