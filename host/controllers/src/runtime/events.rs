//! Kubernetes events, sent in the background so that no controller waits for them.
//!
//! These are core/v1 events, which `kubectl describe` shows. Equal ones (same object, type, reason and
//! note) within an hour are one event whose count grows. kube's own recorder reads the wall clock and
//! waits for the API server; this one does neither.

use super::chain;
use super::metrics::Metrics;
use crate::context::Now;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams, PostParams};
pub use kube::runtime::events::EventType;
use kube::{Api, Client};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Events that may wait for the API server. A decision over some thousand pods writes one for each.
const WAITING: usize = 8192;
/// Different events that are remembered for counting.
const REMEMBERED: usize = 8192;
const SAME_FOR: SignedDuration = SignedDuration::from_hours(1);
/// A repeat is written at most this often; those between are counted with the next one.
const REPEAT_EVERY: SignedDuration = SignedDuration::from_secs(30);
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// The API server refuses longer messages.
const LONGEST_NOTE: usize = 1024;
const COMPONENT: &str = "vpsie-autoscaler";

/// Where events go; cheap to clone.
#[derive(Clone)]
pub struct Events {
    queue: mpsc::Sender<Order>,
    metrics: Arc<Metrics>,
}

enum Order {
    Write(Box<Notice>),
    Flush(oneshot::Sender<()>),
}

struct Notice {
    regarding: ObjectReference,
    type_: &'static str,
    reason: String,
    action: String,
    note: String,
}

impl Events {
    /// Starts the task that sends. With the token it sends what waits already, and ends.
    pub fn spawn(client: Client, now: Now, metrics: Arc<Metrics>, shutdown: CancellationToken) -> Self {
        let (queue, orders) = mpsc::channel(WAITING);
        let writer = Writer {
            client,
            now,
            metrics: metrics.clone(),
            written: BTreeMap::new(),
        };
        tokio::spawn(writer.run(orders, shutdown));
        Self { queue, metrics }
    }

    /// Says about an object that something happened. `reason` and `action` are CamelCase words.
    pub fn publish(
        &self,
        regarding: &ObjectReference,
        type_: EventType,
        reason: &str,
        action: &str,
        note: impl Into<String>,
    ) {
        let notice = Notice {
            regarding: regarding.clone(),
            type_: match type_ {
                EventType::Normal => "Normal",
                EventType::Warning => "Warning",
            },
            reason: reason.to_owned(),
            action: action.to_owned(),
            note: shortened(note.into()),
        };
        if self.queue.try_send(Order::Write(Box::new(notice))).is_err() {
            self.metrics.event_dropped();
        }
    }

    /// Waits until everything that was published before has been sent or dropped.
    pub async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.queue.send(Order::Flush(done)).await.is_ok() {
            // An error says that the task has ended: then nothing waits.
            let _ = wait.await;
        }
    }
}

fn shortened(mut note: String) -> String {
    if note.len() > LONGEST_NOTE {
        let mut end = LONGEST_NOTE - '…'.len_utf8();
        while !note.is_char_boundary(end) {
            end -= 1;
        }
        note.truncate(end);
        note.push('…');
    }
    note
}

/// Identity of an event: object, type, reason, note.
type Key = (String, &'static str, String, String);

struct Written {
    name: String,
    count: i32,
    first: Timestamp,
    /// When the API server was told last.
    told: Timestamp,
}

struct Writer {
    client: Client,
    now: Now,
    metrics: Arc<Metrics>,
    written: BTreeMap<Key, Written>,
}

impl Writer {
    async fn run(mut self, mut orders: mpsc::Receiver<Order>, shutdown: CancellationToken) {
        loop {
            let order = tokio::select! {
                biased;
                () = shutdown.cancelled() => {
                    orders.close();
                    orders.recv().await
                }
                order = orders.recv() => order,
            };
            match order {
                Some(Order::Write(notice)) => self.write(*notice).await,
                Some(Order::Flush(done)) => {
                    // Whoever waited may have gone away.
                    let _ = done.send(());
                }
                None => return,
            }
        }
    }

    async fn write(&mut self, notice: Notice) {
        let now = (self.now)();
        let key = (
            identity(&notice.regarding),
            notice.type_,
            notice.reason.clone(),
            notice.note.clone(),
        );
        let namespace = notice
            .regarding
            .namespace
            .clone()
            .unwrap_or_else(|| "default".to_owned());
        let api = Api::<Event>::namespaced(self.client.clone(), &namespace);
        if self
            .written
            .get(&key)
            .is_some_and(|written| now.duration_since(written.first) >= SAME_FOR)
        {
            self.written.remove(&key);
        }
        let result = match self.written.get_mut(&key) {
            Some(written) => {
                written.count = written.count.saturating_add(1);
                if now.duration_since(written.told) < REPEAT_EVERY {
                    return;
                }
                written.told = now;
                let patch = serde_json::json!({"count": written.count, "lastTimestamp": Time(now)});
                let (name, patch) = (written.name.clone(), Patch::Merge(&patch));
                timeout(CALL_TIMEOUT, api.patch(&name, &PatchParams::default(), &patch)).await
            }
            None => {
                let event = compose(&notice, &key, &namespace, now);
                let name = event.metadata.name.clone().unwrap_or_default();
                self.remember(
                    key.clone(),
                    Written {
                        name,
                        count: 1,
                        first: now,
                        told: now,
                    },
                );
                timeout(CALL_TIMEOUT, api.create(&PostParams::default(), &event)).await
            }
        };
        let problem = match result {
            Ok(Ok(_)) => return self.metrics.event_sent(notice.type_),
            Ok(Err(error)) => chain(&error),
            Err(_) => "timeout".to_owned(),
        };
        // Without the record the next equal event is a new one: the API server forgets events by itself.
        self.written.remove(&key);
        self.metrics.event_dropped();
        tracing::debug!(
            reason = notice.reason,
            object = key.0,
            "an event was not taken: {problem}"
        );
    }

    fn remember(&mut self, key: Key, written: Written) {
        if self.written.len() >= REMEMBERED {
            let oldest = self
                .written
                .iter()
                .min_by_key(|(_, written)| written.told)
                .map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.written.remove(&oldest);
            }
        }
        self.written.insert(key, written);
    }
}

fn identity(object: &ObjectReference) -> String {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    match &object.uid {
        Some(uid) => uid.clone(),
        None => format!(
            "{}/{}/{}",
            part(&object.kind),
            part(&object.namespace),
            part(&object.name)
        ),
    }
}

fn compose(notice: &Notice, key: &Key, namespace: &str, now: Timestamp) -> Event {
    let mut hash = Sha256::new();
    for part in [key.0.as_str(), key.1, key.2.as_str(), key.3.as_str()] {
        hash.update(part.as_bytes());
        hash.update([0]);
    }
    hash.update(now.as_nanosecond().to_le_bytes());
    let suffix: String = hash
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let object = notice.regarding.name.as_deref().unwrap_or(COMPONENT);
    let mut event = Event {
        involved_object: notice.regarding.clone(),
        type_: Some(notice.type_.to_owned()),
        reason: Some(notice.reason.clone()),
        action: Some(notice.action.clone()),
        message: Some(notice.note.clone()),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        source: Some(EventSource {
            component: Some(COMPONENT.to_owned()),
            host: None,
        }),
        reporting_component: Some(COMPONENT.to_owned()),
        ..Event::default()
    };
    event.metadata.namespace = Some(namespace.to_owned());
    event.metadata.name = Some(format!("{object}.{suffix}"));
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeApi;

    fn pod(name: &str) -> ObjectReference {
        ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some("team".to_owned()),
            name: Some(name.to_owned()),
            uid: Some(format!("uid-{name}")),
            ..ObjectReference::default()
        }
    }

    fn start(api: &FakeApi) -> (Events, Arc<Metrics>, CancellationToken) {
        let (metrics, shutdown) = (Arc::new(Metrics::new()), CancellationToken::new());
        (
            Events::spawn(api.client(), api.now(), metrics.clone(), shutdown.clone()),
            metrics,
            shutdown,
        )
    }

    #[tokio::test(start_paused = true)]
    async fn equal_events_within_an_hour_are_one_with_a_count() {
        let api = FakeApi::new();
        let (events, _, _) = start(&api);
        let say = |object: &ObjectReference, note: &str| {
            events.publish(object, EventType::Warning, "NotTriggerScaleUp", "ScaleUp", note);
        };
        let counts = || -> Vec<i64> {
            let mut all = api.objects("events");
            all.sort_by_key(|event| event["firstTimestamp"].as_str().unwrap_or_default().to_owned());
            all.iter().filter_map(|event| event["count"].as_i64()).collect()
        };
        say(&pod("a"), "too big");
        events.flush().await;
        assert_eq!(counts(), [1]);
        let event = &api.objects("events")[0];
        assert_eq!(event["involvedObject"]["uid"], "uid-a");
        assert_eq!(event["metadata"]["namespace"], "team");
        assert_eq!(event["reason"], "NotTriggerScaleUp");
        // A repeat at once is counted and written later.
        say(&pod("a"), "too big");
        events.flush().await;
        assert_eq!(counts(), [1]);
        tokio::time::sleep(Duration::from_secs(31)).await;
        say(&pod("a"), "too big");
        events.flush().await;
        assert_eq!(counts(), [3]);
        say(&pod("a"), "another note");
        say(&pod("b"), "too big");
        events.flush().await;
        assert_eq!(counts(), [3, 1, 1]);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        say(&pod("a"), "too big");
        events.flush().await;
        assert_eq!(counts(), [3, 1, 1, 1]);
    }

    #[tokio::test(start_paused = true)]
    async fn too_many_events_are_dropped_and_counted_and_nobody_waits() {
        let api = FakeApi::new();
        api.fail_with(Some(500));
        let (events, metrics, _) = start(&api);
        for number in 0..WAITING + 5 {
            events.publish(&pod(&number.to_string()), EventType::Normal, "R", "A", "n");
        }
        assert!(
            metrics
                .render()
                .contains("vpsie_autoscaler_events_dropped_total 5\n")
        );
        events.flush().await;
        let refused = format!("vpsie_autoscaler_events_dropped_total {}\n", WAITING + 5);
        assert!(metrics.render().contains(&refused), "{}", metrics.render());
    }

    #[test]
    fn long_notes_are_cut_between_characters() {
        let note = shortened("ä".repeat(2000));
        assert!(
            note.len() <= LONGEST_NOTE && note.ends_with('…'),
            "{}",
            note.len()
        );
        assert_eq!(shortened("short".to_owned()), "short");
    }
}
