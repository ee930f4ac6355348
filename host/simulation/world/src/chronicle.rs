//! Keeps what happened, for the summary and for tests.

use crate::narrator::Narrator;
use autoscaler_controllers::observe::{DecisionRecord, Observer};
use autoscaler_core::decision::Kind;
use parking_lot::Mutex;
use std::sync::Arc;

#[derive(Default)]
struct Kept {
    decisions: Vec<DecisionRecord>,
    peak_hourly: f64,
}

/// Hears of every decision, keeps those that did something, and passes all on to the narrator.
#[derive(Default)]
pub struct Chronicle {
    kept: Mutex<Kept>,
    narrator: Option<Arc<Narrator>>,
}

impl Chronicle {
    pub(crate) fn new(narrator: Option<Arc<Narrator>>) -> Arc<Self> {
        Arc::new(Self {
            kept: Mutex::default(),
            narrator,
        })
    }

    /// Decisions that led to an action, rejected something anew, or had a policy fail, in order.
    pub fn decisions(&self) -> Vec<DecisionRecord> {
        self.kept.lock().decisions.clone()
    }

    /// The highest price per hour so far.
    pub fn peak_hourly(&self) -> f64 {
        self.kept.lock().peak_hourly
    }

    pub(crate) fn price(&self, hourly: f64) {
        let mut kept = self.kept.lock();
        kept.peak_hourly = kept.peak_hourly.max(hourly);
    }
}

impl Observer for Chronicle {
    fn decided(&self, record: &DecisionRecord) {
        let news = {
            let mut kept = self.kept.lock();
            let last = kept
                .decisions
                .iter()
                .rev()
                .find(|known| known.kind == record.kind);
            let news = is_news(record, last);
            if news {
                kept.decisions.push(record.clone());
            }
            news
        };
        if let Some(narrator) = self.narrator.as_ref().filter(|_| news) {
            narrator.decided(record);
        }
    }
}

/// Most looks at a quiet cluster find nothing to do; saying so every few seconds helps nobody.
fn is_news(record: &DecisionRecord, last: Option<&DecisionRecord>) -> bool {
    // How many pods wait changes all the time; who waits, and why, is what matters.
    let rejected = |record: &DecisionRecord| -> Vec<(String, String)> {
        record
            .rejections
            .iter()
            .map(|note| (note.subject.clone(), note.reason.code.clone()))
            .collect()
    };
    let failed = |record: &DecisionRecord| -> Vec<(String, &'static str)> {
        record
            .failed
            .iter()
            .map(|failed| (failed.policy.digest.clone(), failed.reason))
            .collect()
    };
    // A rebalance that does nothing lists the nodes that stay; scale-up names pods that must wait.
    let somebody_waits = record.kind != Kind::Rebalance && !record.rejections.is_empty();
    let rejects_anew = somebody_waits && last.is_none_or(|last| rejected(last) != rejected(record));
    let fails_anew = !record.failed.is_empty() && last.is_none_or(|last| failed(last) != failed(record));
    !record.actions.is_empty() || rejects_anew || fails_anew
}

#[cfg(test)]
mod tests {
    use super::*;
    use autoscaler_controllers::observe::{ActionText, DecidedBy};
    use autoscaler_core::decision::{Note, Reason};

    fn record(kind: Kind, action: bool, rejection: Option<&str>) -> DecisionRecord {
        let reason = || Reason::new("Because", "of a test");
        DecisionRecord {
            at: jiff::Timestamp::UNIX_EPOCH,
            kind,
            policy: DecidedBy {
                name: "p".into(),
                digest: "sha256:0".into(),
                version: "1".into(),
            },
            actions: action
                .then(|| ActionText {
                    action: "buy".into(),
                    reason: reason(),
                })
                .into_iter()
                .collect(),
            rejections: rejection
                .map(|subject| Note {
                    subject: subject.into(),
                    reason: reason(),
                })
                .into_iter()
                .collect(),
            notes: vec![],
            failed: vec![],
            duration_us: 1,
            fuel: 1,
        }
    }

    #[test]
    fn only_news_is_kept() {
        let chronicle = Chronicle::new(None);
        for (kind, action, rejection, kept) in [
            (Kind::ScaleUp, false, None, 0),
            (Kind::ScaleUp, true, Some("a"), 1),
            (Kind::ScaleUp, false, Some("a"), 1),
            (Kind::Rebalance, false, Some("a"), 1),
            (Kind::NodeSelection, false, Some("a"), 2),
            (Kind::Rebalance, true, Some("a"), 3),
            (Kind::ScaleUp, false, Some("b"), 4),
            (Kind::ScaleUp, true, Some("b"), 5),
        ] {
            chronicle.decided(&record(kind, action, rejection));
            assert_eq!(chronicle.decisions().len(), kept);
        }
    }
}
