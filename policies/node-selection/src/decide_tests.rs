//! One group and a few templates, with an oracle that packs pods of one size each.

use super::*;
use policy_sdk::testing::{node_group, table_rows, with_oracle};
use policy_sdk::what_if::{Cause, Leftover, Outcome, Question};
use policy_sdk::{Catalogue, Context, Pending, PodClass, Template};

/// (price, headroom, backoff, failures, pods per node of each class).
type TemplateCase = (u64, u32, u64, u32, &'static [u32]);

fn snapshot(templates: &[TemplateCase], pods: &[u32]) -> Snapshot {
    let group = node_group("ns/g", 20);
    let rows =
        templates
            .iter()
            .enumerate()
            .map(
                |(number, &(hourly_micros, headroom, backoff_ms, failures, _))| Template {
                    group: 0,
                    offering: format!("o{number}"),
                    datacenter: "dc".to_owned(),
                    hourly_micros,
                    headroom,
                    failures,
                    backoff_ms,
                },
            );
    Snapshot {
        context: Context {
            now_ms: 0,
            seed: 0,
            resource_names: Vec::new(),
            cluster_headroom: None,
            annotations: Vec::new(),
        },
        catalogue: Catalogue {
            groups: vec![group],
            templates: rows.collect(),
            // A pod takes one unit, and the node has as many as it holds pods of the class that it holds most of.
            allocatable: templates
                .iter()
                .map(|template| u64::from(template.4.iter().copied().max().unwrap_or(0)))
                .collect(),
        },
        pending: Pending {
            classes: pods
                .iter()
                .map(|&unplaced| PodClass {
                    name: "ns/c".to_owned(),
                    priority: 0,
                    unplaced,
                    waiting_ms: 0,
                    topology_bound: false,
                })
                .collect(),
            requests: vec![1; pods.len()],
            row_of: table_rows(pods.len(), templates.len()),
            column_of: (0..).take(templates.len()).collect(),
            per_node: (0..pods.len())
                .flat_map(|class| templates.iter().map(move |template| template.4[class]))
                .collect(),
        },
        demand: vec![GroupDemand {
            group: 0,
            pods: (0..)
                .zip(pods)
                .map(|(class, &pods)| ClassCount { class, pods })
                .collect(),
            reason: Reason::new("Test", ""),
        }],
    }
}

/// Fills the additions in order; a pod takes 1/n of a node, whatever else is on it.
fn packs(snapshot: &Snapshot) -> impl Fn(&Question) -> Outcome + 'static {
    let pending = snapshot.pending.clone();
    move |question| {
        let mut pods = question.pods.clone().unwrap_or_default();
        let mut used = Vec::new();
        for addition in &question.additions {
            let mut nodes = 0;
            for _ in 0..addition.count {
                let mut free = 1.0_f64;
                let mut taken = false;
                for count in &mut pods {
                    let per_node = pending.pods_per_node(count.class, addition.template);
                    while per_node > 0 && count.pods > 0 && free + 1e-9 >= 1.0 / f64::from(per_node) {
                        free -= 1.0 / f64::from(per_node);
                        count.pods -= 1;
                        taken = true;
                    }
                }
                nodes += u32::from(taken);
            }
            used.push(nodes);
        }
        let unplaced = pods.iter().filter(|count| count.pods > 0);
        Outcome {
            used,
            unplaced: unplaced
                .map(|count| Leftover {
                    class: count.class,
                    pods: count.pods,
                    cause: Cause::Resources,
                })
                .collect(),
            hourly_delta_micros: 0,
            cpu_permille: 0,
            memory_permille: 0,
        }
    }
}

fn ask(snapshot: &Snapshot, config: Config) -> Mix {
    let oracle = packs(snapshot);
    let snapshot = snapshot.clone();
    with_oracle(oracle, move || decide(&snapshot, &config))
}

/// (template, count, fall-backs).
fn summary(mix: &Mix) -> Vec<(u32, u32, Vec<u32>)> {
    mix.purchases
        .iter()
        .map(|purchase| (purchase.template, purchase.count, purchase.fallbacks.clone()))
        .collect()
}

#[test]
fn the_least_money_wins() {
    // Name, templates, pods of each class, (template, count, fall-backs).
    type Case<'a> = (
        &'a str,
        &'a [TemplateCase],
        &'a [u32],
        &'a [(u32, u32, &'a [u32])],
    );
    let cases: &[Case<'_>] = &[
        (
            "cheaper at equal size",
            &[(200, 9, 0, 0, &[4]), (100, 9, 0, 0, &[4])],
            &[4],
            &[(1, 1, &[0])],
        ),
        (
            "one large beats three small",
            &[(100, 9, 0, 0, &[2]), (250, 9, 0, 0, &[6])],
            &[6],
            &[(1, 1, &[0])],
        ),
        (
            "equal cost: fewer nodes",
            &[(100, 9, 0, 0, &[2]), (300, 9, 0, 0, &[6])],
            &[6],
            &[(1, 1, &[0])],
        ),
        (
            "the last node smaller",
            &[(100, 9, 0, 0, &[2]), (250, 9, 0, 0, &[6])],
            &[8],
            &[(1, 1, &[0]), (0, 1, &[1])],
        ),
        (
            "headroom limits, the next template goes on",
            &[(100, 1, 0, 0, &[4]), (900, 9, 0, 0, &[4])],
            &[8],
            &[(1, 1, &[0]), (0, 1, &[1])],
        ),
        (
            "backing off counts for nothing",
            &[(100, 9, 1, 1, &[4]), (900, 9, 0, 0, &[4])],
            &[4],
            &[(1, 1, &[])],
        ),
        (
            "a failing one comes last",
            &[(100, 9, 0, 1, &[4]), (900, 9, 0, 0, &[4])],
            &[4],
            &[(1, 1, &[0])],
        ),
        (
            "each class its template",
            &[(100, 9, 0, 0, &[4, 0]), (100, 9, 0, 0, &[0, 4])],
            &[4, 8],
            &[(0, 1, &[]), (1, 2, &[])],
        ),
    ];
    for (name, templates, pods, expected) in cases {
        let mix = ask(&snapshot(templates, pods), Config::default());
        let expected: Vec<_> = expected
            .iter()
            .map(|(template, count, next)| (*template, *count, next.to_vec()))
            .collect();
        assert_eq!(summary(&mix), expected, "{name}");
        assert!(mix.rejections.is_empty(), "{name}: {:?}", mix.rejections);
    }
}

#[test]
fn mixing_can_be_switched_off() {
    let snapshot = snapshot(&[(100, 9, 0, 0, &[2]), (250, 9, 0, 0, &[6])], &[8]);
    let config = Config {
        mix_templates: false,
        ..Config::default()
    };
    let mix = ask(&snapshot, config);
    assert_eq!(summary(&mix), [(0, 4, vec![1])]);
}

#[test]
fn a_preferred_offering_may_cost_more_up_to_a_share() {
    // Prices of the offerings o0, o1 and o2, which are preferred, by how many percent, and what is bought with its
    // fall-backs.
    type Case<'a> = ([u64; 3], &'a [&'a str], u32, (u32, &'a [u32]));
    let cases: &[Case<'_>] = &[
        ([100, 120, 140], &[], 20, (0, &[1, 2])),
        ([100, 120, 140], &["o1"], 20, (1, &[0, 2])),
        ([100, 121, 140], &["o1"], 20, (0, &[1, 2])),
        ([100, 120, 140], &["o1", "o2"], 50, (1, &[2, 0])),
        ([100, 120, 140], &["o2"], 0, (0, &[1, 2])),
        ([100, 120, 140], &["o9"], 50, (0, &[1, 2])),
        ([100, 9_000, 140], &["o1"], u32::MAX, (1, &[0, 2])),
    ];
    for (prices, preferred, percent, (bought, fallbacks)) in cases {
        let templates = prices.map(|price| (price, 9, 0, 0, &[2_u32][..]));
        let config = Config {
            preferred_offerings: preferred.iter().map(|name| (*name).to_owned()).collect(),
            preference_percent: *percent,
            ..Config::default()
        };
        let mix = ask(&snapshot(&templates, &[8]), config);
        assert_eq!(
            summary(&mix),
            [(*bought, 4, fallbacks.to_vec())],
            "{prices:?} {preferred:?} {percent}"
        );
        let price = money(prices[*bought as usize] * 4);
        let text = &mix.purchases[0].reason.text;
        assert!(text.contains(&price), "the price is the real one: {text}");
    }
}

#[test]
fn what_cannot_be_had_is_said() {
    // Name, templates, what is special, code, nodes bought.
    type Case<'a> = (&'a str, &'a [TemplateCase], fn(&mut Snapshot), &'a str, u32);
    let cases: &[Case<'_>] = &[
        (
            "group limit",
            &[(100, 9, 0, 0, &[1])],
            |s| s.catalogue.groups[0].current = 18,
            "LimitReached",
            2,
        ),
        (
            "cluster limit",
            &[(100, 9, 0, 0, &[1])],
            |s| s.context.cluster_headroom = Some(1),
            "LimitReached",
            1,
        ),
        (
            "little stock",
            &[(100, 2, 0, 0, &[1])],
            |_| {},
            "NoTemplateFits",
            2,
        ),
        ("no stock", &[(100, 0, 0, 0, &[1])], |_| {}, "NothingToBuy", 0),
        (
            "nothing fits",
            &[(100, 9, 0, 0, &[0])],
            |_| {},
            "NoTemplateFits",
            0,
        ),
    ];
    for (name, templates, change, code, bought) in cases {
        let mut snapshot = snapshot(templates, &[4]);
        change(&mut snapshot);
        let mix = ask(&snapshot, Config::default());
        let nodes: u32 = mix.purchases.iter().map(|purchase| purchase.count).sum();
        assert_eq!(nodes, *bought, "{name}");
        let [rejection] = mix.rejections.as_slice() else {
            panic!("{name}: {:?}", mix.rejections)
        };
        assert_eq!(rejection.reason.code, *code, "{name}");
        assert_eq!(rejection.group, Some(0), "{name}");
    }
}

#[test]
fn money_reads_as_a_decimal_number() {
    for (micros, text) in [(0, "0.0000"), (14_880, "0.0148"), (1_250_000, "1.2500")] {
        assert_eq!(money(micros), text);
    }
}
