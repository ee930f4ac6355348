//! What makes operations fail here, and what ends the trouble again.

use super::desk::{Desk, LARGE, Names, PATIENCE, PODS, SMALL, Settings, TIERS};
use crate::world::{NAMESPACE, all_run, deployment, selects};
use anyhow::{Context, Result};
use autoscaler_tests::control_plane::KWOK_ANNOTATION;
use autoscaler_tests::stage::Stage;
use fake_vpsie::{Effect, Fault};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

/// The app whose pod never runs.
const ABSENT: &str = "absent";
/// Nodes of somebody else: more than a quarter of all, so that they decide whether the cluster is healthy.
const FOREIGN: [&str; 4] = ["foreign-0", "foreign-1", "foreign-2", "foreign-3"];

/// A node of somebody else that takes pods and starts none; its label.
const SILENT: &str = "silent";

/// Why an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// VPSie does not sell the new node.
    SoldOut,
    /// A budget lets no pod go.
    Blocked,
    /// A pod that moves finds no place.
    Homeless,
    /// Pods that moved do not become ready.
    Unready,
    /// Nodes of others stop being Ready.
    Ill,
}

impl Trouble {
    /// The reason that the page gives.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::SoldOut => "ProvisioningFailed",
            Self::Blocked => "DrainTimeout",
            Self::Homeless => "PodWithoutPlace",
            Self::Unready => "WorkloadsUnhealthy",
            Self::Ill => "ClusterHealthDegraded",
        }
    }

    /// What the message says of it.
    pub(super) fn message(self) -> &'static str {
        match self {
            Self::SoldOut => {
                "provisioning of the replacement NEW-NODE failed: adding a VPSie node: VPSie refused: this size is sold out"
            }
            Self::Blocked => "drain timeout of 5s exceeded on node NODE: shop/TIER-",
            Self::Homeless => "pod shop/homeless-",
            Self::Unready => {
                "timeout of 5s: moved workloads are not as ready as before: shop/ReplicaSet/unready has 0 of 1"
            }
            Self::Ill => "75 % are asked for; not Ready: foreign-0, foreign-1, foreign-2",
        }
    }

    fn tier(self) -> &'static str {
        TIERS[self as usize]
    }

    fn settings(self, rolls_back: bool) -> Settings {
        Settings {
            rolls_back,
            // The other one ends what nobody should wait for here.
            drain: if self == Self::Blocked { "5s" } else { "120s" },
            health: "5s",
            interval: "1s",
        }
    }

    /// Begins an operation and lets it run into the trouble.
    pub(super) async fn strikes(self, desk: &Desk, operation: &str, rolls_back: bool) -> Result<Names> {
        let (stage, tier) = (&desk.stage, self.tier());
        desk.settings(self.settings(rolls_back)).await?;
        let offering = if self == Self::SoldOut { LARGE } else { SMALL };
        match self {
            Self::SoldOut => {
                let message = "this size is sold out".to_owned();
                stage
                    .cloud
                    .inject(Fault::once("/add/slave", Effect::ErrorInOk { message }));
            }
            Self::Blocked | Self::Ill => budget(desk, tier).await?,
            Self::Homeless => homeless(stage, tier).await?,
            Self::Unready => {
                set_ready(stage, SILENT, true).await?;
                let there = json!({"nodeSelector": {(SILENT): "true"}});
                stray(stage, tier, "unready", there).await?;
            }
        }
        let names = desk.begin(operation, &[tier], offering).await?;
        if self == Self::Ill {
            desk.blocked(&names).await?;
            foreign_nodes_are(stage, false).await?;
        }
        Ok(names)
    }

    /// Ends the trouble.
    pub(super) async fn passes(self, desk: &Desk) -> Result<()> {
        let (stage, tier) = (&desk.stage, self.tier());
        match self {
            Self::SoldOut => Ok(()),
            Self::Blocked => no_budget(desk, tier).await,
            Self::Homeless => stray_goes(stage, tier, "homeless").await,
            Self::Unready => stray_goes(stage, tier, "unready").await,
            Self::Ill => {
                foreign_nodes_are(stage, true).await?;
                no_budget(desk, tier).await
            }
        }
    }
}

/// Nodes that no machine of ours stands behind and that get none of our pods; they look like those of a control plane.
pub(super) async fn foreign_nodes(stage: &Stage) -> Result<()> {
    let labels = [("node-role.kubernetes.io/control-plane", "")];
    for name in FOREIGN {
        let capacity = [("cpu", "1"), ("memory", "1Gi"), ("pods", "10")];
        stage.plane.create_node(name, &labels, &capacity).await?;
    }
    stage
        .apply(&json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": SILENT, "labels": {"node-role.kubernetes.io/control-plane": "", (SILENT): "true"}},
        }))
        .await?;
    let room = json!({"cpu": "1", "memory": "1Gi", "pods": "10"});
    let patch = json!({"status": {"capacity": room, "allocatable": room}}).to_string();
    kubectl(
        stage,
        &["patch", "node", SILENT, "--subresource=status", "-p", &patch],
    )
    .await
}

async fn foreign_nodes_are(stage: &Stage, ready: bool) -> Result<()> {
    for name in FOREIGN {
        let (key, value) = KWOK_ANNOTATION;
        let annotation = if ready {
            format!("{key}={value}")
        } else {
            format!("{key}-")
        };
        kubectl(stage, &["annotate", "node", name, &annotation]).await?;
        set_ready(stage, name, ready).await?;
    }
    Ok(())
}

/// What a kubelet would say of its node, and what follows from it.
async fn set_ready(stage: &Stage, node: &str, ready: bool) -> Result<()> {
    let now = jiff::Timestamp::now().to_string();
    let status = if ready { "True" } else { "False" };
    let condition = json!({
        "type": "Ready", "status": status, "reason": "Test", "message": "as the test says",
        "lastHeartbeatTime": now, "lastTransitionTime": now,
    });
    let patch = json!({"status": {"conditions": [condition]}}).to_string();
    let patched = [
        "patch",
        "node",
        node,
        "--subresource=status",
        "--type=strategic",
        "-p",
        &patch,
    ];
    kubectl(stage, &patched).await?;
    let nodes: Api<Node> = Api::all(stage.client.clone());
    stage
        .until("Kubernetes has seen how the node is", PATIENCE, || async {
            let taints = nodes.get(node).await?.spec.unwrap_or_default().taints;
            let tainted = taints.is_some_and(|taints| !taints.is_empty());
            Ok((tainted == ready).then(|| format!("{node} is tainted: {tainted}")))
        })
        .await
        .map(drop)
}

pub(super) async fn kubectl(stage: &Stage, arguments: &[&str]) -> Result<()> {
    stage.plane.kubectl(arguments, "").await.map(drop)
}

/// One pod that no node takes.
pub(super) async fn absent(stage: &Stage) -> Result<()> {
    let nowhere = json!({"nodeSelector": {"nowhere": "at-all"}});
    stage.apply(&deployment(ABSENT, 1, "100m", nowhere)).await
}

/// A pod that waits for a place, as kubectl takes its name.
pub(super) async fn waiting_pod(stage: &Stage, tier: &str) -> Result<String> {
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let app = if tier == Trouble::Homeless.tier() {
        "homeless"
    } else {
        ABSENT
    };
    let listed = pods.list(&ListParams::default()).await?;
    let of = |app: &str| {
        let found = listed
            .iter()
            .find(|pod| pod.labels().get("app").is_some_and(|is| is == app));
        found.map(|pod| format!("{} -n {NAMESPACE}", pod.name_any()))
    };
    of(app).or_else(|| of(ABSENT)).context("no pod waits")
}

/// A budget that lets no pod of a tier go as long as the absent pod does not run. One that could never let a pod go would
/// be seen before anything is touched.
pub(super) async fn budget(desk: &Desk, tier: &str) -> Result<()> {
    set_budget(desk, tier, &[tier, ABSENT]).await
}

/// A budget that could never let a pod of a tier go.
pub(super) async fn hopeless_budget(desk: &Desk, tier: &str) -> Result<()> {
    set_budget(desk, tier, &[tier]).await
}

async fn set_budget(desk: &Desk, tier: &str, apps: &[&str]) -> Result<()> {
    let stage = &desk.stage;
    let apps = json!([{"key": "app", "operator": "In", "values": apps}]);
    stage
        .apply(&json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": tier, "namespace": NAMESPACE},
            "spec": {"minAvailable": PODS, "selector": {"matchExpressions": apps}},
        }))
        .await?;
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(stage.client.clone(), NAMESPACE);
    stage
        .until("the budget counts its pods", PATIENCE, || async {
            let status = budgets.get(tier).await?.status.unwrap_or_default();
            Ok((status.current_healthy < PODS as i32).then(|| format!("{status:?}")))
        })
        .await
        .map(drop)
}

pub(super) async fn no_budget(desk: &Desk, tier: &str) -> Result<()> {
    kubectl(
        &desk.stage,
        &["delete", "pdb", tier, "-n", NAMESPACE, "--ignore-not-found"],
    )
    .await
}

/// A pod whose successor finds no place.
pub(super) async fn homeless(stage: &Stage, tier: &str) -> Result<()> {
    let mut nowhere = selects(tier);
    nowhere["nodeSelector"]["nowhere"] = json!("at-all");
    stray(stage, tier, "homeless", nowhere).await
}

/// A pod on a tier's node whose successor asks for something else: what a ReplicaSet's template says is for new pods only.
async fn stray(stage: &Stage, tier: &str, name: &str, then: Value) -> Result<()> {
    stage.apply(&replica_set(name, selects(tier))).await?;
    all_run(stage, &[(name, 1)], PATIENCE).await?;
    stage.apply(&replica_set(name, then)).await
}

/// The template is mended; the next pod finds its place, and then they all go.
pub(super) async fn stray_goes(stage: &Stage, tier: &str, name: &str) -> Result<()> {
    stage.apply(&replica_set(name, selects(tier))).await?;
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let those = ListParams::default().labels(&format!("app={name}"));
    pods.delete_collection(&DeleteParams::default(), &those).await?;
    all_run(stage, &[(name, 1)], PATIENCE).await?;
    kubectl(stage, &["delete", "replicaset", name, "-n", NAMESPACE]).await?;
    all_run(stage, &[(name, 0)], PATIENCE).await.map(drop)
}

fn replica_set(name: &str, extra: Value) -> Value {
    let mut set = deployment(name, 1, "100m", extra);
    set["kind"] = json!("ReplicaSet");
    set
}
