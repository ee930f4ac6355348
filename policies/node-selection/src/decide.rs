//! The decision: group by group, in rounds, until the demand has its place or nothing more can be bought.

use crate::Config;
use crate::candidate::Candidate;
use crate::together::{Together, by_class};
use policy_sdk::node_selection::{Mix, Purchase, Snapshot};
use policy_sdk::what_if::Addition;
use policy_sdk::{ClassCount, GroupDemand, Reason, Rejection};
use std::collections::BTreeMap;

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
    let mut left = Vec::new();
    for demand in &snapshot.demand {
        let bought = serve(snapshot, config, demand, spare, &mut mix, &mut left);
        spare = spare.saturating_sub(bought);
    }
    buy_together(snapshot, &mut mix, &mut left);
    let left = left.into_iter().filter(|left| left.pods > 0);
    mix.rejections.extend(left.map(|left| Rejection {
        class: left.class,
        group: Some(left.group),
        reason: leftover_reason(snapshot, left.group, left.pods, left.limit),
    }));
    mix
}

/// Pods that a group was asked to take and did not.
struct Left {
    group: u32,
    class: u32,
    pods: u32,
    /// Nodes that the group might still have gained.
    limit: u32,
}

/// Looks at all groups at once for pods that have no place although nodes that hold them can be had.
fn buy_together(snapshot: &Snapshot, mix: &mut Mix, left: &mut [Left]) {
    let bought = mix.purchases.iter().map(|purchase| Addition {
        template: purchase.template,
        count: purchase.count,
    });
    let mut together = Together::new(snapshot, bought.collect());
    let (mut held_back, mut hopeless) = (Vec::new(), BTreeMap::new());
    for left in left.iter_mut() {
        if left.limit > 0 && together.can_grow_for(left.group, left.class) {
            held_back.push(left);
        } else {
            *hopeless.entry(left.class).or_insert(0) += left.pods;
        }
    }
    if held_back.is_empty() {
        return;
    }
    let demanded = snapshot
        .demand
        .iter()
        .flat_map(|demand| demand.pods.iter().copied());
    let mut pods = by_class(demanded);
    for count in &mut pods {
        count.pods = count
            .pods
            .saturating_sub(hopeless.get(&count.class).copied().unwrap_or(0));
    }
    let counts = held_back.iter().map(|left| ClassCount {
        class: left.class,
        pods: left.pods,
    });
    let mut still = together.buy(&pods, by_class(counts));
    for left in held_back {
        let count = still.iter_mut().find(|count| count.class == left.class);
        left.pods = count.map_or(0, |count| {
            let pods = left.pods.min(count.pods);
            count.pods -= pods;
            pods
        });
    }
    adopt(snapshot, mix, &together.additions);
}

/// Makes the mix buy exactly these nodes.
fn adopt(snapshot: &Snapshot, mix: &mut Mix, additions: &[Addition]) {
    let mut known: BTreeMap<u32, Purchase> = mix
        .purchases
        .drain(..)
        .map(|purchase| (purchase.template, purchase))
        .collect();
    for addition in additions {
        let Some(row) = snapshot.catalogue.templates.get(addition.template as usize) else {
            continue;
        };
        let before = known.remove(&addition.template);
        if let Some(same) = before.as_ref().filter(|before| before.count == addition.count) {
            mix.purchases.push(same.clone());
            continue;
        }
        let price = row.hourly_micros.saturating_mul(u64::from(addition.count));
        let text = format!("pods have to spread over groups; {} per hour", money(price));
        mix.purchases.push(Purchase {
            template: addition.template,
            count: addition.count,
            fallbacks: before.map_or_else(
                || alternatives(snapshot, addition.template),
                |before| before.fallbacks,
            ),
            reason: Reason::new("CheapestFit", text),
        });
    }
}

/// Templates of the same group that hold at least as many pods of each demanded class, the cheapest first.
fn alternatives(snapshot: &Snapshot, template: u32) -> Vec<u32> {
    let pending = &snapshot.pending;
    let Some(row) = snapshot.catalogue.templates.get(template as usize) else {
        return Vec::new();
    };
    let holds_as_much = |other: u32| {
        let mut demanded = snapshot.demand.iter().flat_map(|demand| &demand.pods);
        demanded.all(|count| {
            pending.pods_per_node(count.class, other) >= pending.pods_per_node(count.class, template)
        })
    };
    let mut others: Vec<(u64, u32)> = snapshot
        .catalogue
        .templates_of(row.group)
        .filter(|(other, row)| *other != template && row.is_available() && holds_as_much(*other))
        .map(|(other, row)| (row.hourly_micros, other))
        .collect();
    others.sort_unstable();
    others
        .into_iter()
        .map(|(_, other)| other)
        .take(FALLBACKS)
        .collect()
}

/// Buys for one group and returns how many nodes.
fn serve(
    snapshot: &Snapshot,
    config: Config,
    demand: &GroupDemand,
    spare: u32,
    mix: &mut Mix,
    left: &mut Vec<Left>,
) -> u32 {
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
    left.extend(pods.into_iter().map(|count| Left {
        group: demand.group,
        class: count.class,
        pods: count.pods,
        limit,
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
