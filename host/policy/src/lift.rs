//! From the values that a guest hands over to the core's answers. Texts are made fit to print: they end in
//! events, logs and metric labels.

use crate::bindings::{node_selection, rebalance, scale_up, types, what_if};
use crate::error::CallError;
use autoscaler_core::decision::{
    Addition, ClassCount, Demand, GroupDemand, Kept, Mix, Purchase, Reason, RebalanceAction,
    RebalanceProposal, RebalanceStep, Rejection, Replacement, ReplacementKind, WhatIfQuestion,
};

/// Characters of a reason's code; it becomes a metric label.
const CODE_CHARS: usize = 64;
/// Characters of a reason's text; an event holds 1 024 bytes.
const TEXT_CHARS: usize = 1000;
/// The code of a reason without a usable one.
const NO_CODE: &str = "Unspecified";

pub(crate) fn demand(demand: scale_up::Demand) -> Demand {
    Demand {
        groups: demand
            .groups
            .into_iter()
            .map(|demand| GroupDemand {
                group: demand.group,
                pods: demand.pods.into_iter().map(class_count).collect(),
                reason: reason(&demand.reason),
            })
            .collect(),
        rejections: demand.rejections.iter().map(rejection).collect(),
    }
}

pub(crate) fn mix(mix: node_selection::Mix) -> Mix {
    Mix {
        purchases: mix
            .purchases
            .into_iter()
            .map(|purchase| Purchase {
                template: purchase.template,
                count: purchase.count,
                fallbacks: purchase.fallbacks,
                reason: reason(&purchase.reason),
            })
            .collect(),
        rejections: mix.rejections.iter().map(rejection).collect(),
    }
}

pub(crate) fn proposal(proposal: rebalance::Proposal) -> RebalanceProposal {
    RebalanceProposal {
        steps: proposal
            .steps
            .into_iter()
            .map(|step| RebalanceStep {
                action: match step.action {
                    rebalance::Action::Remove(node) => RebalanceAction::Remove(node),
                    rebalance::Action::Replace(replacement) => {
                        RebalanceAction::Replace(self::replacement(replacement))
                    }
                },
                batch: step.batch,
                reason: reason(&step.reason),
            })
            .collect(),
        kept: proposal
            .kept
            .into_iter()
            .map(|kept| Kept {
                node: kept.node,
                reason: reason(&kept.reason),
            })
            .collect(),
    }
}

fn replacement(replacement: rebalance::Replacement) -> Replacement {
    Replacement {
        nodes: replacement.nodes,
        additions: replacement.additions.into_iter().map(addition).collect(),
        kind: match replacement.kind {
            rebalance::ReplacementKind::Cheaper => ReplacementKind::Cheaper,
            rebalance::ReplacementKind::Consolidate => ReplacementKind::Consolidate,
            rebalance::ReplacementKind::Drift => ReplacementKind::Drift,
            rebalance::ReplacementKind::Expire => ReplacementKind::Expire,
            rebalance::ReplacementKind::Repair => ReplacementKind::Repair,
        },
    }
}

fn addition(addition: what_if::Addition) -> Addition {
    Addition {
        template: addition.template,
        count: addition.count,
    }
}

pub(crate) fn question(question: what_if::Question) -> WhatIfQuestion {
    WhatIfQuestion {
        additions: question.additions.into_iter().map(addition).collect(),
        removals: question.removals,
        pods: question
            .pods
            .map(|pods| pods.into_iter().map(class_count).collect()),
    }
}

pub(crate) fn error(error: types::PolicyError) -> CallError {
    match error {
        types::PolicyError::BadConfig(text) => CallError::BadConfig(printable(&text, TEXT_CHARS)),
        types::PolicyError::BadSnapshot(text) => CallError::PolicyError(format!(
            "the snapshot makes no sense to it: {}",
            printable(&text, TEXT_CHARS)
        )),
        types::PolicyError::Failed(text) => CallError::PolicyError(printable(&text, TEXT_CHARS)),
    }
}

fn class_count(count: types::ClassCount) -> ClassCount {
    ClassCount {
        class: count.class,
        pods: count.pods,
    }
}

fn rejection(rejection: &types::Rejection) -> Rejection {
    Rejection {
        class: rejection.class,
        group: rejection.group,
        reason: reason(&rejection.reason),
    }
}

fn reason(reason: &types::Reason) -> Reason {
    let code: String = reason
        .code
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(CODE_CHARS)
        .collect();
    Reason::new(
        if code.is_empty() { NO_CODE.to_owned() } else { code },
        printable(&reason.text, TEXT_CHARS),
    )
}

/// The first characters, with a space for each one that would move a terminal's cursor or hide text.
pub(crate) fn printable(text: &str, limit: usize) -> String {
    let hidden = |character: char| {
        character.is_control()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .take(limit)
        .map(|character| if hidden(character) { ' ' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_become_fit_to_print() {
        for (code, text, expected_code, expected_text) in [
            ("Idle", "no pod", "Idle", "no pod"),
            ("", "x", "Unspecified", "x"),
            ("a b-c\n", "line\nfeed\u{1b}[2J", "abc", "line feed [2J"),
            ("Größe", "ü\u{202e}x", "Gre", "ü x"),
        ] {
            let given = types::Reason {
                code: code.to_owned(),
                text: text.to_owned(),
            };
            assert_eq!(
                reason(&given),
                Reason::new(expected_code, expected_text),
                "{code:?}"
            );
        }
        let long = types::Reason {
            code: "x".repeat(5000),
            text: "y".repeat(5000),
        };
        assert_eq!(
            (reason(&long).code.len(), reason(&long).text.len()),
            (CODE_CHARS, TEXT_CHARS)
        );
    }
}
