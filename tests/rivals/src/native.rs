//! The built-in policies compiled into this program: the same code without the border of the sandbox.

use crate::Policies;
use anyhow::{Result, anyhow};
use autoscaler_core::decision::{
    self as core, Answer, Oracle as _, Question, RebalanceAction, WhatIfOutcome, WhatIfQuestion,
};
use autoscaler_core::packing::{Placement, WhatIf};
use policy_node_selection::CheapestFit;
use policy_rebalance::RemoveIdle;
use policy_scale_up::PackPending;
use policy_sdk::testing::with_borrowed_oracle;
use policy_sdk::{
    Catalogue, ClassCount, Context, NodeGroup, NodeSelection as _, Pending, PodClass, PolicyError, Reason,
    Rebalance as _, ScaleUp as _, Template, node_selection, rebalance, scale_up, what_if,
};

/// No sandbox, no limits.
#[derive(Clone, Copy, Debug)]
pub struct Native;

impl Policies for Native {
    fn answer(
        &self,
        placement: &Placement,
        question: &Question,
        accept: &dyn Fn(&Answer) -> Result<(), String>,
    ) -> Result<Answer> {
        let oracle = WhatIf::new(placement, question);
        // The SDK's stand-in for the host has no way to say that a question makes no sense; an honest policy asks
        // none of that kind, and nothing placed is then the answer.
        let ask =
            move |asked: &what_if::Question| outcome(oracle.what_if(&asked_of(asked)).unwrap_or_default().0);
        let answer = with_borrowed_oracle(ask, || decided(question)).map_err(|error| anyhow!("{error:?}"))?;
        accept(&answer).map_err(|refusal| anyhow!("the answer is refused: {refusal}"))?;
        Ok(answer)
    }
}

fn decided(question: &Question) -> Result<Answer, PolicyError> {
    match question {
        Question::ScaleUp {
            context,
            catalogue,
            pending,
        } => {
            let snapshot = scale_up::Snapshot {
                context: self::context(context),
                catalogue: self::catalogue(catalogue),
                pending: self::pending(pending),
            };
            PackPending::decide(&snapshot, &Default::default()).map(demand)
        }
        Question::NodeSelection {
            context,
            catalogue,
            pending,
            demand,
        } => {
            let snapshot = node_selection::Snapshot {
                context: self::context(context),
                catalogue: self::catalogue(catalogue),
                pending: self::pending(pending),
                demand: demand.iter().map(group_demand).collect(),
            };
            CheapestFit::decide(&snapshot, &Default::default()).map(mix)
        }
        Question::Rebalance {
            context,
            catalogue,
            fleet,
            waiting_pods,
            removal_budget,
        } => {
            let snapshot = rebalance::Snapshot {
                context: self::context(context),
                catalogue: self::catalogue(catalogue),
                fleet: self::fleet(fleet),
                waiting_pods: *waiting_pods,
                removal_budget: *removal_budget,
            };
            RemoveIdle::decide(&snapshot, &Default::default()).map(proposal)
        }
    }
}

fn context(context: &core::Context) -> Context {
    Context {
        now_ms: context.now_ms,
        seed: context.seed,
        resource_names: context.resource_names.clone(),
        cluster_headroom: context.cluster_headroom,
        annotations: context.annotations.clone(),
    }
}

fn catalogue(catalogue: &core::Catalogue) -> Catalogue {
    let group = |group: &core::GroupRow| NodeGroup {
        name: group.name.clone(),
        min: group.min,
        max: group.max,
        current: group.current,
        upcoming: group.upcoming,
        since_scale_up_ms: group.since_scale_up_ms,
        since_scale_down_ms: group.since_scale_down_ms,
        annotations: group.annotations.clone(),
    };
    let template = |template: &core::TemplateRow| Template {
        group: template.group,
        offering: template.offering.clone(),
        datacenter: template.datacenter.clone(),
        hourly_micros: template.hourly_micros,
        headroom: template.headroom,
        failures: template.failures,
        backoff_ms: template.backoff_ms,
    };
    Catalogue {
        groups: catalogue.groups.iter().map(group).collect(),
        templates: catalogue.templates.iter().map(template).collect(),
        allocatable: catalogue.allocatable.clone(),
    }
}

fn pending(pending: &core::Pending) -> Pending {
    let class = |class: &core::ClassRow| PodClass {
        name: class.name.clone(),
        priority: class.priority,
        unplaced: class.unplaced,
        waiting_ms: class.waiting_ms,
    };
    Pending {
        classes: pending.classes.iter().map(class).collect(),
        requests: pending.requests.clone(),
        per_node: pending.per_node.clone(),
    }
}

fn fleet(fleet: &core::Fleet) -> rebalance::Fleet {
    let flags = |flags: &core::NodeFlags| {
        use rebalance::NodeFlags;
        [
            (flags.ready, NodeFlags::READY),
            (flags.blocked, NodeFlags::BLOCKED),
            (flags.cordoned, NodeFlags::CORDONED),
            (flags.upcoming, NodeFlags::UPCOMING),
            (flags.leaving, NodeFlags::LEAVING),
        ]
        .into_iter()
        .filter(|(set, _)| *set)
        .fold(NodeFlags::empty(), |all, (_, flag)| all | flag)
    };
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
        flags: fleet.flags.iter().map(flags).collect(),
    }
}

fn group_demand(demand: &core::GroupDemand) -> policy_sdk::GroupDemand {
    policy_sdk::GroupDemand {
        group: demand.group,
        pods: demand
            .pods
            .iter()
            .map(|count| ClassCount {
                class: count.class,
                pods: count.pods,
            })
            .collect(),
        reason: Reason {
            code: demand.reason.code.clone(),
            text: demand.reason.text.clone(),
        },
    }
}

fn outcome(outcome: WhatIfOutcome) -> what_if::Outcome {
    let cause = |cause| match cause {
        core::Cause::Resources => what_if::Cause::Resources,
        core::Cause::Taints => what_if::Cause::Taints,
        core::Cause::NodeAffinity => what_if::Cause::NodeAffinity,
        core::Cause::PodAffinity => what_if::Cause::PodAffinity,
        core::Cause::TopologySpread => what_if::Cause::TopologySpread,
        core::Cause::HostPorts => what_if::Cause::HostPorts,
        core::Cause::Volumes => what_if::Cause::Volumes,
        core::Cause::Unschedulable => what_if::Cause::Unschedulable,
        core::Cause::Limits | core::Cause::Budget => what_if::Cause::Limits,
    };
    what_if::Outcome {
        used: outcome.used,
        unplaced: outcome
            .unplaced
            .iter()
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

fn asked_of(question: &what_if::Question) -> WhatIfQuestion {
    WhatIfQuestion {
        additions: question
            .additions
            .iter()
            .map(|addition| core::Addition {
                template: addition.template,
                count: addition.count,
            })
            .collect(),
        removals: question.removals.clone(),
        pods: question
            .pods
            .as_ref()
            .map(|pods| pods.iter().map(class_count).collect()),
    }
}

fn class_count(count: &ClassCount) -> core::ClassCount {
    core::ClassCount {
        class: count.class,
        pods: count.pods,
    }
}

fn reason(reason: Reason) -> core::Reason {
    core::Reason::new(reason.code, reason.text)
}

fn rejection(rejection: policy_sdk::Rejection) -> core::Rejection {
    core::Rejection {
        class: rejection.class,
        group: rejection.group,
        reason: reason(rejection.reason),
    }
}

fn demand(demand: scale_up::Demand) -> Answer {
    let group = |demand: policy_sdk::GroupDemand| core::GroupDemand {
        group: demand.group,
        pods: demand.pods.iter().map(class_count).collect(),
        reason: reason(demand.reason),
    };
    Answer::ScaleUp(core::Demand {
        groups: demand.groups.into_iter().map(group).collect(),
        rejections: demand.rejections.into_iter().map(rejection).collect(),
    })
}

fn mix(mix: node_selection::Mix) -> Answer {
    let purchase = |purchase: node_selection::Purchase| core::Purchase {
        template: purchase.template,
        count: purchase.count,
        fallbacks: purchase.fallbacks,
        reason: reason(purchase.reason),
    };
    Answer::NodeSelection(core::Mix {
        purchases: mix.purchases.into_iter().map(purchase).collect(),
        rejections: mix.rejections.into_iter().map(rejection).collect(),
    })
}

fn proposal(proposal: rebalance::Proposal) -> Answer {
    let step = |step: rebalance::Step| core::RebalanceStep {
        action: match step.action {
            rebalance::Action::Remove(node) => RebalanceAction::Remove(node),
        },
        batch: step.batch,
        reason: reason(step.reason),
    };
    let kept = |kept: rebalance::Kept| core::Kept {
        node: kept.node,
        reason: reason(kept.reason),
    };
    Answer::Rebalance(core::RebalanceProposal {
        steps: proposal.steps.into_iter().map(step).collect(),
        kept: proposal.kept.into_iter().map(kept).collect(),
    })
}
