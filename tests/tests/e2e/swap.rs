//! A policy from a private registry, another in its place while pods keep coming, and the first one again: how soon the
//! new one decides, and that no decision is missed or made twice.

use crate::world::*;
use anyhow::{Context, Result, ensure};
use autoscaler_api::ScalingPolicy;
use autoscaler_api::conditions::{self, types};
use autoscaler_core::decision::Kind;
use autoscaler_policy::record::{self, Record, Subject};
use autoscaler_tests::registry::{Access, PASSWORD, Registry, USERNAME};
use autoscaler_tests::stage::{Stage, binary};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

/// Pods, each of which needs a node of its own, and those after which the policy is changed.
const PODS: usize = 48;
const CHANGED_AFTER: [usize; 2] = [12, 30];
/// Between two pods: shorter than a decision may gather them.
const PAUSE: Duration = Duration::from_millis(250);
/// From the change of the object to the first decision of the new policy, the artifact at hand. A build for tests
/// makes the ten decisions of the rehearsal several times slower than one for production.
const SOON: Duration = Duration::from_secs(if cfg!(debug_assertions) { 5 } else { 2 });

const POLICY: &str = "swapped";
const PULL_SECRET: &str = "vpsie-policy-pull";

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_swapped_under_load_within_two_seconds() -> Result<()> {
    let registry = Registry::start(Access::Ann).await?;
    let first = push(&registry, "scale-up").await?;
    let second = push(&registry, "cookbook/zone-balance").await?;

    let mut stage = Stage::set(quick_cloud()).await?;
    stage.secret("demo-token").await?;
    prepare(&stage, false).await?;
    stage.apply(&group("general", &["k8s-4-8"], 60)).await?;
    stage.apply(&policy(&first)).await?;
    stage.start_controller(&PACE).await?;

    // The registry is private: without its secret, the object says what is missing.
    told(
        &stage,
        "PullSecretUnreadable",
        &format!("Secret kube-system/{PULL_SECRET} not found"),
    )
    .await?;
    // What has a name that the role does not know is not read either.
    let mut other = policy(&first);
    other["spec"]["source"]["oci"]["pullSecret"] = "another".into();
    stage.apply(&other).await?;
    told(
        &stage,
        "PullSecretUnreadable",
        "let a Role of kube-system give the controller `get` on it",
    )
    .await?;
    stage.apply(&pull_secret(&registry)).await?;
    stage.apply(&policy(&first)).await?;

    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), NAMESPACE);
    let (mut changes, images) = (Vec::new(), [&second, &first]);
    let mut digests = vec![in_use(&stage, None, Duration::from_secs(60)).await?];
    for number in 0..PODS {
        pods.create(&PostParams::default(), &serde_json::from_value(pod(number))?)
            .await
            .context("creating a pod")?;
        if let Some(change) = CHANGED_AFTER.iter().position(|after| *after == number + 1) {
            if change > 0 {
                let before = digests.last().cloned();
                digests.push(in_use(&stage, before.as_deref(), SOON).await?);
            }
            let patch = json!({"spec": {"source": {"oci": {"image": images[change]}}}});
            policies(&stage)
                .patch(POLICY, &PatchParams::default(), &Patch::Merge(&patch))
                .await
                .context("changing the policy")?;
            changes.push(Timestamp::now());
        }
        tokio::time::sleep(PAUSE).await;
    }
    let last = in_use(&stage, digests.last().map(String::as_str), SOON).await?;
    ensure!(
        Some(&last) == digests.first(),
        "{last} is not the first one again"
    );
    digests.push(last);
    stage
        .until("every pod runs", Duration::from_secs(120), || async {
            let all = pods.list(&ListParams::default()).await?;
            let phase = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.clone());
            let run = all
                .iter()
                .filter(|pod| phase(pod).as_deref() == Some("Running"))
                .count();
            Ok((run != PODS).then(|| format!("{run} of {PODS}")))
        })
        .await?;
    machines_nodes_and_records_agree(&stage, Duration::from_secs(30)).await?;
    ensure!(
        machines(&stage).len() == PODS,
        "{} machines for {PODS} pods",
        machines(&stage).len()
    );
    ensure!(
        orders(&stage).len() == PODS,
        "{} orders for {PODS} pods",
        orders(&stage).len()
    );
    each_decision_was_made_once(&decisions(&stage).await?, &digests, &changes)
}

/// The records tell: whole decisions, by one policy after the other, and every machine ordered by one of them.
fn each_decision_was_made_once(records: &[Record], digests: &[String], changes: &[Timestamp]) -> Result<()> {
    // By each, and when it began.
    let (mut decisions, mut begins) = (vec![0_u32; digests.len()], Vec::new());
    let (mut now, mut created) = (0, BTreeSet::new());
    for record in records {
        let at = Timestamp::from_millisecond(record.snapshot.now_ms)?;
        ensure!(
            record.outcome.error.is_none(),
            "at {at}: {:?}",
            record.outcome.error
        );
        for name in &record.outcome.created {
            ensure!(
                created.insert(name.clone()),
                "{name} was created by two decisions"
            );
        }
        let calls = record.rounds.iter().flat_map(|round| &round.calls);
        for call in calls.filter(|call| call.kind == Kind::ScaleUp) {
            ensure!(call.failures.is_empty(), "at {at}: {:?}", call.failures);
            let asked = &call.taken.as_ref().context("a decision that nobody made")?.asked;
            ensure!(asked.policy == POLICY, "at {at} {} decided", asked.policy);
            if asked.digest != digests[now] {
                now += 1;
                begins.push(at);
                ensure!(
                    digests.get(now) == Some(&asked.digest),
                    "at {at} {} decided out of its turn",
                    asked.digest
                );
            }
            decisions[now] += 1;
        }
    }
    ensure!(
        begins.len() == changes.len(),
        "{decisions:?} decisions: one policy never had its turn"
    );
    for (begin, change) in begins.iter().zip(changes) {
        let took = begin.duration_since(*change);
        println!(
            "the new policy decided {:.3} s after the change",
            took.as_secs_f64()
        );
        ensure!(
            took.unsigned_abs() <= SOON,
            "the new policy decided after {took:?} only"
        );
    }
    println!("decisions by each: {decisions:?}; machines: {}", created.len());
    ensure!(
        decisions.iter().all(|count| *count > 1),
        "{decisions:?} decisions"
    );
    ensure!(
        created.len() == PODS,
        "{} machines are told of for {PODS} pods",
        created.len()
    );
    Ok(())
}

/// Every decision of growth that the controller has a record of, as it gives them out.
async fn decisions(stage: &Stage) -> Result<Vec<Record>> {
    let (status, list) = stage.get("/decisions").await?;
    ensure!(status == 200, "{status}: {list}");
    let dropped = stage
        .metric(
            "vpsie_autoscaler_decision_records_total",
            &[r#"result="dropped""#],
        )
        .await?;
    ensure!(dropped == 0.0, "{dropped} records were dropped");
    let list: Vec<Value> = serde_json::from_str(&list).context("reading the list of records")?;
    let mut records = Vec::new();
    for entry in &list {
        let name = entry["name"].as_str().context("a record without a name")?;
        let answer = reqwest::get(format!("http://{}/decisions/{name}", stage.address()?)).await?;
        let record = record::decode(&answer.error_for_status()?.bytes().await?)?;
        if record.subject == Subject::Growth {
            records.push(record);
        }
    }
    let (status, text) = stage.get("/decisions/7").await?;
    ensure!(
        (status, text.trim())
            == (
                404,
                "there is no such record, or no longer; /decisions lists them"
            ),
        "{text}"
    );
    Ok(records)
}

async fn push(registry: &Registry, name: &str) -> Result<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../target/policies/{name}.wasm"));
    let reference = format!("{}/policies/{}", registry.address(), name.replace('/', "-"));
    let mut desk = tokio::process::Command::new(binary()?)
        .args([
            "policy",
            "push",
            "--plain-http",
            "--username",
            USERNAME,
            "--password-stdin",
        ])
        .arg(&file)
        .arg(reference)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting the desk")?;
    if let Some(mut stdin) = desk.stdin.take() {
        stdin
            .write_all(PASSWORD.as_bytes())
            .await
            .context("handing over the password")?;
    }
    let output = desk.wait_with_output().await.context("running the desk")?;
    ensure!(
        output.status.success(),
        "pushing {name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn policies(stage: &Stage) -> Api<ScalingPolicy> {
    Api::all(stage.client.clone())
}

fn policy(image: &str) -> Value {
    json!({
        "apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "ScalingPolicy", "metadata": {"name": POLICY},
        "spec": {"kinds": ["scale-up"], "source": {"oci": {"image": image, "pullSecret": PULL_SECRET}}},
    })
}

fn pull_secret(registry: &Registry) -> Value {
    let config = json!({"auths": {registry.address(): {"username": USERNAME, "password": PASSWORD}}});
    json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": PULL_SECRET, "namespace": "kube-system"},
        "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": config.to_string()},
    })
}

fn pod(number: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("pod-{number}"), "namespace": NAMESPACE},
        "spec": {"containers": [{
            "name": "main", "image": "app", "resources": {"requests": {"cpu": "2500m", "memory": "200Mi"}},
        }]},
    })
}

/// Waits until the object says why the policy is not in use.
async fn told(stage: &Stage, reason: &str, part: &str) -> Result<()> {
    stage
        .until(
            &format!("the policy is refused for {reason}"),
            Duration::from_secs(60),
            || async {
                let status = policies(stage).get(POLICY).await?.status.unwrap_or_default();
                let ready = conditions::get(&status.conditions, types::READY);
                let says = ready.map(|ready| {
                    (
                        ready.reason.clone().unwrap_or_default(),
                        ready.message.clone().unwrap_or_default(),
                    )
                });
                Ok(match says {
                    Some((found, text)) if found == reason && text.contains(part) => None,
                    says => Some(format!("it says {says:?}")),
                })
            },
        )
        .await
        .map(drop)
}

/// Waits until a component other than `before` is in use, and returns its digest.
async fn in_use(stage: &Stage, before: Option<&str>, limit: Duration) -> Result<String> {
    let digest = Mutex::new(None);
    stage
        .until("the policy is in use", limit, || async {
            let status = policies(stage).get(POLICY).await?.status.unwrap_or_default();
            let ready = conditions::is_true(&status.conditions, types::READY);
            let found = status
                .digest
                .filter(|digest| ready && Some(digest.as_str()) != before);
            let missing = found.is_none().then(|| "it is not".to_owned());
            if found.is_some() {
                let (load, compile) = (status.load_milliseconds, status.compile_milliseconds);
                println!("in use: loaded in {load:?} ms, compiled in {compile:?} ms of these");
            }
            *digest.lock().await = found;
            Ok(missing)
        })
        .await?;
    digest.into_inner().context("no digest")
}
