//! The node must lie where every volume of the pod can be reached, or made.

use super::NodeView;
use crate::model::PodClass;

pub(super) fn allows(class: &PodClass, node: &NodeView<'_>) -> bool {
    class
        .volume_topology
        .iter()
        .all(|reachable| reachable.matches(node.name, node.labels))
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
            (vec![], true, "volumes that are reachable anywhere"),
            (vec![reachable_in(&["a"])], true, "a volume here"),
            (vec![reachable_in(&["b", "a"])], true, "a volume here and there"),
            (vec![reachable_in(&["b"])], false, "a volume elsewhere"),
            (
                vec![reachable_in(&["a"]), reachable_in(&["a", "b"])],
                true,
                "two volumes here",
            ),
            (
                vec![reachable_in(&["a"]), reachable_in(&["b"])],
                false,
                "one here, one elsewhere",
            ),
            (
                vec![NodeSelector::default()],
                false,
                "a volume that is not there yet",
            ),
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
