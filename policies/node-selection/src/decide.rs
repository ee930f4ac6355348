//! The decision: the plan as purchases with fall-backs, and what is left with its reason.

use crate::Config;
use crate::plan::Plan;
use crate::preference::weigh;
use policy_sdk::node_selection::{Mix, Purchase, Snapshot};
use policy_sdk::what_if::{Addition, Cause};
use policy_sdk::{ClassCount, GroupDemand, Reason, Rejection, Template};
use std::collections::BTreeMap;

/// Fall-backs of one purchase: a provider that refuses this many has a trouble that no further one cures.
const FALLBACKS: usize = 5;

pub(crate) fn decide(snapshot: &Snapshot, config: &Config) -> Mix {
    let weighed = weigh(snapshot, config);
    let mut plan = Plan::new(&weighed, u64::from(config.search_effort) * 1000);
    plan.make(config.mix_templates);
    let mut rankings: BTreeMap<u32, Ranking> = BTreeMap::new();
    let mut purchases = Vec::new();
    for bought in &plan.additions {
        let Some(row) = snapshot.catalogue.templates.get(bought.template as usize) else {
            continue;
        };
        let ranking = rankings
            .entry(row.group)
            .or_insert_with(|| Ranking::new(&weighed, row.group));
        let is_preferred = config.preferred_offerings.contains(&row.offering);
        purchases.push(purchase(snapshot, bought, row, ranking, is_preferred));
    }
    Mix {
        purchases,
        rejections: rejections(snapshot, &plan),
    }
}

fn purchase(
    snapshot: &Snapshot,
    bought: &Addition,
    row: &Template,
    ranking: &Ranking,
    is_preferred: bool,
) -> Purchase {
    let shares_pods = |template: u32| {
        let holds = |class: u32, template| snapshot.pending.pods_per_node(class, template) > 0;
        let mut both = ranking.sorts.iter();
        both.any(|(class, _)| holds(*class, bought.template) && holds(*class, template))
    };
    let fallbacks: Vec<u32> = ranking
        .offerings
        .iter()
        .copied()
        .filter(|template| *template != bought.template && shares_pods(*template))
        .take(FALLBACKS)
        .collect();
    let price = money(row.hourly_micros.saturating_mul(u64::from(bought.count)));
    let preferred = if is_preferred { "preferred, " } else { "" };
    let mut text = match ranking.demanded {
        Some(pods) => format!(
            "{preferred}part of the cheapest mix of {} offerings for {pods} pods, {price} per hour",
            ranking.offerings.len(),
        ),
        None => format!("{preferred}pods have to spread over groups; {price} per hour"),
    };
    if let Some(next) = fallbacks.first() {
        let next = snapshot.catalogue.templates.get(*next as usize);
        text.push_str(&format!(
            "; else {}",
            next.map_or("?", |next| next.offering.as_str())
        ));
    }
    Purchase {
        template: bought.template,
        count: bought.count,
        fallbacks,
        reason: Reason::new("CheapestFit", text),
    }
}

/// What a group offers for the pods that it was asked to take.
struct Ranking {
    /// How many pods; none where nobody asked the group: then it takes pods that have to spread over groups.
    demanded: Option<u64>,
    /// A class of each sort, with the pods of all.
    sorts: Vec<(u32, u64)>,
    /// Templates that can be had and take some of the pods: those that work before those that failed, the cheapest per
    /// pod first.
    offerings: Vec<u32>,
}

impl Ranking {
    fn new(snapshot: &Snapshot, group: u32) -> Self {
        let demand = snapshot.demand.iter().find(|demand| demand.group == group);
        let of_all = || snapshot.demand.iter().flat_map(|demand| &demand.pods);
        let pods: Vec<&ClassCount> = match demand {
            Some(demand) => demand.pods.iter().collect(),
            None => of_all().collect(),
        };
        let mut sorts: BTreeMap<u32, (u32, u64)> = BTreeMap::new();
        for count in pods {
            let (_, pods) = sorts
                .entry(snapshot.pending.row_of(count.class))
                .or_insert((count.class, 0));
            *pods += u64::from(count.pods);
        }
        let sorts: Vec<(u32, u64)> = sorts.into_values().collect();
        let mut by_column: BTreeMap<u32, u64> = BTreeMap::new();
        let mut held = |template: u32| -> u64 {
            let held = |(class, pods): &(u32, u64)| {
                (*pods).min(u64::from(snapshot.pending.pods_per_node(*class, template)))
            };
            let column = snapshot.pending.column_of(template);
            let all = || sorts.iter().map(held).sum();
            *by_column.entry(column).or_insert_with(all)
        };
        let mut ranked: Vec<(bool, u128, u32)> = snapshot
            .catalogue
            .templates_of(group)
            .filter(|(_, row)| row.is_available())
            .map(|(number, row)| (number, row, held(number)))
            .filter(|(.., held)| *held > 0)
            .map(|(number, row, held)| {
                let per_pod = u128::from(row.hourly_micros) * 1000 / u128::from(held);
                (row.failures > 0, per_pod, number)
            })
            .collect();
        ranked.sort_unstable();
        Self {
            demanded: demand.map(GroupDemand::total_pods),
            offerings: ranked.into_iter().map(|(.., number)| number).collect(),
            sorts,
        }
    }
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
