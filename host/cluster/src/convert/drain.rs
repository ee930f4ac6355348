//! What a drain does with some pods: the group's word, else the installation's.

use autoscaler_api::node_group::{DrainPolicy, PodTreatment, SingleReplica};
use autoscaler_api::{AutoscalerConfig, NodeGroup};
use autoscaler_core::model::{DrainRules, Treatment};

/// What the group says, else what the installation says.
fn said<T>(
    config: Option<&AutoscalerConfig>,
    group: &NodeGroup,
    field: fn(&DrainPolicy) -> Option<T>,
) -> Option<T> {
    let group = group.spec.scale_down_policy.as_ref();
    let group = group.and_then(|down| down.drain.as_ref());
    let config = config.and_then(|config| config.spec.rebalancer.as_ref()?.drain.as_ref());
    group.and_then(field).or_else(|| config.and_then(field))
}

/// Whether the only pod of a Deployment has its successor first.
pub(crate) fn surges(config: Option<&AutoscalerConfig>, group: &NodeGroup) -> bool {
    said(config, group, |drain| drain.single_replica).unwrap_or_default() == SingleReplica::Surge
}

pub(crate) fn drain_rules(config: Option<&AutoscalerConfig>, group: &NodeGroup) -> DrainRules {
    let said = |field: fn(&DrainPolicy) -> Option<PodTreatment>, default: Treatment| {
        said(config, group, field).map_or(default, |said| match said {
            PodTreatment::Evict => Treatment::Evict,
            PodTreatment::Keep => Treatment::Keep,
        })
    };
    let default = DrainRules::default();
    DrainRules {
        empty_dir: said(|policy| policy.empty_dir, default.empty_dir),
        host_path: said(|policy| policy.host_path, default.host_path),
        bare_pods: said(|policy| policy.bare_pods, default.bare_pods),
    }
}
