//! Where a suspended guest and the oracle meet.
//!
//! A store owns what its host functions see, so a borrowed oracle cannot be in it. Instead the host function
//! puts the question down and suspends the guest; the caller, who has the oracle, finds the question, answers
//! it, and resumes the guest. All in one thread: a coroutine, not concurrency.

use autoscaler_core::decision::{Oracle, WhatIfOutcome, WhatIfQuestion};
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// The outcome with the work that it took, or what was wrong with the question.
type Reply = Result<(WhatIfOutcome, u64), String>;

/// The place for one question and one reply.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    slot: Mutex<Slot>,
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Empty,
    Asked(WhatIfQuestion),
    Answered(Reply),
}

impl Exchange {
    /// The guest's side.
    pub(crate) async fn ask(&self, question: WhatIfQuestion) -> Reply {
        self.replace(Slot::Asked(question));
        poll_fn(|_| match self.replace(Slot::Empty) {
            Slot::Answered(reply) => Poll::Ready(reply),
            other => {
                self.replace(other);
                Poll::Pending
            }
        })
        .await
    }

    /// The caller's side: runs the guest to its end and answers its questions on the way.
    pub(crate) fn run<F: Future>(&self, guest: F, oracle: &dyn Oracle) -> F::Output {
        let mut guest = pin!(guest);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = guest.as_mut().poll(&mut context) {
                return output;
            }
            if let Slot::Asked(question) = self.replace(Slot::Empty) {
                self.replace(Slot::Answered(oracle.what_if(&question)));
            }
        }
    }

    fn replace(&self, slot: Slot) -> Slot {
        std::mem::replace(
            &mut *self.slot.lock().unwrap_or_else(PoisonError::into_inner),
            slot,
        )
    }
}
