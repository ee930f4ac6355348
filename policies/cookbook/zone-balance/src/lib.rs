//! Zone balance: of the node groups that can hold a pod, the one in the zone with the fewest nodes gets it.
//!
//! A zone is a datacenter. Groups of one zone share its count.

use policy_sdk::scale_up::{Demand, Snapshot};
use policy_sdk::{ClassCount, Description, GroupDemand, NoConfig, PolicyError, Reason, Rejection, ScaleUp};
use std::collections::BTreeMap;

struct ZoneBalance;

/// A group that may grow, for one class.
struct Home<'a> {
    group: u32,
    zone: &'a str,
    per_node: u32,
    nodes_left: u32,
}

impl ScaleUp for ZoneBalance {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new(
            "zone-balance",
            env!("CARGO_PKG_VERSION"),
            include_str!("../config.schema.json"),
        )
    }

    fn decide(snapshot: &Snapshot, _: &NoConfig) -> Result<Demand, PolicyError> {
        let mut zones = nodes_by_zone(snapshot);
        let mut ordered: BTreeMap<u32, u32> = BTreeMap::new();
        let mut wishes: BTreeMap<u32, Vec<ClassCount>> = BTreeMap::new();
        let mut rejections = Vec::new();
        for (class, row) in (0..).zip(&snapshot.pending.classes) {
            let mut homes = homes(snapshot, class, &ordered);
            let mut left = row.unplaced;
            // A node's load of pods at a time, to the zone that has the fewest nodes by then.
            while left > 0 {
                let open = homes.iter_mut().filter(|home| home.nodes_left > 0);
                let Some(home) = open.min_by_key(|home| (zones.get(home.zone).copied(), home.group)) else {
                    break;
                };
                let pods = home.per_node.min(left);
                left -= pods;
                home.nodes_left -= 1;
                *zones.entry(home.zone).or_default() += 1;
                *ordered.entry(home.group).or_default() += 1;
                let wish = wishes.entry(home.group).or_default();
                match wish.last_mut().filter(|count| count.class == class) {
                    Some(count) => count.pods += pods,
                    None => wish.push(ClassCount { class, pods }),
                }
            }
            if left > 0 {
                rejections.push(Rejection {
                    class,
                    group: None,
                    reason: Reason::new("NoRoom", format!("no group has room for {left} of them")),
                });
            }
        }
        let demand = |(group, pods)| GroupDemand {
            group,
            pods,
            reason: Reason::new(
                "FewestNodes",
                "its zone has the fewest nodes of those that hold them",
            ),
        };
        Ok(Demand {
            groups: wishes.into_iter().map(demand).collect(),
            rejections,
        })
    }
}

/// How many nodes the groups of each zone have.
fn nodes_by_zone(snapshot: &Snapshot) -> BTreeMap<&str, u32> {
    let mut zones = BTreeMap::new();
    for (number, group) in (0..).zip(&snapshot.catalogue.groups) {
        if let Some((_, template)) = snapshot.catalogue.templates_of(number).next() {
            *zones.entry(template.datacenter.as_str()).or_default() += group.current;
        }
    }
    zones
}

/// The groups that can hold the class, each by its template that holds most.
fn homes<'a>(snapshot: &'a Snapshot, class: u32, ordered: &BTreeMap<u32, u32>) -> Vec<Home<'a>> {
    let groups = (0..).zip(&snapshot.catalogue.groups).map(|(number, _)| number);
    groups
        .filter_map(|group| {
            let templates = snapshot.catalogue.templates_of(group);
            let open = templates.filter(|(_, template)| template.is_available());
            let (per_node, template) = open
                .map(|(number, template)| (snapshot.pending.pods_per_node(class, number), template))
                .max_by_key(|(per_node, _)| *per_node)?;
            let taken = ordered.get(&group).copied().unwrap_or(0);
            (per_node > 0).then(|| Home {
                group,
                zone: &template.datacenter,
                per_node,
                nodes_left: template.headroom.saturating_sub(taken),
            })
        })
        .collect()
}

policy_sdk::export_scale_up!(ZoneBalance);
