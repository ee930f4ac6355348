//! Tells what happens in plain sentences with virtual times, one line each, readable without colour.

use crate::clock::stopwatch;
use crate::view::{PodCounts, View};
use autoscaler_controllers::observe::DecisionRecord;
use fake_vpsie::{FakeVpsie, VmEvent};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Where the lines go.
pub type Sink = Box<dyn FnMut(&str) + Send>;

/// Machines are told of in this rhythm, those that share one in one line.
const TICK: Duration = Duration::from_secs(1);
/// Counts of pods and nodes are told of at most this often.
const TICKS_PER_COUNT: u32 = 5;
/// More rejections than this are counted instead of told.
const MOST_REJECTIONS: usize = 3;

/// See the module's text.
pub struct Narrator {
    start: Instant,
    sink: Mutex<Sink>,
}

impl Narrator {
    /// Virtual time counts from now.
    pub fn new(sink: Sink) -> Arc<Self> {
        Arc::new(Self {
            start: Instant::now(),
            sink: Mutex::new(sink),
        })
    }

    /// One line with the time in front.
    pub fn say(&self, text: &str) {
        let line = format!("[+{}] {text}", stopwatch(self.start.elapsed()));
        (self.sink.lock())(&line);
    }

    fn detail(&self, text: &str) {
        (self.sink.lock())(&format!("            {text}"));
    }

    pub(crate) fn decided(&self, record: &DecisionRecord) {
        for failed in &record.failed {
            self.say(&format!(
                "policy {} failed at {}: {}",
                failed.policy.name, record.kind, failed.reason
            ));
            self.detail(&failed.message);
        }
        self.say(&format!(
            "decision {} by {} {} ({}) in {} us:",
            record.kind,
            record.policy.name,
            record.policy.version,
            short(&record.policy.digest),
            record.duration_us
        ));
        if record.actions.is_empty() {
            self.detail("nothing to do");
        }
        for action in &record.actions {
            self.detail(&format!(
                "{}: {} [{}]",
                action.action, action.reason.text, action.reason.code
            ));
        }
        if record.rejections.len() > MOST_REJECTIONS {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            record
                .rejections
                .iter()
                .for_each(|note| *counts.entry(&note.reason.code).or_default() += 1);
            let list: Vec<String> = counts
                .iter()
                .map(|(code, count)| format!("{count} {code}"))
                .collect();
            self.detail(&format!(
                "not for {} others: {}",
                record.rejections.len(),
                list.join(", ")
            ));
        } else {
            for note in &record.rejections {
                self.detail(&format!(
                    "not for {}: {} [{}]",
                    note.subject, note.reason.text, note.reason.code
                ));
            }
        }
        for note in &record.notes {
            self.detail(&format!(
                "checker, {}: {} [{}]",
                note.subject, note.reason.text, note.reason.code
            ));
        }
    }

    /// Tells of machines, nodes and pods until `shutdown`.
    pub(crate) async fn follow(
        self: Arc<Self>,
        fake: Arc<FakeVpsie>,
        mut events: UnboundedReceiver<VmEvent>,
        view: Arc<View>,
        shutdown: CancellationToken,
    ) {
        let offers = fake
            .config()
            .offers
            .into_iter()
            .map(|offer| (offer.id, offer.name))
            .collect();
        let (mut pods, mut nodes) = (PodCounts::default(), 0);
        for tick in 1u32.. {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
            let mut happened = Vec::new();
            while let Ok(event) = events.try_recv() {
                happened.push(event);
            }
            self.machines(&happened, &offers, fake.inventory().price_hourly);
            if tick % TICKS_PER_COUNT != 0 {
                continue;
            }
            let (pods_now, nodes_now) = (view.pod_counts(None), view.ready_nodes());
            if nodes_now != nodes {
                self.say(&format!(
                    "Kubernetes: {nodes_now} nodes of groups ready (before: {nodes})"
                ));
                nodes = nodes_now;
            }
            if pods_now != pods {
                let PodCounts {
                    total,
                    running,
                    pending,
                } = pods_now;
                self.say(&format!(
                    "Kubernetes: {total} pods, {running} running, {pending} pending"
                ));
                pods = pods_now;
            }
        }
    }

    fn machines(&self, events: &[VmEvent], offers: &BTreeMap<i64, String>, hourly: f64) {
        type Picks = fn(&VmEvent) -> bool;
        let stages: [(Picks, &str); 4] = [
            (|event| matches!(event, VmEvent::Accepted(_)), "ordered"),
            (|event| matches!(event, VmEvent::Booted(_)), "booted and joining"),
            (|event| matches!(event, VmEvent::Deleting(_)), "given back"),
            (|event| matches!(event, VmEvent::Removed(_)), "gone"),
        ];
        for (picks, word) in stages {
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            for event in events.iter().filter(|event| picks(event)) {
                let offer = offers
                    .get(&event.vm().size.offer)
                    .map_or("unknown", String::as_str);
                *counts.entry(offer).or_default() += 1;
            }
            if !counts.is_empty() {
                let list: Vec<String> = counts
                    .iter()
                    .map(|(name, count)| format!("{count} x {name}"))
                    .collect();
                self.say(&format!(
                    "VPSie: {} {word} (now {hourly:.4} per hour)",
                    list.join(", ")
                ));
            }
        }
    }
}

fn short(digest: &str) -> &str {
    digest.get(..19).unwrap_or(digest)
}
