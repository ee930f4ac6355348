//! Native tests of policies: an oracle that the test brings, for the time of one closure.

use crate::NodeGroup;
use crate::what_if::{Outcome, Question};
use std::cell::RefCell;
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread;

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

/// The same with an oracle that borrows: the policy runs in a thread of its own, and asks across.
///
/// # Panics
/// Where the policy does.
pub fn with_borrowed_oracle<R: Send>(
    oracle: impl Fn(&Question) -> Outcome,
    test: impl FnOnce() -> R + Send,
) -> R {
    let (ask, asked) = mpsc::channel::<Question>();
    let (tell, told) = mpsc::channel::<Outcome>();
    thread::scope(move |scope| {
        let policy = scope.spawn(move || {
            let across = move |question: &Question| {
                // Where the other side is gone, it panicked, and that is what is reported.
                drop(ask.send(question.clone()));
                told.recv().unwrap_or_else(|_| panic!("the oracle is gone"))
            };
            with_oracle(across, test)
        });
        for question in asked {
            drop(tell.send(oracle(&question)));
        }
        policy.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// A group without nodes that may grow to so many.
#[must_use]
pub fn node_group(name: &str, max: u32) -> NodeGroup {
    NodeGroup {
        name: name.to_owned(),
        min: 0,
        max,
        current: 0,
        upcoming: 0,
        since_scale_up_ms: None,
        since_scale_down_ms: None,
        annotations: Vec::new(),
    }
}

/// Where the rows of a table of classes × templates begin, where no two classes are alike.
#[must_use]
pub fn table_rows(classes: usize, templates: usize) -> Vec<u32> {
    let begin = |class: usize| u32::try_from(class * templates).unwrap_or(u32::MAX);
    (0..classes).map(begin).collect()
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
