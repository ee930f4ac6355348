//! Whether an answer speaks of things that were in the question. What it *does* is the checker's business; here
//! only indices are looked at, so that nobody behind this border meets one that leads nowhere.

use autoscaler_core::decision::{Answer, ClassCount, Question, RebalanceAction, Rejection};

/// How many of each thing the question had.
#[derive(Clone, Copy, Debug, Default)]
struct Rows {
    groups: usize,
    templates: usize,
    classes: usize,
    nodes: usize,
}

/// # Errors
/// The first index that is out of range.
pub(crate) fn check(question: &Question, answer: &Answer) -> Result<(), String> {
    let rows = rows(question);
    match (question, answer) {
        (Question::ScaleUp { .. }, Answer::ScaleUp(demand)) => {
            for demand in &demand.groups {
                rows.group(demand.group)?;
                demand.pods.iter().try_for_each(|count| rows.pods(count))?;
            }
            rows.rejections(&demand.rejections)
        }
        (Question::NodeSelection { .. }, Answer::NodeSelection(mix)) => {
            for purchase in &mix.purchases {
                rows.template(purchase.template)?;
                purchase
                    .fallbacks
                    .iter()
                    .try_for_each(|template| rows.template(*template))?;
            }
            rows.rejections(&mix.rejections)
        }
        (Question::Rebalance { .. }, Answer::Rebalance(proposal)) => {
            for step in &proposal.steps {
                match &step.action {
                    RebalanceAction::Remove(node) => rows.node(*node)?,
                    RebalanceAction::Replace(replacement) => {
                        replacement.nodes.iter().try_for_each(|node| rows.node(*node))?;
                        let mut additions = replacement.additions.iter();
                        additions.try_for_each(|addition| rows.template(addition.template))?;
                    }
                }
            }
            proposal.kept.iter().try_for_each(|kept| rows.node(kept.node))
        }
        _ => Err(format!("an answer of another kind than {}", question.kind())),
    }
}

fn rows(question: &Question) -> Rows {
    match question {
        Question::ScaleUp {
            catalogue, pending, ..
        }
        | Question::NodeSelection {
            catalogue, pending, ..
        } => Rows {
            groups: catalogue.groups.len(),
            templates: catalogue.templates.len(),
            classes: pending.classes.len(),
            nodes: 0,
        },
        Question::Rebalance { catalogue, fleet, .. } => Rows {
            groups: catalogue.groups.len(),
            templates: catalogue.templates.len(),
            classes: 0,
            nodes: fleet.names.len(),
        },
    }
}

impl Rows {
    fn group(self, index: u32) -> Result<(), String> {
        within("group", index, self.groups)
    }

    fn template(self, index: u32) -> Result<(), String> {
        within("template", index, self.templates)
    }

    fn node(self, index: u32) -> Result<(), String> {
        within("node", index, self.nodes)
    }

    fn pods(self, count: &ClassCount) -> Result<(), String> {
        within("pod class", count.class, self.classes)
    }

    fn rejections(self, rejections: &[Rejection]) -> Result<(), String> {
        for rejection in rejections {
            within("pod class", rejection.class, self.classes)?;
            rejection.group.map_or(Ok(()), |group| self.group(group))?;
        }
        Ok(())
    }
}

fn within(what: &str, index: u32, rows: usize) -> Result<(), String> {
    if (index as usize) < rows {
        Ok(())
    } else {
        Err(format!("{what} {index} of {rows}"))
    }
}
