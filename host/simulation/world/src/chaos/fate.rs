//! What becomes of one request in the storm, by the dice.

use fake_vpsie::Effect;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use std::time::Duration;

/// A source of numbers that depends on its seed only.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// A number below `bound`, which must not be zero.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        self.0.next_u32() % bound
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// True so often in a hundred.
    pub(super) fn percent(&mut self, chance: u32) -> bool {
        self.below(100) < chance
    }

    pub(super) fn seconds(&mut self, low: u32, high: u32) -> Duration {
        Duration::from_secs(u64::from(self.between(low, high)))
    }

    /// One of the outcomes by their chances in a thousand; mostly none.
    fn one_of<T>(&mut self, outcomes: impl IntoIterator<Item = (u32, T)>) -> Option<T> {
        let mut roll = self.below(1000);
        for (chance, outcome) in outcomes {
            if roll < chance {
                return Some(outcome);
            }
            roll -= chance;
        }
        None
    }
}

/// What becomes of a request to Kubernetes.
pub(super) enum Kubernetes {
    Refused(u16),
    /// Carried out, and the answer says that it took too long.
    AnswerLost,
    Late(Duration),
}

pub(super) fn of_kubernetes(dice: &mut Dice, changes: bool, creates: bool) -> Option<Kubernetes> {
    use Kubernetes::{AnswerLost, Late, Refused};
    let late = Late(Duration::from_millis(u64::from(dice.between(20, 3000))));
    if !changes {
        return dice.one_of([(5, Refused(500)), (5, Refused(503)), (20, late)]);
    }
    // Only a change of something that is there can conflict.
    let conflict = if creates { 0 } else { 20 };
    dice.one_of([
        (15, Refused(500)),
        (10, Refused(503)),
        (conflict, Refused(409)),
        (25, AnswerLost),
        (30, late),
    ])
}

/// What becomes of a request to VPSie; `orders` is true for add-node.
pub(super) fn of_vpsie(dice: &mut Dice, changes: bool, orders: bool) -> Option<Effect> {
    let duration = Duration::from_millis(u64::from(dice.between(100, 25_000)));
    let status = [500, 502, 503, 504][dice.below(4) as usize];
    let message = "Internal Server Error".to_owned();
    let retry_after = dice.percent(50).then_some(5);
    if !changes {
        return dice.one_of([
            (20, Effect::DropBefore),
            (20, Effect::Status { status, message }),
            (15, Effect::HtmlPage { status }),
            (15, Effect::TruncatedJson),
            (15, Effect::RateLimited { retry_after }),
            (60, Effect::Stale),
            (40, Effect::Delay { duration }),
        ]);
    }
    let never_joins = if orders { 40 } else { 0 };
    dice.one_of([
        (30, Effect::DropBefore),
        (50, Effect::DropAfterApply),
        (
            20,
            Effect::Status {
                status,
                message: message.clone(),
            },
        ),
        (30, Effect::StatusAfterApply { status, message }),
        (
            15,
            Effect::ErrorInOk {
                message: "Something went wrong".to_owned(),
            },
        ),
        (20, Effect::HtmlPage { status }),
        (30, Effect::TruncatedJson),
        (20, Effect::RateLimited { retry_after }),
        (never_joins, Effect::NeverJoins),
        (60, Effect::Delay { duration }),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_fault_comes_and_the_same_seed_brings_the_same() {
        let roll = |seed| {
            let mut dice = Dice::new(seed);
            let mut kinds = BTreeSet::new();
            for _ in 0..5000 {
                for orders in [false, true] {
                    let effect = of_vpsie(&mut dice, orders, orders).map(|effect| format!("{effect:?}"));
                    kinds.extend(
                        effect.map(|text| text.split([' ', '{']).next().unwrap_or_default().to_owned()),
                    );
                }
            }
            (kinds, dice.below(u32::MAX))
        };
        let (kinds, last) = roll(7);
        let wanted = [
            "Delay",
            "DropAfterApply",
            "DropBefore",
            "ErrorInOk",
            "HtmlPage",
            "NeverJoins",
            "RateLimited",
            "Stale",
            "Status",
            "StatusAfterApply",
            "TruncatedJson",
        ];
        assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), wanted);
        assert_eq!(roll(7).1, last);
    }
}
