//! A policy that answers anything: what it says is drawn from its configuration, as long as that lasts, and then from the
//! seed of the snapshot. Most of it names rows that exist, or nearly, so that the host has to look closely. A fuzzer
//! that writes the configuration has every answer in its hand.

use policy_sdk::node_selection::{Mix, Purchase};
use policy_sdk::rebalance::{Action, Kept, Proposal, Replacement, ReplacementKind, Step};
use policy_sdk::scale_up::Demand;
use policy_sdk::what_if::{self, Addition, Question};
use policy_sdk::{
    ClassCount, Description, GroupDemand, NodeSelection, PolicyError, Reason, Rebalance, Rejection, ScaleUp,
    node_selection, rebalance, scale_up,
};
use serde::Deserialize;

struct Dice;

const SCHEMA: &str = r#"{
  "type": "object",
  "additionalProperties": false,
  "properties": { "rolls": { "type": "string", "default": "" } }
}"#;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// In hexadecimal digits, eight for each roll.
    rolls: String,
}

/// What was written down, then SplitMix64: enough to be different each time.
struct Rolls<'a> {
    written: &'a str,
    state: u64,
}

impl<'a> Rolls<'a> {
    fn new(config: &'a Config, seed: u64) -> Self {
        Self {
            written: &config.rolls,
            state: seed,
        }
    }

    fn next(&mut self) -> u64 {
        if let Some((roll, rest)) = self.written.split_at_checked(8) {
            self.written = rest;
            // Above and below: some look at the high bits, some at the low ones.
            let roll = u64::from(u32::from_str_radix(roll, 16).unwrap_or(0));
            return roll << 32 | roll;
        }
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut roll = self.state;
        roll = (roll ^ (roll >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        roll = (roll ^ (roll >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        roll ^ (roll >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit as u64).max(1)).unwrap_or(0)
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.next().is_multiple_of(chances)
    }

    /// A row of so many, now and then one behind the end, seldom any number.
    fn row(&mut self, rows: usize) -> u32 {
        match self.next() % 64 {
            0 => u32::try_from(self.next() >> 32).unwrap_or(u32::MAX),
            1 => u32::try_from(rows).unwrap_or(u32::MAX),
            _ => u32::try_from(self.below(rows)).unwrap_or(0),
        }
    }

    /// How many things are said about rows; about none, where there are none, but now and then.
    fn lines(&mut self, limit: usize, rows: usize) -> usize {
        if rows == 0 && !self.one_in(16) {
            return 0;
        }
        self.below(limit)
    }

    fn count(&mut self) -> u32 {
        match self.next() % 16 {
            0 => 0,
            1 => u32::MAX,
            2 => u32::try_from(self.next() >> 40).unwrap_or(0),
            _ => u32::try_from(self.below(5)).unwrap_or(0) + 1,
        }
    }

    fn reason(&mut self) -> Reason {
        match self.next() % 32 {
            0 => Reason::new("", ""),
            1 => Reason::new("no word", "\u{1b}[2J\u{202e}"),
            2 => Reason::new("Long", "x".repeat(100_000)),
            _ => Reason::new("Dice", "it fell so"),
        }
    }

    fn pods(&mut self, classes: usize) -> Vec<ClassCount> {
        let lines = self.lines(6, classes);
        (0..lines)
            .map(|_| ClassCount {
                class: self.row(classes),
                pods: self.count(),
            })
            .collect()
    }

    fn rejections(&mut self, classes: usize, groups: usize) -> Vec<Rejection> {
        let lines = self.lines(3, classes);
        (0..lines)
            .map(|_| Rejection {
                class: self.row(classes),
                group: self.one_in(2).then(|| self.row(groups)),
                reason: self.reason(),
            })
            .collect()
    }

    fn replacement(&mut self, nodes: usize, templates: usize) -> Replacement {
        const KINDS: [ReplacementKind; 5] = [
            ReplacementKind::Cheaper,
            ReplacementKind::Consolidate,
            ReplacementKind::Drift,
            ReplacementKind::Expire,
            ReplacementKind::Repair,
        ];
        let (going, coming) = (self.below(3), self.below(3));
        Replacement {
            nodes: (0..going).map(|_| self.row(nodes)).collect(),
            additions: (0..coming)
                .map(|_| Addition {
                    template: self.row(templates),
                    count: self.count(),
                })
                .collect(),
            kind: KINDS[self.below(KINDS.len())],
        }
    }

    /// Sometimes a question to the oracle, sometimes an end that is no answer.
    fn begin(&mut self, templates: usize, nodes: usize) -> Result<(), PolicyError> {
        if self.one_in(4) {
            let lines = self.below(4);
            let question = Question {
                additions: (0..lines)
                    .map(|_| Addition {
                        template: self.row(templates),
                        count: self.count() % 50,
                    })
                    .collect(),
                removals: (0..self.below(3)).map(|_| self.row(nodes)).collect(),
                pods: None,
            };
            let _ = what_if::ask(&question);
        }
        match self.next() % 64 {
            0 => Err(PolicyError::Failed("it fell off the table".to_owned())),
            1 => panic!("it fell off the table"),
            _ => Ok(()),
        }
    }
}

fn description() -> Description {
    Description::new("dice", "1.0.0", SCHEMA)
}

impl ScaleUp for Dice {
    type Config = Config;

    fn describe() -> Description {
        description()
    }

    fn decide(snapshot: &scale_up::Snapshot, config: &Config) -> Result<Demand, PolicyError> {
        let mut rolls = Rolls::new(config, snapshot.context.seed);
        let (groups, classes) = (snapshot.catalogue.groups.len(), snapshot.pending.classes.len());
        rolls.begin(snapshot.catalogue.templates.len(), 0)?;
        let lines = rolls.lines(4, groups);
        let groups_of_it = (0..lines).map(|_| GroupDemand {
            group: rolls.row(groups),
            pods: rolls.pods(classes),
            reason: rolls.reason(),
        });
        Ok(Demand {
            groups: groups_of_it.collect(),
            rejections: rolls.rejections(classes, groups),
        })
    }
}

impl NodeSelection for Dice {
    type Config = Config;

    fn describe() -> Description {
        description()
    }

    fn decide(snapshot: &node_selection::Snapshot, config: &Config) -> Result<Mix, PolicyError> {
        let mut rolls = Rolls::new(config, snapshot.context.seed);
        let templates = snapshot.catalogue.templates.len();
        rolls.begin(templates, 0)?;
        let lines = rolls.lines(8, templates);
        let purchases = (0..lines).map(|_| Purchase {
            template: rolls.row(templates),
            count: rolls.count(),
            fallbacks: (0..rolls.below(3)).map(|_| rolls.row(templates)).collect(),
            reason: rolls.reason(),
        });
        Ok(Mix {
            purchases: purchases.collect(),
            rejections: rolls.rejections(snapshot.pending.classes.len(), snapshot.catalogue.groups.len()),
        })
    }
}

impl Rebalance for Dice {
    type Config = Config;

    fn describe() -> Description {
        description()
    }

    fn decide(snapshot: &rebalance::Snapshot, config: &Config) -> Result<Proposal, PolicyError> {
        let mut rolls = Rolls::new(config, snapshot.context.seed);
        let nodes = snapshot.fleet.names.len();
        rolls.begin(snapshot.catalogue.templates.len(), nodes)?;
        let lines = rolls.lines(8, nodes);
        let templates = snapshot.catalogue.templates.len();
        let steps = (0..lines).map(|_| Step {
            action: if rolls.one_in(3) {
                Action::Replace(rolls.replacement(nodes, templates))
            } else {
                Action::Remove(rolls.row(nodes))
            },
            batch: rolls.count(),
            reason: rolls.reason(),
        });
        Ok(Proposal {
            steps: steps.collect(),
            kept: (0..rolls.lines(2, nodes))
                .map(|_| Kept {
                    node: rolls.row(nodes),
                    reason: rolls.reason(),
                })
                .collect(),
        })
    }
}

policy_sdk::export_scale_up!(Dice);
policy_sdk::export_node_selection!(Dice);
policy_sdk::export_rebalance!(Dice);
