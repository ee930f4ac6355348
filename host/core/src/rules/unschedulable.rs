//! A cordoned node takes only pods that tolerate the taint that stands for it.

use super::NodeView;
use crate::model::{PodClass, Taint, TaintEffect};

/// The taint that Kubernetes gives to cordoned nodes.
const CORDONED: &str = "node.kubernetes.io/unschedulable";

pub(super) fn allows(class: &PodClass, node: &NodeView<'_>) -> bool {
    !node.unschedulable || tolerates(class)
}

/// Whether pods of the class tolerate cordoned nodes.
pub(crate) fn tolerates(class: &PodClass) -> bool {
    let taint = Taint {
        key: CORDONED.to_owned(),
        value: String::new(),
        effect: TaintEffect::NoSchedule,
    };
    class
        .tolerations
        .iter()
        .any(|toleration| toleration.tolerates(&taint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Labels, Toleration, TolerationOperator::*};

    #[test]
    fn cases() {
        let toleration = |key: &str, operator, effect| Toleration {
            key: key.into(),
            operator,
            value: String::new(),
            effect,
        };
        let labels = Labels::new();
        for (cordoned, tolerations, expected, why) in [
            (false, vec![], true, "an open node"),
            (true, vec![], false, "a cordoned one"),
            (
                true,
                vec![toleration(CORDONED, Exists, None)],
                true,
                "tolerated by key",
            ),
            (
                true,
                vec![toleration(CORDONED, Equal, None)],
                true,
                "tolerated by its empty value",
            ),
            (
                true,
                vec![toleration("", Exists, None)],
                true,
                "tolerated with everything",
            ),
            (
                true,
                vec![toleration(CORDONED, Exists, Some(TaintEffect::NoSchedule))],
                true,
                "for this effect",
            ),
            (
                true,
                vec![toleration(CORDONED, Exists, Some(TaintEffect::NoExecute))],
                false,
                "for another effect",
            ),
            (
                true,
                vec![toleration("other", Exists, None)],
                false,
                "another key",
            ),
        ] {
            let class = PodClass {
                tolerations,
                ..PodClass::default()
            };
            let node = NodeView {
                name: "n",
                labels: &labels,
                taints: &[],
                unschedulable: cordoned,
            };
            assert_eq!(allows(&class, &node), expected, "{why}");
        }
    }
}
