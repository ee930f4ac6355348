//! A policy that answers anything: what it says is drawn from the seed of the snapshot. Most of it names rows that
//! exist, or nearly, so that the host has to look closely.

use policy_sdk::node_selection::{Mix, Purchase};
use policy_sdk::rebalance::{Action, Kept, Proposal, Step};
use policy_sdk::scale_up::Demand;
use policy_sdk::what_if::{self, Addition, Question};
use policy_sdk::{
    ClassCount, Description, GroupDemand, NoConfig, NodeSelection, PolicyError, Reason, Rebalance, Rejection,
    ScaleUp, node_selection, rebalance, scale_up,
};

struct Dice;

/// SplitMix64: enough to be different each time.
struct Rolls(u64);

impl Rolls {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut roll = self.0;
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
        let lines = self.below(6);
        (0..lines)
            .map(|_| ClassCount {
                class: self.row(classes),
                pods: self.count(),
            })
            .collect()
    }

    fn rejections(&mut self, classes: usize, groups: usize) -> Vec<Rejection> {
        let lines = self.below(3);
        (0..lines)
            .map(|_| Rejection {
                class: self.row(classes),
                group: self.one_in(2).then(|| self.row(groups)),
                reason: self.reason(),
            })
            .collect()
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
    Description::new("dice", "1.0.0", NoConfig::SCHEMA)
}

impl ScaleUp for Dice {
    type Config = NoConfig;

    fn describe() -> Description {
        description()
    }

    fn decide(snapshot: &scale_up::Snapshot, _: &NoConfig) -> Result<Demand, PolicyError> {
        let mut rolls = Rolls(snapshot.context.seed);
        let (groups, classes) = (snapshot.catalogue.groups.len(), snapshot.pending.classes.len());
        rolls.begin(snapshot.catalogue.templates.len(), 0)?;
        let lines = rolls.below(4);
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
    type Config = NoConfig;

    fn describe() -> Description {
        description()
    }

    fn decide(snapshot: &node_selection::Snapshot, _: &NoConfig) -> Result<Mix, PolicyError> {
        let mut rolls = Rolls(snapshot.context.seed);
        let templates = snapshot.catalogue.templates.len();
        rolls.begin(templates, 0)?;
        let lines = rolls.below(8);
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
    type Config = NoConfig;

    fn describe() -> Description {
        description()
    }

    fn decide(snapshot: &rebalance::Snapshot, _: &NoConfig) -> Result<Proposal, PolicyError> {
        let mut rolls = Rolls(snapshot.context.seed);
        let nodes = snapshot.fleet.names.len();
        rolls.begin(snapshot.catalogue.templates.len(), nodes)?;
        let lines = rolls.below(8);
        let steps = (0..lines).map(|_| Step {
            action: Action::Remove(rolls.row(nodes)),
            batch: rolls.count(),
            reason: rolls.reason(),
        });
        Ok(Proposal {
            steps: steps.collect(),
            kept: (0..rolls.below(2))
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
