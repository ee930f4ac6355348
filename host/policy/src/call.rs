//! One call: a fresh instance, asked under limits, and gone afterwards.

use crate::bindings::{growth, selection, shrinkage, types};
use crate::compile::CompiledPolicy;
use crate::engine::{Engine, TICK};
use crate::error::CallError;
use crate::exchange::Exchange;
use crate::limits::Limits;
use crate::state::{LogLevel, LogLine, State};
use crate::{lift, lower, shape};
use autoscaler_core::decision::{Answer, Oracle, Question, WhatIfOutcome, WhatIfQuestion};
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::{Store, Trap};

/// An answer with what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallReport {
    pub answer: Answer,
    /// The same for the same component and question, on every machine.
    pub fuel_used: u64,
    pub duration: Duration,
    /// Bytes of linear memory at the end, which is also the most.
    pub memory_peak: u64,
    pub log: Vec<LogLine>,
    /// Lines above the limit, which were not kept.
    pub log_dropped: u32,
    pub what_if_calls: u32,
}

/// The interface to call, with everything prepared that does not depend on the call.
pub(crate) enum Target {
    ScaleUp(growth::ScaleUpPolicyPre<State>),
    NodeSelection(selection::NodeSelectionPolicyPre<State>),
    Rebalance(shrinkage::RebalancePolicyPre<State>),
}

impl CompiledPolicy {
    /// Asks the policy, without any fall-back.
    ///
    /// # Errors
    /// Where it gives no answer, or one that speaks of things that were not in the question.
    pub fn decide(
        &self,
        question: &Question,
        config: &str,
        limits: &Limits,
        oracle: &dyn Oracle,
    ) -> Result<CallReport, CallError> {
        self.decide_with_log(question, config, limits, oracle).0
    }

    /// The same, with the log even where the call failed.
    pub(crate) fn decide_with_log(
        &self,
        question: &Question,
        config: &str,
        limits: &Limits,
        oracle: &dyn Oracle,
    ) -> (Result<CallReport, CallError>, Vec<LogLine>) {
        match self.target(question.kind()) {
            Ok(target) => Call::new(self.engine(), target, limits).decide(question, config, oracle),
            Err(error) => (Err(error), Vec::new()),
        }
    }
}

/// A call that has its store and has not begun.
pub(crate) struct Call<'a> {
    target: &'a Target,
    limits: &'a Limits,
    exchange: Arc<Exchange>,
    store: Store<State>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(engine: &Engine, target: &'a Target, limits: &'a Limits) -> Self {
        let exchange = Arc::new(Exchange::default());
        let mut store = Store::new(engine.wasmtime(), State::new(limits, Arc::clone(&exchange)));
        store.limiter(|state| &mut state.gauge);
        store.set_hostcall_fuel(usize::try_from(limits.output_bytes).unwrap_or(usize::MAX));
        Self {
            target,
            limits,
            exchange,
            store,
        }
    }

    pub(crate) fn describe(self) -> Result<types::Description, CallError> {
        self.alone(async |target, store| match target {
            Target::ScaleUp(pre) => {
                let policy = pre.instantiate_async(&mut *store).await?;
                policy.vpsie_autoscaler_scale_up().call_describe(store).await
            }
            Target::NodeSelection(pre) => {
                let policy = pre.instantiate_async(&mut *store).await?;
                policy
                    .vpsie_autoscaler_node_selection()
                    .call_describe(store)
                    .await
            }
            Target::Rebalance(pre) => {
                let policy = pre.instantiate_async(&mut *store).await?;
                policy.vpsie_autoscaler_rebalance().call_describe(store).await
            }
        })
    }

    pub(crate) fn validate_config(self, config: &str) -> Result<Vec<types::Diagnostic>, CallError> {
        self.alone(async |target, store| match target {
            Target::ScaleUp(pre) => {
                let policy = pre.instantiate_async(&mut *store).await?;
                policy
                    .vpsie_autoscaler_scale_up()
                    .call_validate_config(store, config)
                    .await
            }
            Target::NodeSelection(pre) => {
                let policy = pre.instantiate_async(&mut *store).await?;
                policy
                    .vpsie_autoscaler_node_selection()
                    .call_validate_config(store, config)
                    .await
            }
            Target::Rebalance(pre) => {
                let policy = pre.instantiate_async(&mut *store).await?;
                policy
                    .vpsie_autoscaler_rebalance()
                    .call_validate_config(store, config)
                    .await
            }
        })
    }

    fn decide(
        mut self,
        question: &Question,
        config: &str,
        oracle: &dyn Oracle,
    ) -> (Result<CallReport, CallError>, Vec<LogLine>) {
        let begun = Instant::now();
        let result = self.run(oracle, async |target, store| {
            answer(target, store, question, config).await
        });
        let duration = begun.elapsed();
        let fuel_used = self
            .limits
            .fuel
            .saturating_sub(self.store.get_fuel().unwrap_or(0));
        let state = self.store.into_data();
        let answer = result.and_then(|answer| answer).and_then(|answer| {
            shape::check(question, &answer).map_err(CallError::Garbage)?;
            Ok(answer)
        });
        match answer {
            Ok(answer) => {
                let report = CallReport {
                    answer,
                    fuel_used,
                    duration,
                    memory_peak: state.gauge.peak(),
                    log: state.log,
                    log_dropped: state.log_dropped,
                    what_if_calls: state.questions,
                };
                (Ok(report), Vec::new())
            }
            Err(error) => (Err(error), state.log),
        }
    }

    /// Runs what has no cluster to ask about.
    fn alone<R>(
        mut self,
        guest: impl AsyncFnOnce(&Target, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, CallError> {
        self.run(&Silent, guest)
    }

    fn run<R>(
        &mut self,
        oracle: &dyn Oracle,
        guest: impl AsyncFnOnce(&Target, &mut Store<State>) -> wasmtime::Result<R>,
    ) -> Result<R, CallError> {
        let fuelled = self.store.set_fuel(self.limits.fuel);
        // A deadline of 0 ticks would end the guest at once, and the current tick has begun already.
        let ticks = self.limits.deadline.as_millis().div_ceil(TICK.as_millis()) + 1;
        self.store
            .set_epoch_deadline(u64::try_from(ticks).unwrap_or(u64::MAX / 2));
        let result = match fuelled {
            Ok(()) => {
                let exchange = Arc::clone(&self.exchange);
                exchange.run(guest(self.target, &mut self.store), oracle)
            }
            Err(error) => Err(error),
        };
        result.map_err(|error| self.classify(&error))
    }

    /// Which limit or fault ended the guest.
    fn classify(&self, error: &wasmtime::Error) -> CallError {
        let state = self.store.data();
        if let Some(text) = &state.nonsense {
            return CallError::Garbage(text.clone());
        }
        if state.gauge.refused() {
            return CallError::MemoryLimit(self.limits.memory_bytes);
        }
        match error.downcast_ref::<Trap>() {
            Some(Trap::OutOfFuel) => return CallError::OutOfFuel(self.limits.fuel),
            Some(Trap::Interrupt) => return CallError::Deadline(self.limits.deadline),
            _ => {}
        }
        let cause = error.root_cause().to_string();
        // The runtime keeps the type of this error to itself.
        if cause.contains("fuel allocated for hostcalls has been exhausted") {
            return CallError::OutputLimit(self.limits.output_bytes);
        }
        // A panic's message arrives as the last line of the log.
        match state.log.last() {
            Some(line) if line.level == LogLevel::Error => {
                CallError::Trap(format!("{cause} ({})", line.text))
            }
            _ => CallError::Trap(cause),
        }
    }
}

async fn answer(
    target: &Target,
    store: &mut Store<State>,
    question: &Question,
    config: &str,
) -> wasmtime::Result<Result<Answer, CallError>> {
    let answer = match (target, question) {
        (
            Target::ScaleUp(pre),
            Question::ScaleUp {
                context,
                catalogue,
                pending,
            },
        ) => {
            let policy = pre.instantiate_async(&mut *store).await?;
            let snapshot = lower::scale_up(context, catalogue, pending);
            let demand = policy
                .vpsie_autoscaler_scale_up()
                .call_decide(store, &snapshot, config)
                .await?;
            demand.map(|demand| Answer::ScaleUp(lift::demand(demand)))
        }
        (
            Target::NodeSelection(pre),
            Question::NodeSelection {
                context,
                catalogue,
                pending,
                demand,
            },
        ) => {
            let policy = pre.instantiate_async(&mut *store).await?;
            let snapshot = lower::node_selection(context, catalogue, pending, demand);
            let mix = policy
                .vpsie_autoscaler_node_selection()
                .call_decide(store, &snapshot, config)
                .await?;
            mix.map(|mix| Answer::NodeSelection(lift::mix(mix)))
        }
        (
            Target::Rebalance(pre),
            Question::Rebalance {
                context,
                catalogue,
                fleet,
                waiting_pods,
                removal_budget,
            },
        ) => {
            let policy = pre.instantiate_async(&mut *store).await?;
            let snapshot = lower::rebalance(context, catalogue, fleet, *waiting_pods, *removal_budget);
            let proposal = policy
                .vpsie_autoscaler_rebalance()
                .call_decide(store, &snapshot, config)
                .await?;
            proposal.map(|proposal| Answer::Rebalance(lift::proposal(proposal)))
        }
        _ => {
            return Ok(Err(CallError::BadConfig(format!(
                "the component was not asked about {}",
                question.kind()
            ))));
        }
    };
    Ok(answer.map_err(lift::error))
}

/// The oracle of calls that are not decisions.
struct Silent;

impl Oracle for Silent {
    fn what_if(&self, _: &WhatIfQuestion) -> Result<(WhatIfOutcome, u64), String> {
        Err("a question to the oracle outside of a decision".to_owned())
    }
}
