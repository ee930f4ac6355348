//! A policy that wants far too much: every pending pod in every group, and a thousand nodes of the first
//! template. What a group may grow to is the host's to guard.

use policy_sdk::node_selection::{Mix, Purchase};
use policy_sdk::scale_up::Demand;
use policy_sdk::{
    ClassCount, Description, GroupDemand, NoConfig, NodeSelection, PolicyError, Reason, ScaleUp,
    node_selection, scale_up,
};

struct Thousand;

fn description() -> Description {
    Description::new("thousand", "1.0.0", NoConfig::SCHEMA)
}

impl ScaleUp for Thousand {
    type Config = NoConfig;

    fn describe() -> Description {
        description()
    }

    fn decide(snapshot: &scale_up::Snapshot, _: &NoConfig) -> Result<Demand, PolicyError> {
        let pods: Vec<ClassCount> = (0..)
            .zip(&snapshot.pending.classes)
            .map(|(class, row)| ClassCount {
                class,
                pods: row.unplaced,
            })
            .collect();
        let demand = |group| GroupDemand {
            group,
            pods: pods.clone(),
            reason: Reason::new("Greed", "all of it"),
        };
        let groups = (0..).take(snapshot.catalogue.groups.len()).map(demand).collect();
        Ok(Demand {
            groups,
            rejections: Vec::new(),
        })
    }
}

impl NodeSelection for Thousand {
    type Config = NoConfig;

    fn describe() -> Description {
        description()
    }

    fn decide(_: &node_selection::Snapshot, _: &NoConfig) -> Result<Mix, PolicyError> {
        let reason = Reason::new("Greed", "a thousand nodes");
        let purchase = Purchase {
            template: 0,
            count: 1000,
            fallbacks: Vec::new(),
            reason,
        };
        Ok(Mix {
            purchases: vec![purchase],
            rejections: Vec::new(),
        })
    }
}

policy_sdk::export_scale_up!(Thousand);
policy_sdk::export_node_selection!(Thousand);
