//! The definitions in `crds/` on a real API server and on the one in memory: each takes them, takes every manifest under
//! `cases/crds/accepted` as it stands, and refuses each of `cases/crds/refused` naming the field
//! and the reason that the file's first line states.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use autoscaler_api::{all_crds, parse_manifest};
use autoscaler_tests::control_plane::ControlPlane;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::discovery::ApiResource;
use kube::runtime::{conditions::is_crd_established, wait::await_condition};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use simulated_kubernetes::ApiServer;

async fn install(client: &Client) -> Result<Vec<CustomResourceDefinition>> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let crds = all_crds()?;
    for crd in &crds {
        let name = crd.name_any();
        let applied = api
            .patch(
                &name,
                &PatchParams::apply("crd-validation").force(),
                &Patch::Apply(crd),
            )
            .await
            .with_context(|| format!("applying the definition {name}"))?;
        // The server tells here what it thinks of a schema that it nevertheless stores.
        let problems: Vec<String> = applied
            .status
            .iter()
            .flat_map(|status| status.conditions.iter().flatten())
            .filter(|c| c.type_ == "NonStructuralSchema" && c.status == "True")
            .map(|c| c.message.clone().unwrap_or_default())
            .collect();
        ensure!(problems.is_empty(), "{name}: {problems:?}");
        await_condition(api.clone(), &name, is_crd_established())
            .await
            .with_context(|| format!("waiting for {name}"))?;
    }
    Ok(crds)
}

fn cases(kind: &str) -> Result<Vec<(String, String)>> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("cases/crds")
        .join(kind);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&directory)
        .with_context(|| format!("listing {}", directory.display()))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.sort();
    ensure!(!paths.is_empty(), "{} is empty", directory.display());
    paths
        .into_iter()
        .map(|path| {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            Ok((name, std::fs::read_to_string(&path)?))
        })
        .collect()
}

fn api_for(client: &Client, crds: &[CustomResourceDefinition], object: &Value) -> Result<Api<DynamicObject>> {
    let kind = object["kind"].as_str().context("kind")?;
    let crd = crds
        .iter()
        .find(|crd| crd.spec.names.kind == kind)
        .context("a definition of the kind")?;
    let resource = ApiResource {
        group: crd.spec.group.clone(),
        version: "v1alpha1".to_owned(),
        api_version: autoscaler_api::API_VERSION.to_owned(),
        kind: kind.to_owned(),
        plural: crd.spec.names.plural.clone(),
    };
    Ok(if crd.spec.scope == "Namespaced" {
        Api::namespaced_with(client.clone(), "default", &resource)
    } else {
        Api::all_with(client.clone(), &resource)
    })
}

/// Creates as `kubectl create` does: an unknown field is an error.
async fn create(
    client: &Client,
    api: &Api<DynamicObject>,
    object: &Value,
    dry_run: bool,
) -> kube::Result<DynamicObject> {
    let dry_run = if dry_run { "&dryRun=All" } else { "" };
    let request = http::Request::post(format!("{}?fieldValidation=Strict{dry_run}", api.resource_url()))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(serde_json::to_vec(object).map_err(kube::Error::SerdeError)?)
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}

#[tokio::test]
async fn the_real_api_server_takes_and_refuses_what_it_should() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    takes_and_refuses_what_it_should(&plane.client()?).await?;
    // Afterwards, because there is one AutoscalerConfig in a cluster.
    kubectl_shows_columns(plane).await
}

#[tokio::test]
async fn the_server_in_memory_takes_and_refuses_the_same() -> Result<()> {
    let server = ApiServer::new(Arc::new(|| jiff::Timestamp::UNIX_EPOCH), 1);
    takes_and_refuses_what_it_should(&server.client()).await
}

async fn takes_and_refuses_what_it_should(client: &Client) -> Result<()> {
    let crds = install(client).await?;
    for (name, text) in cases("accepted")? {
        let object = parse_manifest(&text)?;
        let api = api_for(client, &crds, &object)?;
        let applied = create(client, &api, &object, true)
            .await
            .with_context(|| format!("creating {name}"))?;
        let stored = serde_json::to_value(&applied)?;
        contains(&stored["spec"], &object["spec"]).with_context(|| format!("what became of {name}"))?;
    }

    let mut wrong = Vec::new();
    for (name, text) in cases("refused")? {
        let expected = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# expect: "))
            .context(name.clone())?;
        let (path, fragment) = expected
            .split_once(' ')
            .with_context(|| format!("{name}: {expected}"))?;
        let object = parse_manifest(&text)?;
        let api = api_for(client, &crds, &object)?;
        match create(client, &api, &object, true).await {
            Ok(_) => wrong.push(format!("{name}: was taken")),
            Err(kube::Error::Api(status)) => {
                // An unknown field is refused in other words than a bad value.
                let named = status.message.contains(path) || status.message.contains(&format!(".{path}"));
                let fragment_said = status.message.contains(fragment);
                if !named || !fragment_said || (status.code != 422 && fragment != "unknown field") {
                    wrong.push(format!(
                        "{name}: expected {expected:?}, got {} {}",
                        status.code, status.message
                    ));
                }
            }
            Err(error) => return Err(error).with_context(|| format!("creating {name}")),
        }
    }
    ensure!(
        wrong.is_empty(),
        "{} refusals differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    Ok(())
}

/// Whether everything in `written` is in `stored`; defaults may have been added, nulls dropped.
fn contains(stored: &Value, written: &Value) -> Result<()> {
    match (stored, written) {
        (_, Value::Null) => {}
        (Value::Object(stored), Value::Object(written)) => {
            for (key, value) in written.iter().filter(|(_, value)| !value.is_null()) {
                contains(stored.get(key).with_context(|| format!("{key} is gone"))?, value)
                    .with_context(|| format!("in {key}"))?;
            }
        }
        (Value::Array(stored), Value::Array(written)) => {
            ensure!(stored.len() == written.len(), "{stored:?} instead of {written:?}");
            for (stored, written) in stored.iter().zip(written) {
                contains(stored, written)?;
            }
        }
        _ => ensure!(stored == written, "{stored} instead of {written}"),
    }
    Ok(())
}

#[tokio::test]
async fn explicit_false_and_zero_survive_a_rewrite_and_defaults_fill_the_rest() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let client = plane.client()?;
    let crds = install(&client).await?;
    let (_, text) = cases("accepted")?
        .into_iter()
        .find(|(name, _)| name == "node-group-minimal.yaml")
        .context("the minimal group")?;
    let mut manifest = parse_manifest(&text)?;
    manifest["metadata"]["name"] = json!("rewritten");
    manifest["spec"]["scaleDownPolicy"] = json!({"enabled": false, "cooldownSeconds": 0});
    let dynamic = api_for(&client, &crds, &manifest)?;
    create(&client, &dynamic, &manifest, false).await?;

    // What broke in the Go controller: read as a typed object, change metadata, write it whole.
    let typed: Api<autoscaler_api::NodeGroup> = Api::namespaced(client.clone(), "default");
    let mut group = typed.get("rewritten").await?;
    group.metadata.finalizers = Some(vec![autoscaler_api::labels::NODE_GROUP_FINALIZER.to_owned()]);
    typed.replace("rewritten", &PostParams::default(), &group).await?;

    let stored = serde_json::to_value(dynamic.get("rewritten").await?)?;
    let policy = &stored["spec"]["scaleDownPolicy"];
    ensure!(
        *policy
            == json!({
                "enabled": false, "cooldownSeconds": 0,
                "stabilizationWindowSeconds": 600, "cpuThreshold": 50, "memoryThreshold": 50,
            }),
        "{policy}"
    );
    ensure!(
        stored["spec"]["allowMixedInstances"] == json!(true),
        "{}",
        stored["spec"]
    );
    Ok(())
}

#[tokio::test]
async fn kubectl_scale_sets_the_floor_within_the_limits() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let client = plane.client()?;
    let crds = install(&client).await?;
    let manifest = json!({
        "apiVersion": autoscaler_api::API_VERSION, "kind": "NodeGroup", "metadata": {"name": "scaled"},
        "spec": {
            "minNodes": 1, "maxNodes": 3, "datacenterID": "d", "resourceIdentifier": "r", "offeringIDs": ["101"],
        },
    });
    let api = api_for(&client, &crds, &manifest)?;
    create(&client, &api, &manifest, false).await?;
    plane
        .kubectl(&["scale", "nodegroup", "scaled", "--replicas=2"], "")
        .await?;
    let desired = api.get("scaled").await?.data["spec"]["desiredNodes"].clone();
    ensure!(desired == json!(2), "{desired}");
    let refused = plane
        .kubectl(&["scale", "nodegroup", "scaled", "--replicas=4"], "")
        .await
        .err();
    let refused = refused.context("a size above maxNodes was taken")?.to_string();
    ensure!(
        refused.contains("spec.desiredNodes must lie between spec.minNodes and spec.maxNodes"),
        "{refused}"
    );
    Ok(())
}

#[tokio::test]
async fn what_may_not_change_is_refused_on_update() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let client = plane.client()?;
    let crds = install(&client).await?;
    let table = [
        (
            json!({
                "apiVersion": autoscaler_api::API_VERSION, "kind": "VPSieNode", "metadata": {"name": "fixed"},
                "spec": {
                    "nodeGroupName": "a", "instanceType": "101", "datacenterID": "d", "resourceIdentifier": "r",
                },
            }),
            json!({"spec": {"nodeGroupName": "b"}}),
            "spec.nodeGroupName: Invalid value",
            "nodeGroupName cannot be changed",
        ),
        (
            json!({
                "apiVersion": autoscaler_api::API_VERSION, "kind": "Rebalance", "metadata": {"name": "fixed"},
                "spec": {"plan": {
                    "kind": "drift", "strategy": "rolling", "steps": [{"id": "1", "action": "cordon", "node": "x"}],
                }},
            }),
            json!({"spec": {"plan": {"kind": "replace"}}}),
            "spec.plan: Invalid value",
            "plan cannot be changed",
        ),
    ];
    for (object, patch, path, message) in table {
        let api = api_for(&client, &crds, &object)?;
        create(&client, &api, &object, false).await?;
        let error = api
            .patch("fixed", &PatchParams::default(), &Patch::Merge(&patch))
            .await
            .err();
        let error = error.with_context(|| format!("{patch} was taken"))?.to_string();
        ensure!(error.contains(path) && error.contains(message), "{error}");
    }
    Ok(())
}

/// The columns are what an operator sees first: those of the Go controller, then more with `-o wide`.
async fn kubectl_shows_columns(plane: &ControlPlane) -> Result<()> {
    let client = plane.client()?;
    let crds = install(&client).await?;
    let table = [
        (
            "autoscaler-config-everything.yaml",
            "asc",
            "NAME MAXWORKERS MINNODES MAXNODES DYNAMICCREATION ACTIVE AGE REBALANCING MESSAGE",
            "0 0 5 false true",
        ),
        (
            "node-group-minimal.yaml",
            "ng",
            "NAME MIN MAX DESIRED CURRENT READY AGE STATUS REASON OFFERINGS MESSAGE",
            r#"0 3 ["101"]"#,
        ),
        (
            "rebalance.yaml",
            "rb",
            "NAME KIND STRATEGY PHASE PROGRESS SAVING AGE NODES MESSAGE",
            r#"replace rolling 12.40 USD ["hel-kubernetes-49ab-slave-11cc"]"#,
        ),
        (
            "scaling-policy-built-in.yaml",
            "sp",
            "NAME KINDS MODE POLICY VERSION READY TRIPPED AGE DIGEST LAST ERROR",
            r#"["scale-up"] Shadow"#,
        ),
        (
            "vpsie-node-intent.yaml",
            "vn",
            "NAME PHASE NODE INSTANCE TYPE NODEGROUP VPS ID AGE REASON SINCE IDENTIFIER ADDRESS",
            "101 minimal",
        ),
    ];
    let manifests = cases("accepted")?;
    for (file, short_name, header, cells) in table {
        let text = &manifests
            .iter()
            .find(|(name, _)| name == file)
            .with_context(|| file.to_owned())?
            .1;
        let object = parse_manifest(text)?;
        create(&client, &api_for(&client, &crds, &object)?, &object, false)
            .await
            .with_context(|| file.to_owned())?;
        let name = object["metadata"]["name"].as_str().context("name")?;
        let shown = plane
            .kubectl(&["get", short_name, name, "-o", "wide"], "")
            .await?;
        let mut lines = shown
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>());
        ensure!(
            lines
                .next()
                .is_some_and(|line| line == header.split(' ').collect::<Vec<_>>()),
            "{shown}"
        );
        let row = lines.next().unwrap_or_default();
        let mut rest = row.iter();
        ensure!(
            cells.split(' ').all(|cell| rest.any(|shown| *shown == cell)),
            "{cells} in {shown}"
        );
    }
    Ok(())
}
