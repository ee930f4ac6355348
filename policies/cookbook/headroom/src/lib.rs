//! Headroom: whenever a group grows, it grows by more than is needed, so that the next pods find a place at once.
//!
//! The spare nodes are bought together with those that are needed; it is the rebalance policy's idle time that says
//! how long they stay.

use policy_sdk::node_selection::{Mix, Purchase, Snapshot};
use policy_sdk::what_if::{self, Addition, Question};
use policy_sdk::{Description, NodeSelection, PolicyError, Reason, Rejection};
use serde::Deserialize;

struct Headroom;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Config {
    percent: u32,
    at_least: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            percent: 20,
            at_least: 0,
        }
    }
}

impl NodeSelection for Headroom {
    type Config = Config;

    fn describe() -> Description {
        Description::new(
            "headroom",
            env!("CARGO_PKG_VERSION"),
            include_str!("../config.schema.json"),
        )
    }

    fn decide(snapshot: &Snapshot, config: &Config) -> Result<Mix, PolicyError> {
        let mut mix = Mix {
            purchases: Vec::new(),
            rejections: Vec::new(),
        };
        for wish in &snapshot.demand {
            // The cheapest per pod of the largest class, and then the oracle's word on how many.
            let Some(largest) = wish.pods.iter().max_by_key(|count| count.pods) else {
                continue;
            };
            let price = |number: u32, hourly_micros: u64| {
                hourly_micros.checked_div(u64::from(snapshot.pending.pods_per_node(largest.class, number)))
            };
            let best = snapshot
                .catalogue
                .templates_of(wish.group)
                .filter(|(_, template)| template.is_available())
                .filter_map(|(number, template)| {
                    Some((price(number, template.hourly_micros)?, number, template))
                })
                .min_by_key(|(price, number, _)| (*price, *number));
            let Some((_, number, template)) = best else {
                mix.rejections.push(Rejection {
                    class: largest.class,
                    group: Some(wish.group),
                    reason: Reason::new("NoOfferFits", "no offering that can be had holds it"),
                });
                continue;
            };
            let addition = Addition {
                template: number,
                count: template.headroom,
            };
            let outcome = what_if::ask(&Question::additions(vec![addition], wish.pods.clone()));
            let needed = outcome.used_of(0);
            let spare = needed
                .saturating_mul(config.percent)
                .div_ceil(100)
                .max(config.at_least);
            let count = needed.saturating_add(spare).min(template.headroom);
            mix.purchases.push(Purchase {
                template: number,
                count,
                fallbacks: Vec::new(),
                reason: Reason::new(
                    "Headroom",
                    format!("{needed} for the pods, {} to spare", count - needed),
                ),
            });
        }
        Ok(mix)
    }
}

policy_sdk::export_node_selection!(Headroom);
