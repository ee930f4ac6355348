//! From a snapshot to a checked plan, with the built-in policies called natively.

use autoscaler_core::decision::{
    self, Action, ClassCount, Demand, Mix, Oracle, Purchase, Question, Reason, WhatIfQuestion, check_demand,
    check_growth, propose_growth, questions,
};
use autoscaler_core::model::Snapshot;
use autoscaler_core::packing::{Placement, WhatIf, place_pending};
use policy_node_selection::CheapestFit;
use policy_scale_up::PackPending;
use policy_sdk::testing::with_oracle;
use policy_sdk::{self as sdk, NodeSelection, ScaleUp, node_selection, scale_up, what_if};
use std::sync::Arc;

pub(crate) struct Planned {
    pub(crate) price: u64,
    pub(crate) nodes: u32,
    pub(crate) unplaced: u32,
}

pub(crate) fn decide(snapshot: &Snapshot) -> Planned {
    let everywhere = |_| true;
    let placement = Arc::new(place_pending(&Arc::new(snapshot.clone())));
    let question = Arc::new(questions::scale_up(&placement, &everywhere));
    let Question::ScaleUp {
        context,
        catalogue,
        pending,
    } = &*question
    else {
        panic!("another kind")
    };
    let asked = scale_up::Snapshot {
        context: lower_context(context),
        catalogue: lower_catalogue(catalogue),
        pending: lower_pending(pending),
    };
    let demand = asking(&placement, &question, move || {
        PackPending::decide(&asked, &Default::default()).unwrap()
    });
    let demand = Demand {
        groups: demand.groups.iter().map(lift_demand).collect(),
        rejections: Vec::new(),
    };
    check_demand(&question, &demand).unwrap();

    let question = Arc::new(questions::node_selection(&placement, &everywhere, demand.groups));
    let Question::NodeSelection {
        context,
        catalogue,
        pending,
        demand,
    } = &*question
    else {
        panic!("another kind")
    };
    let asked = node_selection::Snapshot {
        context: lower_context(context),
        catalogue: lower_catalogue(catalogue),
        pending: lower_pending(pending),
        demand: demand.iter().map(lower_demand).collect(),
    };
    let mix = asking(&placement, &question, move || {
        CheapestFit::decide(&asked, &Default::default()).unwrap()
    });
    let mix = Mix {
        purchases: mix.purchases.iter().map(lift_purchase).collect(),
        rejections: Vec::new(),
    };
    let plan = propose_growth(&question, &mix).unwrap();
    let plan = check_growth(&placement, plan, &everywhere).unwrap();
    assert_eq!(plan.notes(), [], "the checker has to trim nothing");
    let mut placement = Arc::into_inner(placement).expect("nobody asks any more");
    placement.accept(&plan);
    let (mut price, mut nodes) = (0, 0);
    for action in plan.actions() {
        let Action::Buy { template, count, .. } = action else {
            panic!("a removal")
        };
        price += snapshot.templates[*template as usize].hourly_micros * u64::from(*count);
        nodes += count;
    }
    Planned {
        price,
        nodes,
        unplaced: placement.unplaced_pods(),
    }
}

/// Runs a policy with the real oracle.
fn asking<Answer>(
    placement: &Arc<Placement>,
    question: &Arc<Question>,
    policy: impl FnOnce() -> Answer,
) -> Answer {
    let (placement, question) = (Arc::clone(placement), Arc::clone(question));
    let oracle = move |asked: &what_if::Question| {
        let oracle = WhatIf::new(&placement, &question);
        let (outcome, _) = oracle.what_if(&lift_question(asked)).unwrap();
        what_if::Outcome {
            used: outcome.used,
            unplaced: outcome
                .unplaced
                .iter()
                .map(|left| what_if::Leftover {
                    class: left.class,
                    pods: left.pods,
                    cause: lower_cause(left.cause),
                })
                .collect(),
            hourly_delta_micros: outcome.hourly_delta_micros,
            cpu_permille: outcome.cpu_permille,
            memory_permille: outcome.memory_permille,
        }
    };
    with_oracle(oracle, policy)
}

fn lift_question(asked: &what_if::Question) -> WhatIfQuestion {
    WhatIfQuestion {
        additions: asked
            .additions
            .iter()
            .map(|addition| decision::Addition {
                template: addition.template,
                count: addition.count,
            })
            .collect(),
        removals: asked.removals.clone(),
        pods: asked.pods.as_ref().map(|pods| {
            pods.iter()
                .map(|count| ClassCount {
                    class: count.class,
                    pods: count.pods,
                })
                .collect()
        }),
    }
}

fn lower_cause(cause: decision::Cause) -> what_if::Cause {
    match cause {
        decision::Cause::TopologySpread => what_if::Cause::TopologySpread,
        decision::Cause::PodAffinity => what_if::Cause::PodAffinity,
        decision::Cause::Budget | decision::Cause::Limits => what_if::Cause::Limits,
        _ => what_if::Cause::Resources,
    }
}

fn lower_context(context: &decision::Context) -> sdk::Context {
    sdk::Context {
        now_ms: context.now_ms,
        seed: context.seed,
        resource_names: context.resource_names.clone(),
        cluster_headroom: context.cluster_headroom,
        annotations: context.annotations.clone(),
    }
}

fn lower_catalogue(catalogue: &decision::Catalogue) -> sdk::Catalogue {
    let group = |row: &decision::GroupRow| sdk::NodeGroup {
        name: row.name.clone(),
        min: row.min,
        max: row.max,
        current: row.current,
        upcoming: row.upcoming,
        since_scale_up_ms: row.since_scale_up_ms,
        since_scale_down_ms: row.since_scale_down_ms,
        annotations: row.annotations.clone(),
    };
    let template = |row: &decision::TemplateRow| sdk::Template {
        group: row.group,
        offering: row.offering.clone(),
        datacenter: row.datacenter.clone(),
        hourly_micros: row.hourly_micros,
        headroom: row.headroom,
        failures: row.failures,
        backoff_ms: row.backoff_ms,
    };
    sdk::Catalogue {
        groups: catalogue.groups.iter().map(group).collect(),
        templates: catalogue.templates.iter().map(template).collect(),
        allocatable: catalogue.allocatable.clone(),
    }
}

fn lower_pending(pending: &decision::Pending) -> sdk::Pending {
    let class = |row: &decision::ClassRow| sdk::PodClass {
        name: row.name.clone(),
        priority: row.priority,
        unplaced: row.unplaced,
        waiting_ms: row.waiting_ms,
    };
    sdk::Pending {
        classes: pending.classes.iter().map(class).collect(),
        requests: pending.requests.clone(),
        per_node: pending.per_node.clone(),
    }
}

fn lower_demand(demand: &decision::GroupDemand) -> sdk::GroupDemand {
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

fn lift_demand(demand: &sdk::GroupDemand) -> decision::GroupDemand {
    let pods = demand.pods.iter().map(|count| ClassCount {
        class: count.class,
        pods: count.pods,
    });
    decision::GroupDemand {
        group: demand.group,
        pods: pods.collect(),
        reason: Reason::new(demand.reason.code.clone(), demand.reason.text.clone()),
    }
}

fn lift_purchase(purchase: &node_selection::Purchase) -> Purchase {
    Purchase {
        template: purchase.template,
        count: purchase.count,
        fallbacks: purchase.fallbacks.clone(),
        reason: Reason::new(purchase.reason.code.clone(), purchase.reason.text.clone()),
    }
}
