//! The node selector and the required node affinity must both hold.

use super::NodeView;
use crate::model::PodClass;

pub(crate) fn allows(class: &PodClass, node: &NodeView<'_>) -> bool {
    class
        .node_selector
        .iter()
        .all(|(key, value)| node.labels.get(key) == Some(value))
        && class
            .node_affinity
            .as_ref()
            .is_none_or(|affinity| affinity.matches(node.name, node.labels))
}

/// The weights of the preferred terms that hold, together.
pub(crate) fn preferred(class: &PodClass, node: &NodeView<'_>) -> i32 {
    let wishes = class.preferences.nodes.iter();
    let met = wishes.filter(|(_, term)| term.matches(node.name, node.labels));
    met.fold(0, |sum, (weight, _)| sum.saturating_add(*weight))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{LabelOperator, LabelRequirement, Labels, NodeSelector, NodeSelectorTerm};

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn zone(value: &str) -> NodeSelector {
        let requirement = LabelRequirement {
            key: "zone".into(),
            operator: LabelOperator::In,
            values: vec![value.into()],
        };
        NodeSelector {
            terms: vec![NodeSelectorTerm {
                match_expressions: vec![requirement],
                match_fields: vec![],
            }],
        }
    }

    #[test]
    fn cases() {
        let node = labels(&[("zone", "a"), ("disk", "ssd")]);
        for (selector, affinity, expected, why) in [
            (labels(&[]), None, true, "no wish"),
            (labels(&[("disk", "ssd")]), None, true, "a selector that holds"),
            (labels(&[("disk", "hdd")]), None, false, "another value"),
            (labels(&[("gpu", "yes")]), None, false, "a missing label"),
            (
                labels(&[("disk", "ssd"), ("zone", "b")]),
                None,
                false,
                "half of a selector",
            ),
            (labels(&[]), Some(zone("a")), true, "an affinity that holds"),
            (labels(&[]), Some(zone("b")), false, "one that does not"),
            (
                labels(&[("disk", "ssd")]),
                Some(zone("b")),
                false,
                "the selector alone is not enough",
            ),
            (
                labels(&[("disk", "hdd")]),
                Some(zone("a")),
                false,
                "nor is the affinity",
            ),
            (
                labels(&[]),
                Some(NodeSelector::default()),
                false,
                "an affinity without terms holds nowhere",
            ),
        ] {
            let class = PodClass {
                node_selector: selector,
                node_affinity: affinity,
                ..PodClass::default()
            };
            let view = NodeView {
                name: "n",
                labels: &node,
                taints: &[],
                unschedulable: false,
            };
            assert_eq!(allows(&class, &view), expected, "{why}");
        }
    }
}
