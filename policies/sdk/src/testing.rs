//! Native tests of policies: an oracle that the test brings, for the time of one closure.

use crate::what_if::{Outcome, Question};
use std::cell::RefCell;

type Oracle = Box<dyn Fn(&Question) -> Outcome>;

thread_local! {
    static ORACLE: RefCell<Option<Oracle>> = const { RefCell::new(None) };
}

/// Runs `test` with an oracle that answers what [`crate::what_if::ask`] asks in this thread.
pub fn with_oracle<R>(oracle: impl Fn(&Question) -> Outcome + 'static, test: impl FnOnce() -> R) -> R {
    let before = ORACLE.replace(Some(Box::new(oracle)));
    let result = test();
    ORACLE.set(before);
    result
}

/// Answers from the oracle of the running test.
///
/// # Panics
/// Outside [`with_oracle`]: a test whose policy asks has to say what the answer is.
pub(crate) fn answer(question: &Question) -> Outcome {
    ORACLE.with_borrow(|oracle| match oracle {
        Some(oracle) => oracle(question),
        None => panic!("the policy asked the oracle outside `with_oracle`: {question:?}"),
    })
}
