//! Keeps records beside the decisions: handing one over costs some pointers; writing is another thread's work.

use super::ring::{Entry, Ring};
use super::{Record, Subject, encode};
use autoscaler_core::decision::Answer;
use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Records that wait to be written. Decisions come every 60 ms at the most, and a large one is written in about
/// that time; each that waits holds a snapshot in memory.
const WAITING: usize = 8;

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// It will be written.
    Queued,
    /// It does nothing, for the same reasons as the one before it.
    Repeated,
    /// The writer does not keep up.
    Dropped,
    /// Nobody keeps records here.
    Off,
}

impl Kept {
    /// Where records are kept.
    pub const ALL: [Self; 3] = [Self::Queued, Self::Repeated, Self::Dropped];

    /// The word of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "kept",
            Self::Repeated => "repeated",
            Self::Dropped => "dropped",
            Self::Off => "off",
        }
    }
}

/// The records of one process.
#[derive(Debug, Default)]
pub struct Records {
    writer: Option<Writer>,
    /// By subject, what the last decision came to where it did nothing.
    idle: Mutex<BTreeMap<Subject, Vec<Option<Answer>>>>,
}

#[derive(Debug)]
struct Writer {
    queue: SyncSender<Message>,
    ring: Arc<Mutex<Ring>>,
}

enum Message {
    Write(Box<Record>),
    /// Tells when all before it is written.
    Flush(SyncSender<()>),
}

impl Records {
    /// Keeps nothing.
    pub fn off() -> Self {
        Self::default()
    }

    /// Keeps records in a ring.
    ///
    /// # Errors
    /// Where no thread can be started.
    pub fn keep_in(ring: Ring) -> io::Result<Self> {
        let ring = Arc::new(Mutex::new(ring));
        let (queue, messages) = sync_channel(WAITING);
        let its_ring = Arc::clone(&ring);
        std::thread::Builder::new()
            .name("decision-records".to_owned())
            .spawn(move || write(&messages, &its_ring))?;
        Ok(Self {
            writer: Some(Writer { queue, ring }),
            idle: Mutex::default(),
        })
    }

    /// Whether records are kept at all. Where they are not, nobody need make one.
    pub fn is_on(&self) -> bool {
        self.writer.is_some()
    }

    /// Keeps a record. Never waits.
    pub fn keep(&self, record: Record) -> Kept {
        let Some(writer) = &self.writer else {
            return Kept::Off;
        };
        if self.repeats(&record) {
            return Kept::Repeated;
        }
        match writer.queue.try_send(Message::Write(Box::new(record))) {
            Ok(()) => Kept::Queued,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Kept::Dropped,
        }
    }

    /// A cluster at rest is looked at every ten seconds: that it stays as it is, for the same reasons, is told once.
    fn repeats(&self, record: &Record) -> bool {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if !record.is_idle() {
            idle.remove(&record.subject);
            return false;
        }
        let calls = record.rounds.iter().flat_map(|round| &round.calls);
        let answers: Vec<Option<Answer>> = calls
            .map(|call| call.taken.as_ref().map(|taken| taken.answer.clone()))
            .collect();
        idle.insert(record.subject, answers.clone())
            .is_some_and(|before| before == answers)
    }

    /// What is kept, the oldest first.
    pub fn list(&self) -> Vec<Entry> {
        self.ring()
            .map_or_else(Vec::new, |ring| ring.entries().cloned().collect())
    }

    /// The bytes of a record, packed as they are; none where there is no such record.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn get(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.ring().map_or(Ok(None), |ring| ring.get(name))
    }

    /// The last records of a subject that can be read, the newest first.
    pub fn latest(&self, subject: Subject, count: usize) -> Vec<Record> {
        let names = self.list().into_iter().rev().map(|entry| entry.name);
        names
            .filter(|name| name.ends_with(subject.as_str()))
            .filter_map(|name| super::decode(&self.get(&name).ok()??).ok())
            .take(count)
            .collect()
    }

    /// Waits until what was handed over before is written.
    pub fn flush(&self) {
        let (done, written) = sync_channel(1);
        if let Some(writer) = &self.writer
            && writer.queue.send(Message::Flush(done)).is_ok()
        {
            // An error is a writer that has ended: there is nothing to wait for.
            let _ = written.recv();
        }
    }

    fn ring(&self) -> Option<MutexGuard<'_, Ring>> {
        self.writer.as_ref().map(|writer| lock(&writer.ring))
    }
}

fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes until nobody sends any more.
fn write(messages: &Receiver<Message>, ring: &Mutex<Ring>) {
    let mut number: u32 = 0;
    let mut failing = false;
    while let Ok(message) = messages.recv() {
        let record = match message {
            Message::Write(record) => record,
            Message::Flush(done) => {
                // Who asked may have gone away.
                let _ = done.send(());
                continue;
            }
        };
        // Two decisions may be made within a millisecond.
        number = number.wrapping_add(1) % 1_000_000;
        let name = format!(
            "{:015}-{number:06}-{}",
            record.snapshot.now_ms.max(0),
            record.subject.as_str()
        );
        let packed = encode(&record).map_err(io::Error::other);
        drop(record);
        let written = packed.and_then(|packed| lock(ring).put(&name, packed));
        match &written {
            Err(error) if !failing => tracing::warn!("decision records cannot be kept: {error}"),
            Ok(()) if failing => tracing::info!("decision records are kept again"),
            _ => {}
        }
        failing = written.is_err();
    }
}
