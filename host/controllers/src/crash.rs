//! Places where a test ends the process: between two steps that have to survive it, whichever was the last.
//!
//! In builds with debug assertions, and in no other, the variable `VPSIE_AUTOSCALER_CRASH_AT` names a step; the
//! process aborts where it is first done, without a chance to tidy up. Release builds hold none of this: [`at`] is
//! empty there. A switch of the build profile and not a feature: cargo would unite a feature that the tests ask for
//! into every binary of the workspace. An enum and not names in the code: a harness can go through all of them.

/// A step of buying a machine or of giving one back, right after it is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The VPSieNode is created.
    RecordCreated,
    /// VPSie has made the group of the size.
    ProviderGroupCreated,
    /// The status says that an order is about to be sent.
    IntentWritten,
    /// VPSie has taken the order.
    Ordered,
    /// The status says so.
    AcceptanceWritten,
    /// The machine is found in VPSie's list.
    MachineFound,
    /// The status says which machine it is.
    MachineWritten,
    /// The Node carries labels and taints of its group.
    Labelled,
    /// The status says that the Node joined.
    JoinWritten,
    /// The status says that the Node is ready.
    ReadyWritten,
    /// The Rebalance that removes nodes is created.
    RebalanceCreated,
    /// Everything that a Rebalance is about carries its marks.
    Marked,
    /// A Rebalance has created the VPSieNode of a new node.
    ReplacementOrdered,
    /// A Rebalance has cordoned its node.
    Cordoned,
    /// A pod was asked to leave.
    Evicted,
    /// A Rebalance has deleted the VPSieNode.
    RecordDeleted,
    /// The status says that the Rebalance is being rolled back.
    RollbackWritten,
    /// A rollback has uncordoned a node.
    Uncordoned,
    /// The node of a VPSieNode that was deleted by hand is cordoned.
    CordonedByHand,
    /// The status says that the VPSieNode is on its way out.
    TerminatingWritten,
    /// The status says that nothing runs on the node any more.
    DeletingWritten,
    /// The status says that VPSie is about to be asked to remove the machine.
    RemovalWritten,
    /// VPSie has agreed to remove it.
    RemovalAsked,
    /// VPSie lists it no more.
    MachineGone,
    /// The Node object is deleted.
    NodeDeleted,
    /// The VPSieNode is let go.
    Released,
}

impl Step {
    /// All of them, in the order of a machine's life.
    pub const ALL: [Self; 26] = [
        Self::RecordCreated,
        Self::ProviderGroupCreated,
        Self::IntentWritten,
        Self::Ordered,
        Self::AcceptanceWritten,
        Self::MachineFound,
        Self::MachineWritten,
        Self::Labelled,
        Self::JoinWritten,
        Self::ReadyWritten,
        Self::RebalanceCreated,
        Self::Marked,
        Self::ReplacementOrdered,
        Self::Cordoned,
        Self::Evicted,
        Self::RecordDeleted,
        Self::RollbackWritten,
        Self::Uncordoned,
        Self::CordonedByHand,
        Self::TerminatingWritten,
        Self::DeletingWritten,
        Self::RemovalWritten,
        Self::RemovalAsked,
        Self::MachineGone,
        Self::NodeDeleted,
        Self::Released,
    ];
}

/// The step's name in kebab case, as the variable has it.
impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, letter) in format!("{self:?}").char_indices() {
            if letter.is_uppercase() && at > 0 {
                f.write_str("-")?;
            }
            write!(f, "{}", letter.to_ascii_lowercase())?;
        }
        Ok(())
    }
}

/// Names the step at which the process ends.
pub const VARIABLE: &str = "VPSIE_AUTOSCALER_CRASH_AT";

/// A step is done: ends the process if a test asked for that.
#[cfg(debug_assertions)]
pub(crate) fn at(step: Step) {
    use std::sync::OnceLock;
    static WANTED: OnceLock<Option<String>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| std::env::var(VARIABLE).ok());
    if wanted.as_deref() == Some(step.to_string().as_str()) {
        eprintln!("{VARIABLE}: aborting at {step}");
        std::process::abort();
    }
}

/// A step is done.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub(crate) const fn at(_: Step) {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_distinct() {
        let names: BTreeSet<String> = Step::ALL.iter().map(Step::to_string).collect();
        assert_eq!(names.len(), Step::ALL.len());
        assert_eq!(Step::ProviderGroupCreated.to_string(), "provider-group-created");
    }
}
