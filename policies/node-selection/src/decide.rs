//! The decision: the plan as purchases with fall-backs, and what is left with its reason.

use crate::Config;
use crate::plan::Plan;
use policy_sdk::node_selection::{Mix, Purchase, Snapshot};
use policy_sdk::what_if::{Addition, Cause};
use policy_sdk::{ClassCount, GroupDemand, Reason, Rejection};

/// Fall-backs of one purchase: a provider that refuses this many has a trouble that no further one cures.
const FALLBACKS: usize = 5;

pub(crate) fn decide(snapshot: &Snapshot, config: Config) -> Mix {
    let mut plan = Plan::new(snapshot);
    plan.make(config.mix_templates);
    let purchases = plan
        .additions
        .iter()
        .filter_map(|addition| purchase(snapshot, addition));
    Mix {
        purchases: purchases.collect(),
        rejections: rejections(snapshot, &plan),
    }
}

fn purchase(snapshot: &Snapshot, bought: &Addition) -> Option<Purchase> {
    let row = snapshot.catalogue.templates.get(bought.template as usize)?;
    let demand = snapshot.demand.iter().find(|demand| demand.group == row.group);
    // A group that nobody asked takes pods that have to spread over groups.
    let pods: Vec<ClassCount> = match demand {
        Some(demand) => demand.pods.clone(),
        None => snapshot
            .demand
            .iter()
            .flat_map(|demand| demand.pods.clone())
            .collect(),
    };
    let offerings = ranked(snapshot, row.group, &pods);
    let pods_of =
        |template: u32| move |count: &&ClassCount| snapshot.pending.pods_per_node(count.class, template) > 0;
    let shares_pods = |template: &u32| {
        pods.iter()
            .filter(pods_of(bought.template))
            .any(|count| pods_of(*template)(&count))
    };
    let fallbacks: Vec<u32> = offerings
        .iter()
        .copied()
        .filter(|template| *template != bought.template && shares_pods(template))
        .take(FALLBACKS)
        .collect();
    let price = money(row.hourly_micros.saturating_mul(u64::from(bought.count)));
    let mut text = match demand {
        Some(demand) => format!(
            "part of the cheapest mix of {} offerings for {} pods, {price} per hour",
            offerings.len(),
            demand.total_pods(),
        ),
        None => format!("pods have to spread over groups; {price} per hour"),
    };
    if let Some(next) = fallbacks.first() {
        let next = snapshot.catalogue.templates.get(*next as usize);
        text.push_str(&format!(
            "; else {}",
            next.map_or("?", |next| next.offering.as_str())
        ));
    }
    Some(Purchase {
        template: bought.template,
        count: bought.count,
        fallbacks,
        reason: Reason::new("CheapestFit", text),
    })
}

/// The group's templates that can be had and take some of the pods: those that work before those that failed, the
/// cheapest per pod first.
fn ranked(snapshot: &Snapshot, group: u32, pods: &[ClassCount]) -> Vec<u32> {
    let held = |template: u32| -> u64 {
        let held = |count: &ClassCount| {
            count
                .pods
                .min(snapshot.pending.pods_per_node(count.class, template))
        };
        pods.iter().map(|count| u64::from(held(count))).sum()
    };
    let mut ranked: Vec<(bool, u128, u32)> = snapshot
        .catalogue
        .templates_of(group)
        .filter(|(number, row)| row.is_available() && held(*number) > 0)
        .map(|(number, row)| {
            let per_pod = u128::from(row.hourly_micros) * 1000 / u128::from(held(number));
            (row.failures > 0, per_pod, number)
        })
        .collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(.., number)| number).collect()
}

/// What is left, under the first group that was asked to take it.
fn rejections(snapshot: &Snapshot, plan: &Plan<'_>) -> Vec<Rejection> {
    let demanded = |class: u32| {
        let asks = |demand: &&GroupDemand| demand.pods.iter().any(|count| count.class == class);
        snapshot.demand.iter().find(asks)
    };
    let rejection = |(class, (pods, cause)): (&u32, &(u32, Cause))| {
        let group = demanded(*class)?.group;
        // The oracle has no other limit than that of its work.
        let over_budget = *cause == Cause::Limits;
        let reason = if over_budget {
            let text = format!(
                "working out a place for {pods} pods goes beyond what one decision may do; the next goes on"
            );
            Reason::new("WorkLimit", text)
        } else {
            leftover_reason(snapshot, group, *pods, plan.room(group))
        };
        Some(Rejection {
            class: *class,
            group: (!over_budget).then_some(group),
            reason,
        })
    };
    plan.left.iter().filter_map(rejection).collect()
}

fn leftover_reason(snapshot: &Snapshot, group: u32, pods: u32, limit: u32) -> Reason {
    let name = snapshot.catalogue.group_name(group);
    if limit == 0 {
        return Reason::new(
            "LimitReached",
            format!("{name} may gain no more nodes, {pods} pods are left"),
        );
    }
    let templates: Vec<_> = snapshot.catalogue.templates_of(group).collect();
    if !templates.iter().any(|(_, template)| template.is_available()) {
        return Reason::new(
            "NothingToBuy",
            format!("no template of {name} can be had now, {pods} pods are left"),
        );
    }
    Reason::new(
        "NoTemplateFits",
        format!("no template of {name} that can be had holds the {pods} pods that are left"),
    )
}

/// Millionths as a decimal number.
fn money(micros: u64) -> String {
    format!("{}.{:04}", micros / 1_000_000, micros % 1_000_000 / 100)
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "together_tests.rs"]
mod together_tests;
