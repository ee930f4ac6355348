//! Cheapest fit: each node group gets the one offering that holds its pods for the least money.
//!
//! How many nodes that takes is the oracle's answer, which knows every rule of the scheduler.

use policy_sdk::node_selection::{Mix, Purchase, Snapshot};
use policy_sdk::what_if::{self, Addition, Question};
use policy_sdk::{Description, GroupDemand, NoConfig, NodeSelection, PolicyError, Reason, Rejection};

struct CheapestFit;

/// What an offering would come to. The order of the fields is the order of preference.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Offer {
    pods_left: u64,
    hourly_micros: u64,
    template: u32,
    nodes: u32,
}

impl NodeSelection for CheapestFit {
    type Config = NoConfig;

    fn describe() -> Description {
        Description::new(
            "cheapest-fit",
            env!("CARGO_PKG_VERSION"),
            include_str!("../config.schema.json"),
        )
    }

    fn decide(snapshot: &Snapshot, _: &NoConfig) -> Result<Mix, PolicyError> {
        let mut mix = Mix {
            purchases: Vec::new(),
            rejections: Vec::new(),
        };
        for wish in &snapshot.demand {
            let offers = offers(snapshot, wish);
            let Some(best) = offers.first() else {
                let rejection = |class| Rejection {
                    class,
                    group: Some(wish.group),
                    reason: Reason::new("NoOfferFits", "no offering that can be had holds it"),
                };
                mix.rejections
                    .extend(wish.pods.iter().map(|count| rejection(count.class)));
                continue;
            };
            mix.purchases.push(Purchase {
                template: best.template,
                count: best.nodes,
                // Only what is as good for the pods: the price is what one may have to swallow.
                fallbacks: offers[1..]
                    .iter()
                    .filter(|other| other.pods_left == best.pods_left)
                    .map(|other| other.template)
                    .collect(),
                reason: Reason::new(
                    "CheapestFit",
                    format!(
                        "{} holds them for the least money",
                        snapshot.catalogue.template_name(best.template)
                    ),
                ),
            });
        }
        Ok(mix)
    }
}

/// The offerings of the group that hold any of the pods, the best first.
fn offers(snapshot: &Snapshot, wish: &GroupDemand) -> Vec<Offer> {
    let mut offers = Vec::new();
    for (number, template) in snapshot.catalogue.templates_of(wish.group) {
        // Each class on nodes of its own takes more than all of them together.
        let apart: u32 = wish
            .pods
            .iter()
            .map(
                |count| match snapshot.pending.pods_per_node(count.class, number) {
                    0 => 0,
                    pods => count.pods.div_ceil(pods),
                },
            )
            .sum();
        let addition = Addition {
            template: number,
            count: apart.min(template.headroom),
        };
        if !template.is_available() || addition.count == 0 {
            continue;
        }
        let outcome = what_if::ask(&Question::additions(vec![addition], wish.pods.clone()));
        let nodes = outcome.used_of(0);
        if nodes > 0 {
            offers.push(Offer {
                pods_left: outcome.unplaced_pods(),
                hourly_micros: template.hourly_micros * u64::from(nodes),
                template: number,
                nodes,
            });
        }
    }
    offers.sort();
    offers
}

policy_sdk::export_node_selection!(CheapestFit);
