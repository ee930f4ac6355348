//! Taints that a new node carries at its start only. They go by themselves, so nothing is decided by them: neither what
//! a group buys nor a node that is ready but for them is closed to pods on their account.

use autoscaler_core::model::Taint;

/// Those that every installation knows; a name with a slash at its end stands for all that begin so.
const KNOWN: [&str; 6] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/network-unavailable",
    "node.cloudprovider.kubernetes.io/uninitialized",
    autoscaler_api::labels::STARTUP_TAINT,
    "startup-taint.cluster-autoscaler.kubernetes.io/",
    "ignore-taint.cluster-autoscaler.kubernetes.io/",
];

/// Whether the taint is one of those, or of these `others` that the operator names.
pub(super) fn passes(taint: &Taint, others: &[String]) -> bool {
    let known = KNOWN.into_iter().chain(others.iter().map(String::as_str));
    known.into_iter().any(|known| {
        let begins = known.ends_with('/') && taint.key.starts_with(known);
        begins || taint.key == known
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoscaler_core::model::TaintEffect;

    #[test]
    fn which_taints_pass() {
        let others = ["node.cilium.io/agent-not-ready", "storage.example.com/"].map(str::to_owned);
        for (key, alone, with_others) in [
            ("node.kubernetes.io/not-ready", true, true),
            ("node.kubernetes.io/not-ready/", false, false),
            ("node.kubernetes.io/unschedulable", false, false),
            ("startup-taint.cluster-autoscaler.kubernetes.io/mine", true, true),
            ("node.cilium.io/agent-not-ready", false, true),
            ("node.cilium.io/agent-not-ready-yet", false, false),
            ("storage.example.com/starting", false, true),
            ("storage.example.com", false, false),
            ("", false, false),
        ] {
            let taint = Taint {
                key: key.to_owned(),
                value: String::new(),
                effect: TaintEffect::NoSchedule,
            };
            assert_eq!(passes(&taint, &[]), alone, "{key}");
            assert_eq!(passes(&taint, &others), with_others, "{key}, with the operator's");
        }
    }
}
