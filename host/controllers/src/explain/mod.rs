//! `explain`: what this process knows of one pod, node or node group right now, and what it would say of it.
//!
//! The answers come from the index, the packing and the checker that decisions use, never from a second opinion.
//! Nothing is changed by asking.

mod group;
mod node;
mod pod;

use crate::context::Context;
use crate::scaling;
use crate::settings::Settings;
use autoscaler_cluster::ObjectKey;
use autoscaler_core::model::Snapshot;
use autoscaler_core::packing::{Placement, place_pending};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What can be asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Pod(ObjectKey),
    /// By the name of the Node, or of the VPSieNode while no Node exists.
    Node(String),
    NodeGroup(ObjectKey),
}

/// The answer, for people and for programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// One sentence.
    pub summary: String,
    pub sections: Vec<Section>,
}

/// Facts of one sort.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    pub title: String,
    pub facts: Vec<Fact>,
}

/// One line: what it is about, and what holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    pub subject: String,
    pub text: String,
}

impl Fact {
    fn new(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            text: text.into(),
        }
    }
}

/// Nothing is known by that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("explaining {subject}: {why}")]
pub struct Unknown {
    subject: String,
    why: &'static str,
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pod(key) => write!(f, "pod {key}"),
            Self::Node(name) => write!(f, "node {name}"),
            Self::NodeGroup(key) => write!(f, "node group {key}"),
        }
    }
}

/// What all answers are made of: the view of the next decision, with the waiting pods placed as far as there is room.
struct Scene<'a> {
    ctx: &'a Context,
    snapshot: Arc<Snapshot>,
    placement: Placement,
}

impl Subject {
    /// What is known and would be said of it.
    ///
    /// # Errors
    /// Where there is no such thing.
    pub fn explain(&self, ctx: &Context) -> Result<Explanation, Unknown> {
        let settings = Settings::of(ctx.index.config().as_deref());
        let snapshot = Arc::new(ctx.index.snapshot(&scaling::inputs(ctx, &settings)));
        let scene = Scene {
            ctx,
            placement: place_pending(&snapshot),
            snapshot,
        };
        let (answer, why) = match self {
            Self::Pod(key) => (
                scene.pod(key),
                "no such pod waits or runs; finished pods are not kept",
            ),
            Self::Node(name) => (scene.node(name), "there is no such Node or VPSieNode"),
            Self::NodeGroup(key) => (scene.group(key), "there is no such NodeGroup"),
        };
        answer.ok_or_else(|| Unknown {
            subject: self.to_string(),
            why,
        })
    }
}

impl Explanation {
    /// The answer as text: the sentence, then a paragraph per section, its subjects in one column.
    pub fn text(&self) -> String {
        let mut text = format!("{}\n", self.summary);
        for section in self.sections.iter().filter(|section| !section.facts.is_empty()) {
            text.push_str(&format!("\n{}\n", section.title));
            let widths = section.facts.iter().map(|fact| fact.subject.chars().count());
            let width = widths.max().unwrap_or(0);
            for fact in &section.facts {
                let line = format!("  {:<width$}  {}", fact.subject, fact.text);
                text.push_str(line.trim_end());
                text.push('\n');
            }
        }
        text
    }
}

/// A time of the snapshot for people.
fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |at| format!("{at:.0}"))
}

/// Millionths of the currency unit as people write prices.
fn price(micros: u64) -> String {
    format!("{}.{:04} per hour", micros / 1_000_000, micros % 1_000_000 / 100)
}

/// The first few names, and how many more there are.
fn some(names: &[&str]) -> String {
    const NAMED: usize = 5;
    let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_text() {
        let explanation = Explanation {
            summary: "shop/web waits".to_owned(),
            sections: vec![
                Section {
                    title: "Nodes".to_owned(),
                    facts: vec![Fact::new("Taints", "a, b"), Fact::new("fits", "")],
                },
                Section {
                    title: "Empty".to_owned(),
                    facts: Vec::new(),
                },
            ],
        };
        assert_eq!(
            explanation.text(),
            "shop/web waits\n\nNodes\n  Taints  a, b\n  fits\n"
        );
    }

    #[test]
    fn figures() {
        assert_eq!(moment(1_800_000_000_000), "2027-01-15T08:00:00Z");
        assert_eq!(price(1_234_567), "1.2345 per hour");
        assert_eq!(some(&["a", "b"]), "a, b");
        assert_eq!(some(&["a", "b", "c", "d", "e", "f"]), "a, b, c, d, e and 1 more");
    }
}
