//! The four causes. An operation that nobody undoes stands still in its trouble: everything that the runbooks look at is
//! looked at there, and then it is undone by hand. The same trouble again is undone by the controller.

use super::desk::{Desk, Names, PATIENCE, PODS, Shows, TIERS, refused, shows};
use super::facts::{Counts, Ending, as_before, ends};
use super::page::CONTRACT;
use super::troubles::Trouble;
use crate::world::all_run;
use anyhow::{Result, ensure};
use autoscaler_api::rebalance::RebalancePhase;

/// What every operation that stopped shows.
const LOOKS: [Shows<'_>; 11] = [
    shows("get rebalances -A -o wide", &["NAME", "Failed", "NODE"]),
    shows(
        "describe rebalance",
        &["NAME", "Phase:", "Failed", "Before:", "NODE", "Steps:"],
    ),
    shows(
        "get events -n",
        &["RebalanceStarted", "RebalanceFailed", "rebalance/NAME"],
    ),
    shows(
        "curl",
        &["rebalancer_operations_total{operation=\"execute\",result=\"failure\"}"],
    ),
    shows("grep -iE", &["rebalance failed", "kube-system/NAME"]),
    shows("rebalanc\\|rollback", &["rebalance failed", "kube-system/NAME"]),
    shows("get nodes -l rebalance-operation=in-progress", &["NODE"]),
    shows(
        "get vpsienodes -A -l rebalance-operation=in-progress",
        &["OLD-RECORD", "NEW-NODE"],
    ),
    shows("jsonpath", &["1-1-provision "]),
    shows("get vpsienodes -A -o wide", &["OLD-RECORD", "Ready", "NEW-NODE"]),
    shows("grep -E \"Phase|Reason\"", &["Phase:", "Reason:"]),
];

/// What the runbook that ours answers looks at besides.
const THEIRS: [Shows<'_>; 5] = [
    shows("grep -A 5 \"Conditions\"", &["Conditions:", "Ready"]),
    shows("grep -i \"failed\\|error\"", &["RebalanceFailed"]),
    shows("describe pod", &["Status:", "Pending", "FailedScheduling"]),
    shows("get nodes | grep NODE", &["NODE"]),
    shows("get nodes -o wide", &["NODE", "Ready"]),
];

/// What the first steps by hand find.
const FOUND: [Shows<'_>; 2] = [
    shows("get nodes -l rebalance-operation", &["NODE"]),
    shows("sort-by=.metadata.creationTimestamp", &["NEW-NODE"]),
];

/// What undoing says.
const UNDONE: [Shows<'_>; 5] = [
    shows("uncordon", &["node/NODE"]),
    shows("delete vpsienode", &["\"NEW-NODE\" deleted"]),
    shows("annotate node", &["node/NODE annotated"]),
    shows("label nodes", &["node/NODE unlabeled"]),
    shows("label vpsienodes", &["OLD-RECORD unlabeled"]),
];

/// What is left to see afterwards.
const AFTER: [Shows<'_>; 3] = [
    shows("field-selector status.phase=Pending", &["absent-"]),
    shows("get vpsienodes -A$", &["OLD-RECORD"]),
    shows("vpsie-autoscaler orphans", &["Every machine"]),
];

impl Trouble {
    /// What the cause itself shows while nothing is undone.
    fn shows(self) -> Vec<Shows<'static>> {
        match self {
            Self::SoldOut => vec![
                shows("Provisioning|Failed", &["NEW-NODE", "Failed"]),
                shows("describe vpsienode NAME", &["sold out", "Failed"]),
                shows(
                    "jsonpath",
                    &["1-1-provision Failed provisioning of the replacement NEW-NODE failed"],
                ),
            ],
            Self::Blocked => vec![
                shows("get pdb", &["TIER"]),
                shows("spec.nodeName=NODE", &["TIER-", "Running"]),
                shows(
                    "jsonpath",
                    &["1-drain Failed drain timeout of 5s exceeded", "budget TIER"],
                ),
                shows(
                    "grep -i \"timeout\"",
                    &[
                        "reason=\"DrainTimeout\"",
                        "drain timeout of 5s exceeded on node NODE",
                    ],
                ),
                shows("get nodes | grep SchedulingDisabled", &["NODE"]),
            ],
            Self::Homeless => vec![
                shows("jsonpath", &["1-drain Failed pod shop/homeless-"]),
                shows("get pods -A -o wide | grep -v Running", &["homeless-", "Pending"]),
                shows("get pods -A | grep -v Running", &["homeless-", "Pending"]),
                shows("describe pod", &["homeless-", "node affinity/selector"]),
                shows("get nodes | grep SchedulingDisabled", &["NODE"]),
            ],
            Self::Ill => vec![
                shows("jsonpath", &["1-drain Running blocked: "]),
                shows("get nodes -o wide", &["foreign-0", "NotReady"]),
                shows("get nodes | grep SchedulingDisabled", &["NODE"]),
            ],
            Self::Unready => Vec::new(),
        }
    }

    /// What there is to undo by hand; a node that was never cordoned has no taint.
    fn taint(self) -> Shows<'static> {
        match self {
            Self::SoldOut => refused("taint nodes", &["autoscaler.vpsie.com/rebalancing\" not found"]),
            _ => shows("taint nodes", &["node/NODE untainted"]),
        }
    }
}

/// The operation fails, and a person undoes it.
pub(super) async fn by_hand(desk: &mut Desk, trouble: Trouble) -> Result<()> {
    let before = Counts::of(desk).await?;
    let operation = format!("by-hand-{}", trouble.reason().to_lowercase());
    let names = trouble.strikes(desk, &operation, false).await?;
    let ending = Ending {
        phase: RebalancePhase::Failed,
        reason: trouble.reason(),
        message: trouble.message(),
        verified: None,
    };
    ends(desk, &names, &ending).await?;
    before.grew(desk, 1, 0, 0).await?;
    // The pod that waits, where the trouble has made one.
    let names = Names {
        pod: super::troubles::waiting_pod(&desk.stage, names.tier).await?,
        ..names
    };

    let mut looks = desk.page.section("Look")?;
    let sections = [
        "A new node that does not come",
        "RebalancerOperationStuck",
        "RebalancerDrainBlocked",
        "RebalancerRollbackTriggered",
    ];
    for section in sections {
        looks.extend(desk.page.looks(section)?);
    }
    looks.extend(desk.page.theirs());
    looks.push(desk.page.one("By hand", "SchedulingDisabled")?);
    desk.types(&looks, &names, &[&LOOKS, &THEIRS, &trouble.shows()])
        .await?;

    trouble.passes(desk).await?;
    let steps = desk.page.section("By hand")?;
    for theirs in &CONTRACT {
        let Some((answer, right)) = theirs.wrong else {
            continue;
        };
        ensure!(
            steps.iter().any(|ours| ours == right),
            "the page has no {right:?}"
        );
        let command = [theirs.says.to_owned()];
        desk.types(&command, &names, &[&[refused(theirs.says, &[answer])]])
            .await?;
    }
    desk.types(&steps, &names, &[&FOUND, &UNDONE, &[trouble.taint()], &AFTER])
        .await?;
    all_run(&desk.stage, &TIERS.map(|tier| (tier, PODS)), PATIENCE).await?;
    as_before(desk, &names).await
}

/// The operation fails, and the controller undoes it.
pub(super) async fn by_itself(desk: &mut Desk, trouble: Trouble) -> Result<()> {
    let before = Counts::of(desk).await?;
    let operation = format!("undone-{}", trouble.reason().to_lowercase());
    let names = trouble.strikes(desk, &operation, true).await?;
    let message = format!("rollback: {}", trouble.message());
    let ending = Ending {
        phase: RebalancePhase::RolledBack,
        reason: trouble.reason(),
        message: if trouble == Trouble::Ill {
            trouble.message()
        } else {
            &message
        },
        verified: Some(match trouble {
            // The pod has moved, and still is not ready.
            Trouble::Unready => ("Differs", "shop/ReplicaSet/unready has 0 of 1 pods ready"),
            _ => ("AsBefore", "nodes and workloads are as they were before"),
        }),
    };
    ends(desk, &names, &ending).await?;
    before.grew(desk, 1, 1, 0).await?;
    let looks: Vec<String> = desk.page.looks("Look")?;
    let (marks, looks): (Vec<String>, Vec<String>) = looks
        .into_iter()
        .partition(|look| look.contains("rebalance-operation"));
    let verified = ending.verified.map_or("", |(reason, _)| reason);
    let described = ["RolledBack", "Verified", verified];
    let told = [
        shows("get rebalances", &["NAME", "RolledBack"]),
        shows("describe rebalance", &described),
        shows(
            "get events",
            &["RebalanceRollback", "RebalanceRolledBack", "rebalance/NAME"],
        ),
        shows(
            "curl",
            &["rebalancer_operations_total{operation=\"rollback\",result=\"success\"}"],
        ),
        shows("grep -iE", &["rebalance rollback completed"]),
    ];
    desk.types(&looks, &names, &[&told]).await?;
    let nothing = [shows("get", &["No resources found"])];
    desk.types(&marks, &names, &[&nothing]).await?;
    trouble.passes(desk).await?;
    as_before(desk, &names).await?;
    let whole = TIERS.map(|tier| (tier, PODS));
    all_run(&desk.stage, &whole, PATIENCE).await.map(drop)
}
