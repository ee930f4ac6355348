//! Who decides, and what came of it.

use super::measure::{Child, measure};
use anyhow::Result;
use std::process::Command;

/// What one run told.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Run {
    /// Of the decision alone, as the benchmark timed it.
    pub(super) seconds: f64,
    /// Processor time: of the decision where the benchmark tells it, else of the whole process.
    pub(super) cpu_seconds: Option<f64>,
    /// Most memory that the process had at once, in bytes.
    pub(super) peak_memory: Option<u64>,
    /// Nodes bought, or removed.
    pub(super) nodes: Option<u64>,
    /// Per hour.
    pub(super) price: Option<f64>,
    /// What is wrong with the plan.
    pub(super) flaw: Option<String>,
    /// What else a reader has to know.
    pub(super) remark: Option<String>,
}

type Start = Box<dyn Fn() -> Command>;
type Read = Box<dyn Fn(&Child) -> Result<Run>>;

/// How to run it, and how to read what it prints.
pub(super) struct Task {
    pub(super) command: Start,
    pub(super) read: Read,
}

impl Task {
    pub(super) fn run(&self) -> Result<Run> {
        (self.read)(&measure(&mut (self.command)())?)
    }
}

pub(super) struct Contender {
    pub(super) name: String,
    pub(super) task: Task,
    /// Where the benchmark itself does not tell the price of the plan: what does, run once.
    pub(super) price: Option<Task>,
}

impl Contender {
    pub(super) fn run(&self) -> Result<Run> {
        self.task.run()
    }
}

/// All runs of one contender on one workload.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub(super) workload: String,
    pub(super) who: String,
    pub(super) runs: Vec<Run>,
    pub(super) failure: Option<String>,
}

impl Row {
    pub(super) fn new(workload: &str, who: &str) -> Self {
        Self {
            workload: workload.to_owned(),
            who: who.to_owned(),
            runs: Vec::new(),
            failure: None,
        }
    }

    /// Adds what a run told that was made for the price alone; its time does not count.
    pub(super) fn priced(&mut self, priced: Run) {
        if let Some(last) = self.runs.last_mut() {
            last.price = priced.price;
            last.flaw = last.flaw.take().or(priced.flaw);
        }
    }

    /// The median of a number over the runs that have it.
    pub(super) fn median(&self, number: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        let mut numbers: Vec<f64> = self.runs.iter().filter_map(number).collect();
        numbers.sort_by(f64::total_cmp);
        let middle = numbers.len() / 2;
        match numbers.len() {
            0 => None,
            even if even % 2 == 0 => Some(f64::midpoint(numbers[middle - 1], numbers[middle])),
            _ => Some(numbers[middle]),
        }
    }

    /// The largest of a number over the runs that have it.
    pub(super) fn most(&self, number: impl Fn(&Run) -> Option<f64>) -> Option<f64> {
        self.runs.iter().filter_map(number).max_by(f64::total_cmp)
    }

    /// The last that a run told of something: what does not vary, or is told once.
    pub(super) fn last<T>(&self, told: impl Fn(&Run) -> Option<T>) -> Option<T> {
        self.runs.iter().rev().find_map(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (seconds, expected) in [
            (&[][..], None),
            (&[3.0], Some(3.0)),
            (&[3.0, 1.0], Some(2.0)),
            (&[9.0, 1.0, 2.0], Some(2.0)),
            (&[9.0, 1.0, 2.0, 4.0], Some(3.0)),
        ] {
            let mut row = Row::new("H1/1", "somebody");
            row.runs = seconds
                .iter()
                .map(|seconds| Run {
                    seconds: *seconds,
                    ..Run::default()
                })
                .collect();
            assert_eq!(row.median(|run| Some(run.seconds)), expected, "{seconds:?}");
            assert_eq!(
                row.most(|run| Some(run.seconds)),
                seconds.iter().copied().max_by(f64::total_cmp)
            );
        }
    }
}
