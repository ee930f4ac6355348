//! What is to be bought next, for whom and where.
//!
//! A group takes what was demanded of it. Pods that found no place because they have to spread are another matter: they
//! lack a place in some domain, and no column says in which. So every datacenter of every group that holds them buys for
//! a part of them, whoever was asked, and the oracle tells which of it was right.

use policy_sdk::node_selection::Snapshot;
use policy_sdk::what_if::Cause;
use policy_sdk::{ClassCount, Template};
use std::collections::{BTreeMap, BTreeSet};

/// Pods by class, by group in the order of the demand.
pub(crate) type Demanded = Vec<(u32, BTreeMap<u32, u32>)>;

/// How much more is bought each time that it was in vain.
const MORE: u32 = 8;

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
    vain: u32,
) -> Vec<Wish<'a>> {
    // A node that has just enough room for what is left may be filled with others: where that goes on, much more is
    // bought.
    let more = |pods: u32| pods.saturating_mul(MORE.saturating_pow(vain));
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
        let pods: Vec<ClassCount> = pods.filter(|count| count.pods > 0).collect();
        wishes.push(Wish {
            group: *group,
            datacenter: None,
            pods,
        });
    }
    let mut by_place: BTreeMap<(u32, &str), Vec<ClassCount>> = BTreeMap::new();
    for (class, left, _) in spread {
        let places = places(snapshot, class);
        let pods = more(left.div_ceil(u32::try_from(places.len().max(1)).unwrap_or(u32::MAX)));
        for place in places {
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

/// The groups and datacenters with a template that can be had and holds the class.
fn places(snapshot: &Snapshot, class: u32) -> BTreeSet<(u32, &str)> {
    let holds = |(template, row): (u32, &'_ Template)| {
        row.is_available() && snapshot.pending.pods_per_node(class, template) > 0
    };
    (0..)
        .zip(&snapshot.catalogue.templates)
        .filter(|(template, row)| holds((*template, row)))
        .map(|(_, row)| (row.group, row.datacenter.as_str()))
        .collect()
}
