//! What an instance sees of the host: the log and the oracle, both bounded.

use crate::bindings::{log, what_if};
use crate::exchange::Exchange;
use crate::limits::{Gauge, Limits};
use crate::{lift, lower};
use std::sync::Arc;
use wasmtime::component::Linker;
use wasmtime::{StoreContextMut, Trap};

/// Lines of one call that are kept. A policy that says more is talking to itself.
const LOG_LINES: usize = 200;
/// Characters of a line that are kept.
const LOG_LINE_CHARS: usize = 1000;
/// Questions of one call. The built-in policies ask some dozens.
const QUESTIONS: u32 = 2000;
/// New nodes in one question: above what any cluster may gain in a decision, and little enough to imagine.
const IMAGINED_NODES: u64 = 20_000;
/// Fuel for a question, whatever it says: setting up the imagined cluster.
const QUESTION_FUEL: u64 = 2_000;
/// Fuel for trying one pod class on one node, about what a guest would use to do it itself.
const STEP_FUEL: u64 = 100;

/// How important a line of a policy's log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// A line of a policy's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub level: LogLevel,
    pub text: String,
}

/// The data of a store.
pub(crate) struct State {
    pub(crate) gauge: Gauge,
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) log: Vec<LogLine>,
    pub(crate) log_dropped: u32,
    pub(crate) questions: u32,
    /// What was wrong with a question to the oracle; the guest was ended for it.
    pub(crate) nonsense: Option<String>,
}

impl State {
    pub(crate) fn new(limits: &Limits, exchange: Arc<Exchange>) -> Self {
        Self {
            gauge: Gauge::new(limits),
            exchange,
            log: Vec::new(),
            log_dropped: 0,
            questions: 0,
            nonsense: None,
        }
    }

    fn write(&mut self, level: log::Level, text: &str) {
        if self.log.len() == LOG_LINES {
            self.log_dropped = self.log_dropped.saturating_add(1);
            return;
        }
        let level = match level {
            log::Level::Debug => LogLevel::Debug,
            log::Level::Info => LogLevel::Info,
            log::Level::Warn => LogLevel::Warn,
            log::Level::Error => LogLevel::Error,
        };
        self.log.push(LogLine {
            level,
            text: lift::printable(text, LOG_LINE_CHARS),
        });
    }

    /// Ends the guest because of a question that makes no sense.
    fn reject(&mut self, text: String) -> wasmtime::Error {
        let error = wasmtime::Error::msg(text.clone());
        self.nonsense = Some(text);
        error
    }
}

/// Everything that a component may import.
pub(crate) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    linker.instance("vpsie:autoscaler/types@0.1.0")?;
    linker.instance("vpsie:autoscaler/log@0.1.0")?.func_wrap(
        "write",
        |mut store: StoreContextMut<'_, State>, (level, text): (log::Level, String)| {
            store.data_mut().write(level, &text);
            Ok(())
        },
    )?;
    linker
        .instance("vpsie:autoscaler/what-if@0.1.0")?
        .func_wrap_async(
            "ask",
            |store: StoreContextMut<'_, State>, (question,): (what_if::Question,)| {
                Box::new(async move { ask(store, question).await.map(|outcome| (outcome,)) })
            },
        )?;
    Ok(linker)
}

async fn ask(
    mut store: StoreContextMut<'_, State>,
    question: what_if::Question,
) -> wasmtime::Result<what_if::Outcome> {
    let state = store.data_mut();
    state.questions += 1;
    if state.questions > QUESTIONS {
        return Err(state.reject(format!("more than {QUESTIONS} questions to the oracle")));
    }
    let imagined: u64 = question
        .additions
        .iter()
        .map(|addition| u64::from(addition.count))
        .sum();
    if imagined > IMAGINED_NODES {
        return Err(state.reject(format!(
            "a question with {imagined} new nodes, {IMAGINED_NODES} are allowed"
        )));
    }
    // Before the work is done: a guest that is nearly out of fuel gets no more of it for nothing.
    charge(&mut store, QUESTION_FUEL)?;
    let exchange = Arc::clone(&store.data().exchange);
    match exchange.ask(lift::question(question)).await {
        Ok((outcome, steps)) => {
            charge(&mut store, steps.saturating_mul(STEP_FUEL))?;
            Ok(lower::outcome(outcome))
        }
        Err(text) => Err(store.data_mut().reject(text)),
    }
}

fn charge(store: &mut StoreContextMut<'_, State>, cost: u64) -> wasmtime::Result<()> {
    match store.get_fuel()?.checked_sub(cost) {
        Some(rest) => store.set_fuel(rest),
        None => {
            store.set_fuel(0)?;
            Err(Trap::OutOfFuel.into())
        }
    }
}
