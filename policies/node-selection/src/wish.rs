//! What is to be bought next, for whom and where.
//!
//! A group takes what was demanded of it. Pods that found no place because they have to spread are another matter: they
//! lack a place in some domain, and no column says in which. So every datacenter buys for a part of them, whoever was
//! asked, and the oracle tells which of it was right: one group of each at first, every group that holds them where that
//! was in vain.

use policy_sdk::ClassCount;
use policy_sdk::node_selection::Snapshot;
use policy_sdk::what_if::Cause;
use std::collections::BTreeMap;

/// Pods by class, by group in the order of the demand.
pub(crate) type Demanded = Vec<(u32, BTreeMap<u32, u32>)>;

/// How much more is bought each time that it was in vain.
const MORE: u32 = 8;

/// How far the buying has come.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    /// From 0.
    pub(crate) round: u32,
    /// Rounds in a row by which nothing found a place.
    pub(crate) vain: u32,
    /// There was such a round.
    pub(crate) was_in_vain: bool,
}

/// Pods that a group shall take.
pub(crate) struct Wish<'a> {
    pub(crate) group: u32,
    /// Only there; none for anywhere.
    pub(crate) datacenter: Option<&'a str>,
    pub(crate) pods: Vec<ClassCount>,
}

/// What is left, by those who may take it.
pub(crate) fn wishes<'a>(
    snapshot: &'a Snapshot,
    demanded: &Demanded,
    left: &BTreeMap<u32, (u32, Cause)>,
    turn: Turn,
) -> Vec<Wish<'a>> {
    // A node that has just enough room for what is left may be filled with others: where that goes on, much more is
    // bought.
    let more = |pods: u32| pods.saturating_mul(MORE.saturating_pow(turn.vain));
    let (spread, others): (Vec<_>, Vec<_>) = left
        .iter()
        .map(|(class, (pods, cause))| (*class, *pods, *cause))
        .partition(|(.., cause)| *cause == Cause::TopologySpread);
    let mut wishes: Vec<Wish<'a>> = Vec::new();
    for (group, asked) in demanded {
        let pods = others.iter().filter_map(|(class, left, _)| {
            let asked = asked.get(class)?;
            let pods = more((*left).min(*asked));
            Some(ClassCount { class: *class, pods })
        });
        let mut pods: Vec<ClassCount> = pods.filter(|count| count.pods > 0).collect();
        if turn.round == 0 && demanded.len() > 1 {
            pods = without_lonely(snapshot, *group, pods);
        }
        wishes.push(Wish {
            group: *group,
            datacenter: None,
            pods,
        });
    }
    let mut by_place: BTreeMap<(u32, &str), Vec<ClassCount>> = BTreeMap::new();
    for (class, left, _) in spread {
        let mut places = places(snapshot, class);
        if !turn.was_in_vain {
            let asks = |group: u32| {
                let mut demanded = demanded.iter();
                demanded.any(|(asked, pods)| *asked == group && pods.contains_key(&class))
            };
            places = one_of_each_datacenter(places, asks);
        }
        let pods = more(left.div_ceil(u32::try_from(places.len().max(1)).unwrap_or(u32::MAX)));
        for place in places.into_keys() {
            by_place
                .entry(place)
                .or_default()
                .push(ClassCount { class, pods });
        }
    }
    wishes.extend(by_place.into_iter().map(|((group, datacenter), pods)| Wish {
        group,
        datacenter: Some(datacenter),
        pods,
    }));
    wishes.retain(|wish| !wish.pods.is_empty());
    wishes
}

/// Group and datacenter.
type Place<'a> = (u32, &'a str);

/// Where there is a template that can be had and holds the class, with the least price per pod, in thousandths of a
/// millionth.
fn places(snapshot: &Snapshot, class: u32) -> BTreeMap<Place<'_>, u128> {
    let mut places: BTreeMap<Place<'_>, u128> = BTreeMap::new();
    for (template, row) in (0..).zip(&snapshot.catalogue.templates) {
        let pods = snapshot.pending.pods_per_node(class, template);
        if pods == 0 || !row.is_available() {
            continue;
        }
        let price = u128::from(row.hourly_micros) * 1000 / u128::from(pods);
        let least = places
            .entry((row.group, row.datacenter.as_str()))
            .or_insert(price);
        *least = price.min(*least);
    }
    places
}

/// In each datacenter a group that was asked for the class, or else the cheapest.
fn one_of_each_datacenter<'a>(
    places: BTreeMap<Place<'a>, u128>,
    asks: impl Fn(u32) -> bool,
) -> BTreeMap<Place<'a>, u128> {
    let mut best: BTreeMap<&str, (bool, u128, u32)> = BTreeMap::new();
    for ((group, datacenter), price) in places {
        let own = (!asks(group), price, group);
        let best = best.entry(datacenter).or_insert(own);
        *best = own.min(*best);
    }
    let places = best.into_iter();
    places
        .map(|(datacenter, (_, price, group))| ((group, datacenter), price))
        .collect()
}

/// The pods without those that keep a node to themselves among their own: of other groups' nodes they take as well those
/// that are bought anyway. If all are such, they have to be bought for.
fn without_lonely(snapshot: &Snapshot, group: u32, pods: Vec<ClassCount>) -> Vec<ClassCount> {
    let lonely = |class: u32| {
        let held = snapshot
            .catalogue
            .templates_of(group)
            .filter(|(_, row)| row.is_available())
            .map(|(number, _)| (number, snapshot.pending.pods_per_node(class, number)));
        let mut held = held.filter(|(_, pods)| *pods > 0).peekable();
        let requests = snapshot.pending.requests_of(class);
        held.peek().is_some()
            && held.all(|(number, pods)| {
                let mut both = snapshot.catalogue.allocatable_of(number).iter().zip(requests);
                pods == 1 && both.all(|(offered, asked)| asked.saturating_mul(2) <= *offered)
            })
    };
    let (alone, others): (Vec<ClassCount>, Vec<ClassCount>) =
        pods.into_iter().partition(|count| lonely(count.class));
    if others.is_empty() { alone } else { others }
}

#[cfg(test)]
#[path = "wish_tests.rs"]
mod tests;
