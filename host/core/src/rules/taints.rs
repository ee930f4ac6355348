//! Every taint that keeps pods away (`NoSchedule`, `NoExecute`) must be tolerated.

use super::NodeView;
use crate::model::{PodClass, TaintEffect};

pub(crate) fn allows(class: &PodClass, node: &NodeView<'_>) -> bool {
    node.taints
        .iter()
        .filter(|taint| taint.effect != TaintEffect::PreferNoSchedule)
        .all(|taint| {
            class
                .tolerations
                .iter()
                .any(|toleration| toleration.tolerates(taint))
        })
}

/// How many taints that only discourage are not tolerated.
pub(crate) fn discouraging(class: &PodClass, node: &NodeView<'_>) -> u32 {
    let tolerated = |taint| {
        class
            .tolerations
            .iter()
            .any(|toleration| toleration.tolerates(taint))
    };
    let soft = node
        .taints
        .iter()
        .filter(|taint| taint.effect == TaintEffect::PreferNoSchedule && !tolerated(taint));
    u32::try_from(soft.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Labels, Taint, TaintEffect::*, Toleration, TolerationOperator, TolerationOperator::*,
    };

    fn taint(key: &str, value: &str, effect: TaintEffect) -> Taint {
        Taint {
            key: key.into(),
            value: value.into(),
            effect,
        }
    }

    fn tolerate(
        key: &str,
        operator: TolerationOperator,
        value: &str,
        effect: Option<TaintEffect>,
    ) -> Toleration {
        Toleration {
            key: key.into(),
            operator,
            value: value.into(),
            effect,
        }
    }

    #[test]
    fn cases() {
        let labels = Labels::new();
        let gpu = || taint("gpu", "yes", NoSchedule);
        for (taints, tolerations, expected, why) in [
            (vec![], vec![], true, "no taint"),
            (vec![gpu()], vec![], false, "an untolerated taint"),
            (
                vec![taint("gpu", "yes", PreferNoSchedule)],
                vec![],
                true,
                "a wish is no rule",
            ),
            (
                vec![taint("gpu", "yes", NoExecute)],
                vec![],
                false,
                "NoExecute keeps away too",
            ),
            (
                vec![gpu()],
                vec![tolerate("gpu", Equal, "yes", Some(NoSchedule))],
                true,
                "tolerated exactly",
            ),
            (
                vec![gpu()],
                vec![tolerate("gpu", Equal, "no", Some(NoSchedule))],
                false,
                "another value",
            ),
            (
                vec![gpu()],
                vec![tolerate("gpu", Exists, "", None)],
                true,
                "any value, any effect",
            ),
            (
                vec![gpu()],
                vec![tolerate("gpu", Exists, "", Some(NoExecute))],
                false,
                "another effect",
            ),
            (
                vec![gpu()],
                vec![tolerate("", Exists, "", None)],
                true,
                "tolerates everything",
            ),
            (
                vec![gpu()],
                vec![tolerate("", Exists, "", Some(NoExecute))],
                false,
                "every NoExecute only",
            ),
            (
                vec![gpu(), taint("spot", "", NoSchedule)],
                vec![tolerate("gpu", Exists, "", None)],
                false,
                "one of two is not enough",
            ),
            (
                vec![gpu(), taint("spot", "", NoSchedule)],
                vec![
                    tolerate("gpu", Exists, "", None),
                    tolerate("spot", Equal, "", None),
                ],
                true,
                "both",
            ),
        ] {
            let class = PodClass {
                tolerations,
                ..PodClass::default()
            };
            let node = NodeView {
                name: "n",
                labels: &labels,
                taints: &taints,
                unschedulable: false,
            };
            assert_eq!(allows(&class, &node), expected, "{why}");
        }
    }
}
