//! The words by which the checker says what it changed. Events, metrics and documentation share them.

/// Why the checker changed a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoteCode {
    /// The group would exceed its maximum.
    GroupMaxSize,
    /// The cluster would exceed its maximum.
    ClusterMaxSize,
    /// The group may not grow now.
    GroupHeld,
    /// The way to buy is backing off after failures.
    TemplateBackoff,
    /// The group belongs to other policies.
    OtherPartition,
    /// One plan may not do so much.
    PlanSize,
    /// A purchase of no node.
    NothingToBuy,
    /// The node is not one of a node group.
    NotManaged,
    /// The node is already leaving.
    AlreadyLeaving,
    /// The node is still on its way.
    StillComing,
    /// The group may not shrink now.
    GroupMayNotShrink,
    /// Somebody forbade the removal of the node.
    NodeProtected,
    /// A pod forbids the removal.
    BlockedByPod,
    /// A disruption budget has no room.
    NotEnoughBudget,
    /// Several disruption budgets claim one pod: Kubernetes then refuses to evict it.
    SeveralBudgets,
    /// The group would fall below its minimum.
    GroupMinSize,
    /// One loop may not remove more.
    RemovalBudget,
    /// The pods of the node would find no other place.
    NoPlaceToMovePods,
    /// Nodes are not to be replaced.
    ReplacingDisabled,
    /// The new nodes cost no less than the old ones.
    NoSaving,
}

impl NoteCode {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 20] = [
        Self::GroupMaxSize,
        Self::ClusterMaxSize,
        Self::GroupHeld,
        Self::TemplateBackoff,
        Self::OtherPartition,
        Self::PlanSize,
        Self::NothingToBuy,
        Self::NotManaged,
        Self::AlreadyLeaving,
        Self::StillComing,
        Self::GroupMayNotShrink,
        Self::NodeProtected,
        Self::BlockedByPod,
        Self::NotEnoughBudget,
        Self::SeveralBudgets,
        Self::GroupMinSize,
        Self::RemovalBudget,
        Self::NoPlaceToMovePods,
        Self::ReplacingDisabled,
        Self::NoSaving,
    ];

    /// The stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GroupMaxSize => "GroupMaxSize",
            Self::ClusterMaxSize => "ClusterMaxSize",
            Self::GroupHeld => "GroupHeld",
            Self::TemplateBackoff => "TemplateBackoff",
            Self::OtherPartition => "OtherPartition",
            Self::PlanSize => "PlanSize",
            Self::NothingToBuy => "NothingToBuy",
            Self::NotManaged => "NotManaged",
            Self::AlreadyLeaving => "AlreadyLeaving",
            Self::StillComing => "StillComing",
            Self::GroupMayNotShrink => "GroupMayNotShrink",
            Self::NodeProtected => "NodeProtected",
            Self::BlockedByPod => "BlockedByPod",
            Self::NotEnoughBudget => "NotEnoughBudget",
            Self::SeveralBudgets => "SeveralBudgets",
            Self::GroupMinSize => "GroupMinSize",
            Self::RemovalBudget => "RemovalBudget",
            Self::NoPlaceToMovePods => "NoPlaceToMovePods",
            Self::ReplacingDisabled => "ReplacingDisabled",
            Self::NoSaving => "NoSaving",
        }
    }
}

/// An answer that makes no sense: none of it is carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A number that leads nowhere.
    #[error("checking the answer: {what} {index} does not exist, there are {count}")]
    OutOfRange {
        what: &'static str,
        index: u32,
        count: usize,
    },
    /// The same thing twice.
    #[error("checking the answer: {what} {index} is named twice")]
    Duplicate { what: &'static str, index: u32 },
    /// A number that no cluster has.
    #[error("checking the answer: {count} {what}, more than {limit}")]
    Absurd {
        what: &'static str,
        count: u64,
        limit: u64,
    },
    /// A fall-back that belongs to another group than its purchase.
    #[error(
        "checking the answer: template {fallback} is no fall-back for template {template}: its group is another"
    )]
    ForeignFallback { template: u32, fallback: u32 },
    /// A reason without a code, or one that is a text.
    #[error("checking the answer: {code:?} is not a reason code")]
    BadReason { code: String },
    /// The answer to a question that was not asked.
    #[error("checking the answer: it answers {answered}, asked was {asked}")]
    WrongKind {
        asked: super::Kind,
        answered: super::Kind,
    },
}

impl Refusal {
    /// The stable word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::OutOfRange { .. } => "OutOfRange",
            Self::Duplicate { .. } => "Duplicate",
            Self::Absurd { .. } => "Absurd",
            Self::ForeignFallback { .. } => "ForeignFallback",
            Self::BadReason { .. } => "BadReason",
            Self::WrongKind { .. } => "WrongKind",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::NoteCode;
    use std::collections::BTreeSet;

    #[test]
    fn every_code_is_listed_once_and_says_its_name() {
        let words: BTreeSet<&str> = NoteCode::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), NoteCode::ALL.len());
        for code in NoteCode::ALL {
            assert_eq!(format!("{code:?}"), code.as_str());
        }
        // The declaration order is the list order: a variant that the list forgets shifts its successors.
        assert!(
            NoteCode::ALL
                .iter()
                .enumerate()
                .all(|(at, code)| *code as usize == at)
        );
        assert_eq!(
            NoteCode::NoSaving as usize + 1,
            NoteCode::ALL.len(),
            "the last variant ends the list"
        );
    }
}
