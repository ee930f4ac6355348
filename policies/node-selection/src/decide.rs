//! The decision: group by group, in rounds, until the demand has its place or nothing more can be bought.

use crate::Config;
use crate::candidate::Candidate;
use policy_sdk::node_selection::{Mix, Purchase, Snapshot};
use policy_sdk::{ClassCount, GroupDemand, Reason, Rejection};

/// Templates of which a group asks the oracle; a catalogue may list hundreds, and the cheap ones come first.
const ASKED_TEMPLATES: usize = 24;
/// Rounds per group: each one buys what the template before could not serve.
const ROUNDS: usize = 4;
/// Templates that are tried as the larger part of a mixture.
const MIXTURE_BASES: usize = 3;
/// Fall-backs of one purchase: a provider that refuses this many has a trouble that no further one cures.
const FALLBACKS: usize = 5;

pub(crate) fn decide(snapshot: &Snapshot, config: Config) -> Mix {
    let mut mix = Mix {
        purchases: Vec::new(),
        rejections: Vec::new(),
    };
    let mut spare = snapshot.context.cluster_headroom.unwrap_or(u32::MAX);
    for demand in &snapshot.demand {
        let bought = serve(snapshot, config, demand, spare, &mut mix);
        spare = spare.saturating_sub(bought);
    }
    mix
}

/// Buys for one group and returns how many nodes.
fn serve(snapshot: &Snapshot, config: Config, demand: &GroupDemand, spare: u32, mix: &mut Mix) -> u32 {
    let mut limit = group_room(snapshot, demand.group).min(spare);
    let mut pods: Vec<ClassCount> = demand
        .pods
        .iter()
        .filter(|count| count.pods > 0)
        .copied()
        .collect();
    let mut bought = Vec::<u32>::new();
    let mut total = 0;
    for _ in 0..ROUNDS {
        if pods.is_empty() || limit == 0 {
            break;
        }
        let mut candidates = candidates(snapshot, demand.group, limit, &pods, &bought);
        candidates.sort_by_key(Candidate::preference);
        let Some(best) = candidates.first() else { break };
        let parts = config
            .mix_templates
            .then(|| cheapest_mixture(snapshot, &candidates, limit, &pods))
            .flatten();
        for part in &parts.unwrap_or_else(|| vec![best.clone()]) {
            mix.purchases.push(purchase(snapshot, part, &candidates, demand));
            limit = limit.saturating_sub(part.count);
            bought.push(part.template);
            total += part.count;
        }
        // A mixture leaves no more than the best single template would: what that one left is the next round's.
        pods.clone_from(&best.unplaced);
    }
    mix.rejections.extend(pods.into_iter().map(|count| Rejection {
        class: count.class,
        group: Some(demand.group),
        reason: leftover_reason(snapshot, demand.group, count.pods, limit),
    }));
    total
}

/// What the oracle says of the group's templates, those first that look cheap per pod. One that a round bought
/// from has given all it could: what is left over did not fit there, or its headroom is spent.
fn candidates(
    snapshot: &Snapshot,
    group: u32,
    limit: u32,
    pods: &[ClassCount],
    bought: &[u32],
) -> Vec<Candidate> {
    let mut templates: Vec<_> = snapshot
        .catalogue
        .templates_of(group)
        .filter(|(number, template)| {
            let fits = |count: &ClassCount| snapshot.pending.pods_per_node(count.class, *number) > 0;
            template.is_available() && !bought.contains(number) && pods.iter().any(fits)
        })
        .map(|(number, template)| {
            let held: u64 = pods
                .iter()
                .map(|count| {
                    u64::from(
                        count
                            .pods
                            .min(snapshot.pending.pods_per_node(count.class, number)),
                    )
                })
                .sum();
            (
                u128::from(template.hourly_micros) * 1000 / u128::from(held.max(1)),
                number,
            )
        })
        .collect();
    templates.sort_unstable();
    templates
        .into_iter()
        .take(ASKED_TEMPLATES)
        .filter_map(|(_, number)| Candidate::ask(snapshot, number, limit, pods))
        .collect()
}

/// The cheapest exchange of the last node for smaller ones, if one beats the best single template.
///
/// A large template whose last node would be half empty loses against a small one alone and may still be the
/// better base of a mixture: therefore the first few are tried, as long as they place as many pods.
fn cheapest_mixture(
    snapshot: &Snapshot,
    candidates: &[Candidate],
    limit: u32,
    pods: &[ClassCount],
) -> Option<Vec<Candidate>> {
    let best = candidates.first()?;
    candidates
        .iter()
        .take(MIXTURE_BASES)
        .filter(|base| base.is_as_good_a_home_as(best))
        .flat_map(|base| candidates.iter().map(move |end| (base, end.template)))
        .filter(|(base, end)| base.template != *end)
        .filter_map(|(base, end)| base.with_smaller_end(snapshot, end, limit, pods))
        .map(|(base, end)| (base.cost + end.cost, base.count + end.count, base, end))
        .filter(|(cost, ..)| *cost < best.cost)
        .min_by_key(|(cost, count, base, end)| (*cost, *count, base.template, end.template))
        .map(|(_, _, base, end)| vec![base, end])
}

fn purchase(
    snapshot: &Snapshot,
    part: &Candidate,
    candidates: &[Candidate],
    demand: &GroupDemand,
) -> Purchase {
    let fallbacks: Vec<u32> = candidates
        .iter()
        .map(|candidate| candidate.template)
        .filter(|template| *template != part.template)
        .take(FALLBACKS)
        .collect();
    let mut text = format!(
        "the cheapest of {} offerings for {} pods, {} per hour",
        candidates.len(),
        demand.total_pods(),
        money(part.cost),
    );
    if let Some(next) = fallbacks.first() {
        let offering = snapshot
            .catalogue
            .templates
            .get(*next as usize)
            .map_or("?", |next| next.offering.as_str());
        text.push_str(&format!("; else {offering}"));
    }
    Purchase {
        template: part.template,
        count: part.count,
        fallbacks,
        reason: Reason::new("CheapestFit", text),
    }
}

/// Nodes that the group may gain by its own limit.
fn group_room(snapshot: &Snapshot, group: u32) -> u32 {
    snapshot
        .catalogue
        .groups
        .get(group as usize)
        .map_or(0, |row| row.max.saturating_sub(row.current))
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
