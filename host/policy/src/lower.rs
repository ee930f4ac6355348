//! From the core's questions to the values that cross into a guest. Columns move as they are.

use crate::bindings::{node_selection, rebalance, scale_up, types, what_if};
use autoscaler_core::decision::{
    Catalogue, Cause, ClassCount, Context, Fleet, GroupDemand, NodeFlags, Pending, Reason, WhatIfOutcome,
};

pub(crate) fn scale_up(context: &Context, catalogue: &Catalogue, pending: &Pending) -> scale_up::Snapshot {
    scale_up::Snapshot {
        context: self::context(context),
        catalogue: self::catalogue(catalogue),
        pending: self::pending(pending),
    }
}

pub(crate) fn node_selection(
    context: &Context,
    catalogue: &Catalogue,
    pending: &Pending,
    demand: &[GroupDemand],
) -> node_selection::Snapshot {
    node_selection::Snapshot {
        context: self::context(context),
        catalogue: self::catalogue(catalogue),
        pending: self::pending(pending),
        demand: demand
            .iter()
            .map(|demand| types::GroupDemand {
                group: demand.group,
                pods: demand.pods.iter().copied().map(class_count).collect(),
                reason: reason(&demand.reason),
            })
            .collect(),
    }
}

pub(crate) fn rebalance(
    context: &Context,
    catalogue: &Catalogue,
    fleet: &Fleet,
    waiting_pods: u32,
    removal_budget: u32,
) -> rebalance::Snapshot {
    rebalance::Snapshot {
        context: self::context(context),
        catalogue: self::catalogue(catalogue),
        fleet: self::fleet(fleet),
        waiting_pods,
        removal_budget,
    }
}

pub(crate) fn outcome(outcome: WhatIfOutcome) -> what_if::Outcome {
    what_if::Outcome {
        used: outcome.used,
        unplaced: outcome
            .unplaced
            .into_iter()
            .map(|leftover| what_if::Leftover {
                class: leftover.class,
                pods: leftover.pods,
                cause: cause(leftover.cause),
            })
            .collect(),
        hourly_delta_micros: outcome.hourly_delta_micros,
        cpu_permille: outcome.cpu_permille,
        memory_permille: outcome.memory_permille,
    }
}

fn context(context: &Context) -> types::Context {
    types::Context {
        now_ms: context.now_ms,
        seed: context.seed,
        resource_names: context.resource_names.clone(),
        cluster_headroom: context.cluster_headroom,
        annotations: context.annotations.clone(),
    }
}

fn catalogue(catalogue: &Catalogue) -> types::Catalogue {
    let group = |group: &autoscaler_core::decision::GroupRow| types::NodeGroup {
        name: group.name.clone(),
        min: group.min,
        max: group.max,
        current: group.current,
        upcoming: group.upcoming,
        since_scale_up_ms: group.since_scale_up_ms,
        since_scale_down_ms: group.since_scale_down_ms,
        annotations: group.annotations.clone(),
    };
    let template = |template: &autoscaler_core::decision::TemplateRow| types::Template {
        group: template.group,
        offering: template.offering.clone(),
        datacenter: template.datacenter.clone(),
        hourly_micros: template.hourly_micros,
        headroom: template.headroom,
        failures: template.failures,
        backoff_ms: template.backoff_ms,
    };
    types::Catalogue {
        groups: catalogue.groups.iter().map(group).collect(),
        templates: catalogue.templates.iter().map(template).collect(),
        allocatable: catalogue.allocatable.clone(),
    }
}

fn pending(pending: &Pending) -> types::Pending {
    let class = |class: &autoscaler_core::decision::ClassRow| types::PodClass {
        name: class.name.clone(),
        priority: class.priority,
        unplaced: class.unplaced,
        waiting_ms: class.waiting_ms,
        topology_bound: class.topology_bound,
    };
    types::Pending {
        classes: pending.classes.iter().map(class).collect(),
        requests: pending.requests.clone(),
        row_of: pending.per_node.row_of.clone(),
        column_of: pending.per_node.column_of.clone(),
        per_node: pending.per_node.pods.clone(),
    }
}

fn fleet(fleet: &Fleet) -> rebalance::Fleet {
    rebalance::Fleet {
        names: fleet.names.clone(),
        group: fleet.group.clone(),
        template: fleet.template.clone(),
        hourly_micros: fleet.hourly_micros.clone(),
        cpu_permille: fleet.cpu_permille.clone(),
        memory_permille: fleet.memory_permille.clone(),
        pods_to_move: fleet.pods_to_move.clone(),
        age_ms: fleet.age_ms.clone(),
        idle_ms: fleet.idle_ms.clone(),
        not_ready_ms: fleet.not_ready_ms.clone(),
        flags: fleet.flags.iter().copied().map(node_flags).collect(),
    }
}

fn node_flags(flags: NodeFlags) -> rebalance::NodeFlags {
    [
        (flags.ready, rebalance::NodeFlags::READY),
        (flags.blocked, rebalance::NodeFlags::BLOCKED),
        (flags.cordoned, rebalance::NodeFlags::CORDONED),
        (flags.upcoming, rebalance::NodeFlags::UPCOMING),
        (flags.leaving, rebalance::NodeFlags::LEAVING),
        (flags.drifted, rebalance::NodeFlags::DRIFTED),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(rebalance::NodeFlags::empty(), |all, (_, flag)| all | flag)
}

fn class_count(count: ClassCount) -> types::ClassCount {
    types::ClassCount {
        class: count.class,
        pods: count.pods,
    }
}

fn reason(reason: &Reason) -> types::Reason {
    types::Reason {
        code: reason.code.clone(),
        text: reason.text.clone(),
    }
}

fn cause(cause: Cause) -> what_if::Cause {
    match cause {
        Cause::Resources => what_if::Cause::Resources,
        Cause::Taints => what_if::Cause::Taints,
        Cause::NodeAffinity => what_if::Cause::NodeAffinity,
        Cause::PodAffinity => what_if::Cause::PodAffinity,
        Cause::TopologySpread => what_if::Cause::TopologySpread,
        Cause::HostPorts => what_if::Cause::HostPorts,
        Cause::Volumes => what_if::Cause::Volumes,
        Cause::Unschedulable => what_if::Cause::Unschedulable,
        // The only limit that the oracle has is that of its work.
        Cause::Limits | Cause::Budget => what_if::Cause::Limits,
    }
}
