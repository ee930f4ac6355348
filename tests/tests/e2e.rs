//! The main path on a real control plane: pods wait, VPSie nodes come, pods run, the load goes, nodes go.

use anyhow::{Context, Result, ensure};
use autoscaler_api::{NodeGroup, VPSieNode, labels};
use autoscaler_tests::stage::Stage;
use fake_vpsie::{Config, Effect, Fault};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

const CLUSTER: &str = "f3b0c3f4-8f5e-4c1e-9f0f-2b1c7a9e49ab";
const DATACENTER: &str = "7c0f6a52-3a3e-4d27-9a52-6f0d5d6f1a01";
const NAMESPACE: &str = "shop";
/// Production's pace, but for what a test would only wait for.
const PACE: [&str; 5] = [
    "--rebalance-interval=1s",
    "--provider-poll=500ms",
    "--resync=5s",
    "--lost-answer-grace=6s",
    "--purchase-backoff=5s",
];

/// A VPSie whose machines come and go within a second.
fn quick_cloud() -> Config {
    let mut config = Config::default();
    config.delays.reply = Duration::from_millis(5);
    config.delays.appear = Duration::from_millis(300);
    config.delays.join = Duration::from_millis(500);
    config.delays.join_spread = Duration::from_millis(300);
    config.delays.delete = Duration::from_millis(500);
    config
}

fn group(
    name: &str,
    offerings: &[&str],
    max: i32,
    label: Option<(&str, &str)>,
    taint: Option<(&str, &str)>,
) -> Value {
    let labels: BTreeMap<_, _> = label.into_iter().collect();
    let taints: Vec<_> = taint
        .iter()
        .map(|(key, value)| json!({"key": key, "value": value, "effect": "NoSchedule"}))
        .collect();
    json!({
        "apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "NodeGroup",
        "metadata": {"name": name, "namespace": "kube-system", "labels": {labels::MANAGED: "true"}},
        "spec": {
            "minNodes": 0, "maxNodes": max, "datacenterID": DATACENTER, "resourceIdentifier": CLUSTER, "project": "",
            "offeringIDs": offerings, "kubernetesVersion": "v1.35.6", "labels": labels, "taints": taints,
            "scaleDownPolicy": {"enabled": true, "stabilizationWindowSeconds": 0, "cooldownSeconds": 0},
        },
    })
}

#[expect(clippy::needless_pass_by_value, reason = "cases write their values in place")]
fn deployment(name: &str, replicas: i32, cpu: &str, extra: Value) -> Value {
    let mut pod = json!({
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": "app", "resources": {"requests": {"cpu": cpu, "memory": "200Mi"}}}],
    });
    if let (Some(pod), Some(extra)) = (pod.as_object_mut(), extra.as_object()) {
        pod.extend(extra.clone());
    }
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": replicas, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    })
}

async fn running(stage: &Stage, app: &str) -> Result<usize> {
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let pods = pods
        .list(&ListParams::default().labels(&format!("app={app}")))
        .await?;
    let runs = |pod: &&Pod| {
        pod.metadata.deletion_timestamp.is_none()
            && pod
                .status
                .as_ref()
                .is_some_and(|status| status.phase.as_deref() == Some("Running"))
    };
    Ok(pods.iter().filter(runs).count())
}

async fn scale(stage: &Stage, name: &str, replicas: i32) -> Result<()> {
    let api: Api<k8s_openapi::api::apps::v1::Deployment> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let patch = json!({"spec": {"replicas": replicas}});
    api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .map(drop)
        .context("scaling")
}

/// When each waiting pod was first seen to be unschedulable.
type Waiting = Arc<std::sync::Mutex<BTreeMap<String, Timestamp>>>;

fn watch_waiting(stage: &Stage) -> Waiting {
    use futures::StreamExt;
    use kube::runtime::WatchStreamExt;
    let seen = Waiting::default();
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let (told, stop) = (seen.clone(), stage.stop());
    tokio::spawn(async move {
        let mut events = std::pin::pin!(
            kube::runtime::watcher(pods, kube::runtime::watcher::Config::default()).default_backoff()
        );
        while let Some(Some(event)) = stop.run_until_cancelled(events.next()).await {
            let Ok(kube::runtime::watcher::Event::Apply(pod) | kube::runtime::watcher::Event::InitApply(pod)) =
                event
            else {
                continue;
            };
            let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
            let waits = conditions
                .into_iter()
                .flatten()
                .any(|c| c.type_ == "PodScheduled" && c.reason.as_deref() == Some("Unschedulable"));
            if waits && let Ok(mut seen) = told.lock() {
                seen.entry(pod.name_any()).or_insert_with(Timestamp::now);
            }
        }
    });
    seen
}

fn orders(stage: &Stage) -> Vec<Timestamp> {
    let journal = stage.cloud.journal();
    let orders = journal
        .iter()
        .filter(|entry| entry.method == "POST" && entry.path.contains("/add/slave"));
    orders.map(|entry| entry.at).collect()
}

async fn prepare(stage: &Stage) -> Result<()> {
    stage
        .apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}))
        .await?;
    // Idle nodes go at once: the test has no ten minutes.
    stage
        .apply(&json!({
            "apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "ScalingPolicy",
            "metadata": {"name": "quick-removal"},
            "spec": {
                "kinds": ["rebalance"], "mode": "Active", "source": {"builtIn": "rebalance"},
                "config": {"idleSeconds": 1, "settleSeconds": 1},
            },
        }))
        .await?;
    stage
        .apply(&json!({
            "apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "AutoscalerConfig",
            "metadata": {"name": "default"},
            "spec": {"rebalancer": {"enabled": true, "maxConcurrent": 4, "drainTimeout": "120s", "healthCheckInterval": "1s"}},
        }))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_pods_become_running_pods_on_vpsie_nodes_and_surplus_nodes_go() -> Result<()> {
    let mut stage = Stage::set(quick_cloud()).await?;
    stage.secret("demo-token").await?;
    prepare(&stage).await?;
    stage
        .apply(&group("general", &["k8s-2-4", "k8s-4-8"], 30, None, None))
        .await?;
    stage
        .apply(&group(
            "batch",
            &["k8s-8-16"],
            8,
            Some(("tier", "batch")),
            Some(("dedicated", "batch")),
        ))
        .await?;
    stage.start_controller(&PACE).await?;
    let groups: Api<NodeGroup> = Api::namespaced(stage.client.clone(), "kube-system");
    stage
        .until("both groups are ready", Duration::from_secs(60), || async {
            let all = groups.list(&ListParams::default()).await?;
            let ready = |group: &&NodeGroup| {
                group
                    .status
                    .as_ref()
                    .is_some_and(|s| autoscaler_api::conditions::is_true(&s.conditions, "Ready"))
            };
            let count = all.iter().filter(ready).count();
            Ok((count != 2).then(|| format!("{count} are")))
        })
        .await?;

    // 200 pods of four kinds.
    let waiting = watch_waiting(&stage);
    let tolerates = json!({"tolerations": [{"key": "dedicated", "operator": "Equal", "value": "batch", "effect": "NoSchedule"}]});
    let selects = json!({"nodeSelector": {"tier": "batch"}, "tolerations": tolerates["tolerations"]});
    let mut kinds = vec![
        ("plain", 110, "250m", json!({})),
        ("tolerant", 50, "250m", tolerates),
        ("chosen", 39, "250m", selects),
    ];
    kinds.push(("impossible", 1, "64", json!({})));
    for (name, replicas, cpu, extra) in &kinds {
        stage
            .apply(&deployment(name, *replicas, cpu, extra.clone()))
            .await?;
    }
    let took = stage
        .until(
            "every pod that can fit runs",
            Duration::from_secs(120),
            || async {
                let counts = [
                    running(&stage, "plain").await?,
                    running(&stage, "tolerant").await?,
                    running(&stage, "chosen").await?,
                ];
                Ok((counts != [110, 50, 39]).then(|| format!("{counts:?} run")))
            },
        )
        .await?;
    println!("199 pods run {:.1} s after they were created", took.as_secs_f64());

    the_impossible_pod_is_told_why(&stage).await?;
    limits_hold_and_nodes_carry_their_group(&stage).await?;
    every_machine_has_one_node_and_one_record(&stage).await?;
    let first = waiting
        .lock()
        .ok()
        .and_then(|seen| seen.values().min().copied())
        .context("no pod was seen waiting")?;
    let mut reactions: Vec<f64> = orders(&stage)
        .iter()
        .map(|at| at.duration_since(first).as_secs_f64())
        .collect();
    reactions.sort_by(f64::total_cmp);
    println!(
        "burst of 200 pods: {} nodes ordered, the first {:.3} s, the last {:.3} s after the first Unschedulable condition",
        reactions.len(),
        reactions.first().unwrap_or(&0.0),
        reactions.last().unwrap_or(&0.0)
    );

    reaction_time(&stage, &waiting).await?;
    surplus_goes_within_budgets(&mut stage).await
}

async fn the_impossible_pod_is_told_why(stage: &Stage) -> Result<()> {
    stage
        .until(
            "the impossible pod is told why",
            Duration::from_secs(30),
            || async {
                let told = stage.events("Pod", "NotTriggerScaleUp").await?;
                let note = told.iter().find(|(pod, _)| pod.starts_with("impossible"));
                Ok(match note {
                    None => Some("it has no event".to_owned()),
                    Some((_, note))
                        if !note.contains("cpu") && !note.to_lowercase().contains("resources") =>
                    {
                        Some(format!("its event does not name the cause: {note}"))
                    }
                    Some((_, note)) => {
                        println!("impossible pod: {note}");
                        None
                    }
                })
            },
        )
        .await?;
    let triggered = stage.events("Pod", "TriggeredScaleUp").await?;
    ensure!(
        triggered.iter().any(|(pod, _)| pod.starts_with("plain")),
        "no pod was told that it triggered a scale-up"
    );
    Ok(())
}

async fn limits_hold_and_nodes_carry_their_group(stage: &Stage) -> Result<()> {
    let nodes: Api<Node> = Api::all(stage.client.clone());
    let nodes = nodes
        .list(&ListParams::default().labels(labels::NODE_GROUP))
        .await?;
    let mut by_group: BTreeMap<String, usize> = BTreeMap::new();
    for node in &nodes {
        let group = node.labels()[labels::NODE_GROUP].clone();
        let tainted = node
            .spec
            .as_ref()
            .and_then(|spec| spec.taints.as_ref())
            .into_iter()
            .flatten()
            .any(|taint| taint.key == "dedicated");
        ensure!(
            tainted == (group == "batch"),
            "{}: taints of {group} are wrong",
            node.name_any()
        );
        ensure!(
            node.labels().get("tier").is_some() == (group == "batch"),
            "{}: labels of {group} are wrong",
            node.name_any()
        );
        *by_group.entry(group).or_default() += 1;
    }
    println!("nodes by group: {by_group:?}");
    ensure!(
        by_group.get("general").is_some_and(|count| *count <= 30),
        "general exceeds maxNodes: {by_group:?}"
    );
    ensure!(
        by_group.get("batch").is_some_and(|count| *count <= 8),
        "batch exceeds maxNodes: {by_group:?}"
    );
    Ok(())
}

async fn every_machine_has_one_node_and_one_record(stage: &Stage) -> Result<()> {
    let machines: BTreeSet<String> = stage
        .cloud
        .vms()
        .into_iter()
        .filter(|vm| vm.group.is_some())
        .map(|vm| vm.node_name)
        .collect();
    let nodes: Api<Node> = Api::all(stage.client.clone());
    let workers = ListParams::default().labels("!node-role.kubernetes.io/control-plane");
    let nodes: BTreeSet<String> = nodes
        .list(&workers)
        .await?
        .iter()
        .map(ResourceExt::name_any)
        .collect();
    let records: Api<VPSieNode> = Api::all(stage.client.clone());
    let records = records.list(&ListParams::default()).await?;
    let named: BTreeSet<String> = records
        .iter()
        .filter_map(|record| record.node_name().map(str::to_owned))
        .collect();
    ensure!(machines == nodes, "machines {machines:?}\nnodes {nodes:?}");
    ensure!(
        machines == named && records.items.len() == machines.len(),
        "machines {machines:?}\nrecords {named:?} ({})",
        records.items.len()
    );
    println!(
        "{} machines, each with one Node and one VPSieNode",
        machines.len()
    );
    Ok(())
}

/// Ten pods, one after the other, each of which needs a node of its own.
async fn reaction_time(stage: &Stage, waiting: &Waiting) -> Result<()> {
    let mut reactions = Vec::new();
    for trial in 0..10 {
        let name = format!("lonely-{trial}");
        let before = orders(stage).len();
        stage.apply(&deployment(&name, 1, "3500m", json!({}))).await?;
        stage
            .until("its node is ordered", Duration::from_secs(20), || async {
                Ok((orders(stage).len() == before).then(|| "no order".to_owned()))
            })
            .await?;
        let ordered = orders(stage)[before];
        let seen = waiting.lock().ok().and_then(|seen| {
            seen.iter()
                .find(|(pod, _)| pod.starts_with(&name))
                .map(|(_, at)| *at)
        });
        reactions.push(
            ordered
                .duration_since(seen.context("the pod was not seen waiting")?)
                .as_secs_f64(),
        );
    }
    reactions.sort_by(f64::total_cmp);
    let (median, longest) = (f64::midpoint(reactions[4], reactions[5]), reactions[9]);
    println!(
        "reaction from Unschedulable to the add-node request: median {median:.3} s, maximum {longest:.3} s of {}",
        reactions.len()
    );
    ensure!(longest < 1.0, "reactions: {reactions:?}");
    Ok(())
}

async fn surplus_goes_within_budgets(stage: &mut Stage) -> Result<()> {
    stage
        .apply(&json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": "plain", "namespace": NAMESPACE},
            "spec": {"minAvailable": 26, "selector": {"matchLabels": {"app": "plain"}}},
        }))
        .await?;
    let created = stage.cloud.inventory().created;
    for (name, replicas) in [("plain", 28), ("tolerant", 4), ("chosen", 4)] {
        scale(stage, name, replicas).await?;
    }
    for trial in 0..10 {
        scale(stage, &format!("lonely-{trial}"), 0).await?;
    }
    stage
        .until("the pods are gone", Duration::from_secs(60), || async {
            let plain = running(stage, "plain").await?;
            Ok((plain > 28).then(|| format!("{plain} run")))
        })
        .await?;
    // From here on the budget must hold at every look.
    let lowest = Arc::new(std::sync::atomic::AtomicUsize::new(usize::MAX));
    let took = stage
        .until("surplus nodes go", Duration::from_secs(240), || async {
            let plain = running(stage, "plain").await?;
            lowest.fetch_min(plain, std::sync::atomic::Ordering::Relaxed);
            let alive = stage
                .cloud
                .vms()
                .into_iter()
                .filter(|vm| vm.group.is_some())
                .count();
            let settled = alive <= 7 && plain == 28;
            Ok((!settled).then(|| format!("{alive} machines are left, {plain} plain pods run")))
        })
        .await?;
    let lowest = lowest.load(std::sync::atomic::Ordering::Relaxed);
    println!(
        "{created} machines were created; surplus gone after {:.1} s; at least {lowest} of 28 plain pods ran, 26 must",
        took.as_secs_f64()
    );
    ensure!(lowest >= 26, "the budget was broken: {lowest} plain pods ran");
    stage
        .until("records follow the machines", Duration::from_secs(60), || async {
            Ok(every_machine_has_one_node_and_one_record(stage)
                .await
                .err()
                .map(|error| format!("{error:#}")))
        })
        .await?;
    ensure!(
        running(stage, "tolerant").await? == 4 && running(stage, "chosen").await? == 4,
        "pods were lost"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_at_vpsie_is_named_and_passes() -> Result<()> {
    let mut stage = Stage::set(quick_cloud()).await?;
    prepare(&stage).await?;
    stage
        .apply(&group("general", &["k8s-2-4"], 3, None, None))
        .await?;
    stage
        .apply(&group("mistaken", &["k8s-9-99"], 3, None, None))
        .await?;
    // VPSie is down from the start, and there is no secret either.
    stage.cloud.set_down(true);
    stage.start_controller(&PACE).await?;
    stage
        .until(
            "the process is live and says what is missing",
            Duration::from_secs(30),
            || async {
                let (live, _) = stage.get("/healthz").await?;
                let (_, why) = stage.get("/readyz").await?;
                Ok((live != 200 || !why.to_lowercase().contains("credential"))
                    .then(|| format!("healthz {live}, readyz {why}")))
            },
        )
        .await?;
    for series in [
        "vpsie_api_requests_total",
        "vpsie_api_errors_total",
        "rebalancer_operations_total",
    ] {
        stage.metric(series, &[]).await?;
    }
    ensure!(
        stage
            .metric("vpsie_api_circuit_breaker_state", &["closed"])
            .await?
            == 1.0,
        "the breaker starts closed"
    );

    stage.secret("wrong-token").await?;
    stage.apply(&deployment("plain", 2, "500m", json!({}))).await?;
    let groups: Api<NodeGroup> = Api::namespaced(stage.client.clone(), "kube-system");
    let ready_is = async |name: &str, reason: &str, word: &str| -> Result<Option<String>> {
        let group = groups.get(name).await?;
        let condition = group
            .status
            .as_ref()
            .and_then(|s| autoscaler_api::conditions::get(&s.conditions, "Ready").cloned());
        let text = format!("{condition:?}");
        let as_wanted = condition.is_some_and(|c| {
            c.reason.as_deref() == Some(reason) && c.message.unwrap_or_default().contains(word)
        });
        Ok((!as_wanted).then_some(text))
    };
    stage
        .until("VPSie being down is named", Duration::from_secs(30), || {
            ready_is("general", "VPSieAPIError", "")
        })
        .await?;
    stage.cloud.set_down(false);
    stage
        .until("wrong credentials are named", Duration::from_secs(90), || {
            ready_is("general", "CredentialsRejected", "")
        })
        .await?;
    ensure!(
        stage.metric("vpsie_api_errors_total", &["unauthorized"]).await? >= 1.0,
        "401 is counted"
    );
    ensure!(
        stage.controller_lives(),
        "the controller died of wrong credentials"
    );
    ensure!(!stage.log().contains("wrong-token"), "the log tells the token");

    stage.secret("demo-token").await?;
    stage
        .until("the unknown offering is named", Duration::from_secs(90), || {
            ready_is("mistaken", "UnknownOffering", "k8s-9-99")
        })
        .await?;
    stage
        .until("all recovers by itself", Duration::from_secs(90), || async {
            let running = running(&stage, "plain").await?;
            Ok((running != 2).then(|| format!("{running} pods run")))
        })
        .await?;

    // Quota: VPSie says it as HTTP 500; the group says it in VPSie's words, and nothing is bought.
    stage.cloud.set_worker_limit(Some(
        stage.cloud.inventory().vms.iter().filter(|vm| !vm.master).count() as u32,
    ));
    stage.apply(&deployment("more", 6, "900m", json!({}))).await?;
    stage
        .until("the quota is named", Duration::from_secs(60), || {
            ready_is(
                "general",
                "ClusterCapacityLimitReached",
                "exceeds the allowed limit",
            )
        })
        .await?;

    // An order whose answer is lost is not sent twice.
    stage.cloud.set_worker_limit(None);
    stage
        .cloud
        .inject(Fault::once("/add/slave", Effect::DropAfterApply));
    let path = "metadata";
    stage
        .plane
        .kubectl(
            &[
                "annotate",
                "nodegroup",
                "general",
                "-n",
                "kube-system",
                "reconcile-trigger=1",
                "--overwrite",
            ],
            path,
        )
        .await?;
    stage
        .until("more pods run", Duration::from_secs(120), || async {
            let running = running(&stage, "more").await?;
            Ok((running < 2).then(|| format!("{running} run")))
        })
        .await?;
    stage
        .until(
            "machines, nodes and records agree",
            Duration::from_secs(60),
            || async {
                Ok(every_machine_has_one_node_and_one_record(&stage)
                    .await
                    .err()
                    .map(|error| format!("{error:#}")))
            },
        )
        .await
        .map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_controller_leaves_nothing_behind() -> Result<()> {
    let mut stage = Stage::set(quick_cloud()).await?;
    stage.secret("demo-token").await?;
    prepare(&stage).await?;
    stage
        .apply(&group("general", &["k8s-2-4"], 12, None, None))
        .await?;
    stage.start_controller(&PACE).await?;
    stage.apply(&deployment("plain", 24, "600m", json!({}))).await?;
    // In the middle of its orders, more than once.
    for _ in 0..3 {
        let before = orders(&stage).len();
        stage
            .until("another order is under way", Duration::from_secs(60), || async {
                let enough = orders(&stage).len() > before || running(&stage, "plain").await? == 24;
                Ok((!enough).then(|| "none".to_owned()))
            })
            .await?;
        stage.kill_controller();
        stage.start_controller(&PACE).await?;
    }
    stage
        .until("every pod runs", Duration::from_secs(180), || async {
            let running = running(&stage, "plain").await?;
            Ok((running != 24).then(|| format!("{running} run")))
        })
        .await?;
    stage
        .until(
            "machines, nodes and records agree",
            Duration::from_secs(240),
            || async {
                Ok(every_machine_has_one_node_and_one_record(&stage)
                    .await
                    .err()
                    .map(|error| format!("{error:#}")))
            },
        )
        .await?;
    let alive = stage
        .cloud
        .vms()
        .into_iter()
        .filter(|vm| vm.group.is_some())
        .count();
    ensure!(alive <= 12, "{alive} machines exceed maxNodes");
    println!(
        "three SIGKILLs: {} orders, {alive} machines alive, each with one Node and one VPSieNode",
        orders(&stage).len()
    );
    Ok(())
}
