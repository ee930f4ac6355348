//! The built-in policies as native code: the same crates, without WebAssembly between them and the host.
//!
//! Cases ask both builds and want equal answers; benchmarks show by them what the sandbox costs. The values that
//! cross into a component are made by the host's own code there; here they are made anew, so that a mistake in one
//! of the two shows.

use anyhow::{Result, bail};
use autoscaler_core::decision::{
    Addition, Answer, Catalogue, Cause, ClassCount, Context, Demand, Fleet, GroupDemand, Kept, Leftover, Mix,
    NodeFlags, Oracle, Pending, Purchase, Question, Reason, RebalanceAction, RebalanceProposal,
    RebalanceStep, Rejection, Replacement, ReplacementKind, WhatIfQuestion,
};
use policy_sdk as sdk;
use policy_sdk::testing::with_borrowed_oracle;
use policy_sdk::{NodeSelection, Rebalance, ScaleUp, what_if};
use serde::de::DeserializeOwned;

/// What the native policy answers; `config` is JSON.
///
/// # Errors
/// Where `config` does not fit the policy, or the policy fails.
///
/// # Panics
/// Where the policy asks the oracle a question that makes no sense: the SDK's stand-in for the host cannot say so.
pub fn answer(question: &Question, config: &str, oracle: impl Oracle) -> Result<Answer> {
    let ask = move |question: &what_if::Question| match oracle.what_if(&read_question(question)) {
        Ok((outcome, _)) => what_if::Outcome {
            used: outcome.used,
            unplaced: outcome.unplaced.into_iter().map(leftover).collect(),
            hourly_delta_micros: outcome.hourly_delta_micros,
            cpu_permille: outcome.cpu_permille,
            memory_permille: outcome.memory_permille,
        },
        Err(text) => panic!("the oracle refuses a question: {text}"),
    };
    with_borrowed_oracle(ask, || decide(question, config))
}

fn decide(question: &Question, config: &str) -> Result<Answer> {
    Ok(match question {
        Question::ScaleUp {
            context,
            catalogue,
            pending,
        } => {
            let snapshot = sdk::scale_up::Snapshot {
                context: self::context(context),
                catalogue: self::catalogue(catalogue),
                pending: self::pending(pending),
            };
            let said = policy_scale_up::PackPending::decide(&snapshot, &read(config)?);
            Answer::ScaleUp(demand(understood(said)?))
        }
        Question::NodeSelection {
            context,
            catalogue,
            pending,
            demand,
        } => {
            let snapshot = sdk::node_selection::Snapshot {
                context: self::context(context),
                catalogue: self::catalogue(catalogue),
                pending: self::pending(pending),
                demand: demand.iter().map(wish).collect(),
            };
            let said = policy_node_selection::CheapestFit::decide(&snapshot, &read(config)?);
            Answer::NodeSelection(mix(understood(said)?))
        }
        Question::Rebalance {
            context,
            catalogue,
            fleet,
            waiting_pods,
            removal_budget,
        } => {
            let snapshot = sdk::rebalance::Snapshot {
                context: self::context(context),
                catalogue: self::catalogue(catalogue),
                fleet: self::fleet(fleet),
                waiting_pods: *waiting_pods,
                removal_budget: *removal_budget,
            };
            let said = policy_rebalance::RemoveIdle::decide(&snapshot, &read(config)?);
            Answer::Rebalance(proposal(understood(said)?))
        }
    })
}

fn read<C: DeserializeOwned>(config: &str) -> Result<C> {
    Ok(serde_json::from_str(config)?)
}

fn understood<T>(said: Result<T, sdk::PolicyError>) -> Result<T> {
    match said {
        Ok(answer) => Ok(answer),
        Err(error) => bail!("the native policy fails: {error:?}"),
    }
}

fn context(context: &Context) -> sdk::Context {
    sdk::Context {
        now_ms: context.now_ms,
        seed: context.seed,
        resource_names: context.resource_names.clone(),
        cluster_headroom: context.cluster_headroom,
        annotations: context.annotations.clone(),
    }
}

fn catalogue(catalogue: &Catalogue) -> sdk::Catalogue {
    let groups = catalogue.groups.iter().map(|group| sdk::NodeGroup {
        name: group.name.clone(),
        min: group.min,
        max: group.max,
        current: group.current,
        upcoming: group.upcoming,
        since_scale_up_ms: group.since_scale_up_ms,
        since_scale_down_ms: group.since_scale_down_ms,
        annotations: group.annotations.clone(),
    });
    let templates = catalogue.templates.iter().map(|template| sdk::Template {
        group: template.group,
        offering: template.offering.clone(),
        datacenter: template.datacenter.clone(),
        hourly_micros: template.hourly_micros,
        headroom: template.headroom,
        failures: template.failures,
        backoff_ms: template.backoff_ms,
    });
    sdk::Catalogue {
        groups: groups.collect(),
        templates: templates.collect(),
        allocatable: catalogue.allocatable.clone(),
    }
}

fn pending(pending: &Pending) -> sdk::Pending {
    let classes = pending.classes.iter().map(|class| sdk::PodClass {
        name: class.name.clone(),
        priority: class.priority,
        unplaced: class.unplaced,
        waiting_ms: class.waiting_ms,
        topology_bound: class.topology_bound,
    });
    sdk::Pending {
        classes: classes.collect(),
        requests: pending.requests.clone(),
        row_of: pending.per_node.row_of.clone(),
        column_of: pending.per_node.column_of.clone(),
        per_node: pending.per_node.pods.clone(),
    }
}

fn fleet(fleet: &Fleet) -> sdk::rebalance::Fleet {
    sdk::rebalance::Fleet {
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
        flags: fleet.flags.iter().map(flags).collect(),
    }
}

fn flags(flags: &NodeFlags) -> sdk::rebalance::NodeFlags {
    use sdk::rebalance::NodeFlags as Flags;
    let mut all = Flags::empty();
    all.set(Flags::READY, flags.ready);
    all.set(Flags::BLOCKED, flags.blocked);
    all.set(Flags::CORDONED, flags.cordoned);
    all.set(Flags::UPCOMING, flags.upcoming);
    all.set(Flags::LEAVING, flags.leaving);
    all.set(Flags::DRIFTED, flags.drifted);
    all
}

fn wish(demand: &GroupDemand) -> sdk::GroupDemand {
    let pods = demand.pods.iter().map(|count| sdk::ClassCount {
        class: count.class,
        pods: count.pods,
    });
    sdk::GroupDemand {
        group: demand.group,
        pods: pods.collect(),
        reason: sdk::Reason::new(&demand.reason.code, demand.reason.text.clone()),
    }
}

fn leftover(leftover: Leftover) -> what_if::Leftover {
    let cause = match leftover.cause {
        Cause::Resources => what_if::Cause::Resources,
        Cause::Taints => what_if::Cause::Taints,
        Cause::NodeAffinity => what_if::Cause::NodeAffinity,
        Cause::PodAffinity => what_if::Cause::PodAffinity,
        Cause::TopologySpread => what_if::Cause::TopologySpread,
        Cause::HostPorts => what_if::Cause::HostPorts,
        Cause::Volumes => what_if::Cause::Volumes,
        Cause::Unschedulable => what_if::Cause::Unschedulable,
        Cause::Limits | Cause::Budget => what_if::Cause::Limits,
    };
    what_if::Leftover {
        class: leftover.class,
        pods: leftover.pods,
        cause,
    }
}

fn read_question(question: &what_if::Question) -> WhatIfQuestion {
    let additions = question.additions.iter();
    let additions = additions.map(|addition| Addition {
        template: addition.template,
        count: addition.count,
    });
    WhatIfQuestion {
        additions: additions.collect(),
        removals: question.removals.clone(),
        pods: question.pods.as_deref().map(counts),
    }
}

fn counts(counts: &[sdk::ClassCount]) -> Vec<ClassCount> {
    let count = |count: &sdk::ClassCount| ClassCount {
        class: count.class,
        pods: count.pods,
    };
    counts.iter().map(count).collect()
}

fn reason(reason: sdk::Reason) -> Reason {
    Reason::new(reason.code, reason.text)
}

fn rejections(rejections: Vec<sdk::Rejection>) -> Vec<Rejection> {
    let rejection = |rejection: sdk::Rejection| Rejection {
        class: rejection.class,
        group: rejection.group,
        reason: reason(rejection.reason),
    };
    rejections.into_iter().map(rejection).collect()
}

fn demand(demand: sdk::scale_up::Demand) -> Demand {
    let groups = demand.groups.into_iter().map(|group| GroupDemand {
        group: group.group,
        pods: counts(&group.pods),
        reason: reason(group.reason),
    });
    Demand {
        groups: groups.collect(),
        rejections: rejections(demand.rejections),
    }
}

fn mix(mix: sdk::node_selection::Mix) -> Mix {
    let purchases = mix.purchases.into_iter().map(|purchase| Purchase {
        template: purchase.template,
        count: purchase.count,
        fallbacks: purchase.fallbacks,
        reason: reason(purchase.reason),
    });
    Mix {
        purchases: purchases.collect(),
        rejections: rejections(mix.rejections),
    }
}

fn replacement(replacement: sdk::rebalance::Replacement) -> Replacement {
    use sdk::rebalance::ReplacementKind as Kind;
    let additions = replacement.additions.iter().map(|addition| Addition {
        template: addition.template,
        count: addition.count,
    });
    Replacement {
        nodes: replacement.nodes,
        additions: additions.collect(),
        kind: match replacement.kind {
            Kind::Cheaper => ReplacementKind::Cheaper,
            Kind::Consolidate => ReplacementKind::Consolidate,
            Kind::Drift => ReplacementKind::Drift,
            Kind::Expire => ReplacementKind::Expire,
            Kind::Repair => ReplacementKind::Repair,
        },
    }
}

fn proposal(proposal: sdk::rebalance::Proposal) -> RebalanceProposal {
    let steps = proposal.steps.into_iter().map(|step| RebalanceStep {
        action: match step.action {
            sdk::rebalance::Action::Remove(node) => RebalanceAction::Remove(node),
            sdk::rebalance::Action::Replace(replacement) => {
                RebalanceAction::Replace(self::replacement(replacement))
            }
        },
        batch: step.batch,
        reason: reason(step.reason),
    });
    let kept = proposal.kept.into_iter().map(|kept| Kept {
        node: kept.node,
        reason: reason(kept.reason),
    });
    RebalanceProposal {
        steps: steps.collect(),
        kept: kept.collect(),
    }
}
