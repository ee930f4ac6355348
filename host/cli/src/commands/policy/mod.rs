//! The author's desk: everything about policies that needs no cluster. Components run in the engine of the
//! controller, under the limits of the controller.

mod bench;
mod build;
mod check;
mod desk;
mod distribution;
mod fuzz;
mod inspect;
mod new;
mod replay;
mod run;
mod sdk;
mod test;

use crate::arguments::Policy;

pub(crate) fn run(command: &Policy) -> anyhow::Result<()> {
    match command {
        Policy::New(options) => new::run(options),
        Policy::Build(options) => build::run(options),
        Policy::Check(options) => check::run(options),
        Policy::Inspect(options) => inspect::run(options),
        Policy::Run(options) => run::run(options),
        Policy::Test(options) => test::run(options),
        Policy::Replay(options) => replay::run(options),
        Policy::Bench(options) => bench::run(options),
        Policy::Fuzz(options) => fuzz::run(options),
        Policy::Push(options) => distribution::push(options),
        Policy::Pull(options) => distribution::pull(options),
    }
}
