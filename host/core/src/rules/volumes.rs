//! The node must lie where the pod's volumes can be reached.

use super::NodeView;
use crate::model::PodClass;

pub(super) fn allows(class: &PodClass, node: &NodeView<'_>) -> bool {
    class
        .volume_topology
        .as_ref()
        .is_none_or(|topology| topology.matches(node.name, node.labels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LabelOperator, LabelRequirement, Labels, NodeSelector, NodeSelectorTerm};

    #[test]
    fn cases() {
        let reachable_in = |zones: &[&str]| NodeSelector {
            terms: vec![NodeSelectorTerm {
                match_expressions: vec![LabelRequirement {
                    key: "zone".into(),
                    operator: LabelOperator::In,
                    values: zones.iter().map(|zone| (*zone).to_owned()).collect(),
                }],
                match_fields: vec![],
            }],
        };
        let labels = Labels::from([("zone".to_owned(), "a".to_owned())]);
        for (topology, expected, why) in [
            (None, true, "volumes that are reachable anywhere"),
            (Some(reachable_in(&["a"])), true, "a volume here"),
            (Some(reachable_in(&["b", "a"])), true, "a volume here and there"),
            (Some(reachable_in(&["b"])), false, "a volume elsewhere"),
        ] {
            let class = PodClass {
                volume_topology: topology,
                ..PodClass::default()
            };
            let node = NodeView {
                name: "n",
                labels: &labels,
                taints: &[],
                unschedulable: false,
            };
            assert_eq!(allows(&class, &node), expected, "{why}");
        }
    }
}
