//! `deploy/` on a real API server: it takes every object, the Deployment is what the runbooks
//! count on, and the service account may do what the controller needs and nothing beside it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use autoscaler_api::parse_manifest;
use autoscaler_tests::control_plane::ControlPlane;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::{Value, json};

const ACCOUNT: &str = "system:serviceaccount:kube-system:vpsie-autoscaler";

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy")
}

async fn rendered(plane: &ControlPlane, directory: &str) -> Result<(String, Vec<Value>)> {
    let path = deploy().join(directory);
    let text = plane
        .kubectl(&["kustomize", path.to_str().context("path")?], "")
        .await?;
    let objects = text
        .split("\n---\n")
        .map(parse_manifest)
        .collect::<Result<_, _>>()?;
    Ok((text, objects))
}

async fn installed() -> Result<&'static ControlPlane> {
    let plane = ControlPlane::shared().await?;
    let (text, _) = rendered(plane, ".").await?;
    // Definitions and what uses them come in one go: kubectl apply takes them in this order.
    plane
        .kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &text)
        .await?;
    Ok(plane)
}

#[tokio::test]
async fn every_object_is_taken_and_the_pod_is_admitted() -> Result<()> {
    let plane = installed().await?;
    for file in ["secret.example.yaml", "network-policy.yaml"] {
        let path = deploy().join(file);
        let arguments = [
            "apply",
            "--server-side",
            "--dry-run=server",
            "-f",
            path.to_str().context("path")?,
        ];
        plane
            .kubectl(&arguments, "")
            .await
            .with_context(|| file.to_owned())?;
    }
    // The pod's own admission (priority class, service account, security context) happens when it is created.
    let created = "--for=jsonpath={.status.replicas}=1";
    let deployment = "deployment/vpsie-autoscaler";
    plane
        .kubectl(
            &["wait", "-n", "kube-system", created, deployment, "--timeout=60s"],
            "",
        )
        .await?;
    let pods: Api<Pod> = Api::namespaced(plane.client()?, "kube-system");
    let pods = pods
        .list(&ListParams::default().labels("app=vpsie-autoscaler"))
        .await?;
    ensure!(pods.items.len() == 1, "{} pods", pods.items.len());
    Ok(())
}

#[tokio::test]
async fn the_deployment_is_what_the_runbooks_count_on() -> Result<()> {
    let plane = installed().await?;
    let api: Api<Deployment> = Api::namespaced(plane.client()?, "kube-system");
    let deployment = serde_json::to_value(api.get("vpsie-autoscaler").await?)?;
    let table = [
        ("/metadata/labels/app", json!("vpsie-autoscaler")),
        ("/spec/selector/matchLabels", json!({"app": "vpsie-autoscaler"})),
        ("/spec/template/metadata/labels/app", json!("vpsie-autoscaler")),
        (
            "/spec/template/spec/serviceAccountName",
            json!("vpsie-autoscaler"),
        ),
        ("/spec/template/spec/securityContext/runAsNonRoot", json!(true)),
        ("/spec/template/spec/securityContext/runAsUser", json!(65532)),
        ("/spec/template/spec/containers/0/name", json!("controller")),
        (
            "/spec/template/spec/containers/0/ports/0/containerPort",
            json!(8080),
        ),
        (
            "/spec/template/spec/containers/0/livenessProbe/httpGet/path",
            json!("/healthz"),
        ),
        (
            "/spec/template/spec/containers/0/readinessProbe/httpGet/path",
            json!("/readyz"),
        ),
        (
            "/spec/template/spec/containers/0/securityContext/readOnlyRootFilesystem",
            json!(true),
        ),
        (
            "/spec/template/spec/containers/0/securityContext/allowPrivilegeEscalation",
            json!(false),
        ),
        (
            "/spec/template/spec/containers/0/securityContext/capabilities/drop",
            json!(["ALL"]),
        ),
    ];
    for (pointer, expected) in table {
        ensure!(
            deployment.pointer(pointer) == Some(&expected),
            "{pointer}: {:?}",
            deployment.pointer(pointer)
        );
    }
    // `runAsNonRoot` and the numeric user must agree with the image.
    let dockerfile = std::fs::read_to_string(deploy().join("Dockerfile"))?;
    ensure!(
        dockerfile.contains("\nUSER 65532:65532\n"),
        "the image runs as another user"
    );
    ensure!(
        dockerfile.contains(" curl"),
        "the runbooks need curl in the image"
    );
    Ok(())
}

#[tokio::test]
async fn no_rule_has_a_wildcard() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let (_, objects) = rendered(plane, ".").await?;
    let mut rules = 0;
    for object in objects
        .iter()
        .filter(|o| o["kind"] == "ClusterRole" || o["kind"] == "Role")
    {
        for rule in object["rules"].as_array().context("rules")? {
            rules += 1;
            ensure!(!rule.to_string().contains('*'), "{rule}");
        }
    }
    ensure!(rules > 10, "only {rules} rules were found");
    Ok(())
}

/// Group, resource (with subresource), namespace, name.
type Target = (&'static str, &'static str, &'static str, &'static str);

async fn may(plane: &ControlPlane, verb: &str, (group, resource, namespace, name): Target) -> Result<bool> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(ACCOUNT.to_owned()),
            groups: Some(
                [
                    "system:serviceaccounts",
                    "system:serviceaccounts:kube-system",
                    "system:authenticated",
                ]
                .map(str::to_owned)
                .to_vec(),
            ),
            resource_attributes: Some(ResourceAttributes {
                verb: text(verb),
                group: text(group),
                resource: text(resource),
                subresource: text(subresource),
                namespace: text(namespace),
                name: text(name),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(plane.client()?);
    let answer = reviews
        .create(&PostParams::default(), &review)
        .await
        .context("asking what the account may do")?;
    Ok(answer.status.context("an answer has a status")?.allowed)
}

#[tokio::test]
async fn the_service_account_may_do_this_and_no_more() -> Result<()> {
    let plane = installed().await?;
    let ours = "autoscaler.vpsie.com";
    let allowed: &[(&str, Target)] = &[
        ("get list watch patch delete", ("", "nodes", "", "")),
        ("get list watch", ("", "pods", "default", "")),
        ("create", ("", "pods/eviction", "default", "web-1")),
        ("get list watch", ("", "namespaces", "", "")),
        ("get list watch", ("", "persistentvolumeclaims", "default", "")),
        ("get list watch", ("", "persistentvolumes", "", "")),
        ("get list watch", ("apps", "daemonsets", "default", "")),
        ("get list watch", ("apps", "replicasets", "default", "")),
        (
            "get list watch",
            ("policy", "poddisruptionbudgets", "default", ""),
        ),
        ("get list watch", ("storage.k8s.io", "storageclasses", "", "")),
        ("get list watch", ("storage.k8s.io", "csinodes", "", "")),
        ("get list watch", ("storage.k8s.io", "csidrivers", "", "")),
        (
            "get list watch",
            ("storage.k8s.io", "csistoragecapacities", "default", ""),
        ),
        ("get list watch", ("storage.k8s.io", "volumeattachments", "", "")),
        ("get list watch", ("node.k8s.io", "runtimeclasses", "", "")),
        ("create patch", ("", "events", "default", "")),
        ("create patch", ("events.k8s.io", "events", "default", "")),
        ("get list watch update patch", (ours, "nodegroups", "default", "")),
        (
            "get list watch create update patch delete",
            (ours, "vpsienodes", "default", ""),
        ),
        (
            "get list watch create update patch delete",
            (ours, "rebalances", "default", ""),
        ),
        ("get list watch", (ours, "autoscalerconfigs", "", "")),
        ("get list watch", (ours, "scalingpolicies", "", "")),
        ("update patch", (ours, "nodegroups/status", "default", "a")),
        ("update patch", (ours, "vpsienodes/status", "default", "a")),
        ("update patch", (ours, "rebalances/status", "default", "a")),
        ("update patch", (ours, "autoscalerconfigs/status", "", "default")),
        ("update patch", (ours, "scalingpolicies/status", "", "a")),
        ("update", (ours, "nodegroups/finalizers", "default", "a")),
        ("create", ("coordination.k8s.io", "leases", "kube-system", "")),
        (
            "get update patch",
            (
                "coordination.k8s.io",
                "leases",
                "kube-system",
                "vpsie-autoscaler-leader",
            ),
        ),
        ("get list watch", ("", "secrets", "kube-system", "vpsie-secret")),
        ("get", ("", "secrets", "kube-system", "vpsie-policy-keys")),
        ("get", ("", "secrets", "kube-system", "vpsie-join")),
        ("get", ("", "secrets", "kube-system", "vpsie-policy-pull")),
        ("get list watch", ("", "configmaps", "kube-system", "")),
    ];
    let refused: &[(&str, Target)] = &[
        (
            "get list watch create update patch delete",
            ("apps", "deployments", "default", "web"),
        ),
        (
            "create update patch delete deletecollection",
            ("", "pods", "default", "web-1"),
        ),
        ("create", ("", "pods/exec", "default", "web-1")),
        ("create update", ("", "nodes", "", "n")),
        ("deletecollection", ("", "nodes", "", "")),
        ("get list watch", ("", "secrets", "kube-system", "")),
        ("get", ("", "secrets", "kube-system", "another")),
        (
            "list watch update patch delete",
            ("", "secrets", "kube-system", "vpsie-join"),
        ),
        ("get", ("", "secrets", "default", "vpsie-secret")),
        (
            "create update patch delete",
            ("", "secrets", "kube-system", "vpsie-secret"),
        ),
        (
            "list watch create update patch delete",
            ("", "secrets", "kube-system", "vpsie-policy-keys"),
        ),
        (
            "list watch create update patch delete",
            ("", "secrets", "kube-system", "vpsie-policy-pull"),
        ),
        ("get list watch", ("", "configmaps", "default", "")),
        (
            "create update patch delete",
            ("", "configmaps", "kube-system", "a"),
        ),
        (
            "get update patch delete",
            (
                "coordination.k8s.io",
                "leases",
                "kube-system",
                "kube-controller-manager",
            ),
        ),
        (
            "create update",
            ("coordination.k8s.io", "leases", "kube-node-lease", "n"),
        ),
        (
            "create delete deletecollection",
            (ours, "nodegroups", "default", "a"),
        ),
        (
            "create update patch delete",
            (ours, "autoscalerconfigs", "", "default"),
        ),
        ("create update patch delete", (ours, "scalingpolicies", "", "a")),
        (
            "update patch delete",
            ("policy", "poddisruptionbudgets", "default", "a"),
        ),
        (
            "update patch delete",
            ("apps", "deployments", "kube-system", "vpsie-autoscaler"),
        ),
        ("update patch delete", ("apps", "daemonsets", "default", "a")),
        (
            "create update patch bind escalate",
            ("rbac.authorization.k8s.io", "clusterroles", "", "a"),
        ),
        (
            "create update patch delete",
            ("apiextensions.k8s.io", "customresourcedefinitions", "", "a"),
        ),
        ("impersonate", ("", "users", "", "a")),
        (
            "create",
            ("", "serviceaccounts/token", "kube-system", "vpsie-autoscaler"),
        ),
    ];
    let mut wrong = Vec::new();
    for (expected, table) in [(true, allowed), (false, refused)] {
        for (verbs, target) in table {
            for verb in verbs.split(' ') {
                if may(plane, verb, *target).await? != expected {
                    wrong.push(format!("{verb} {target:?}: expected {expected}"));
                }
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// The rights that a setting needs are no part of the installation, and nothing more than the setting needs.
#[tokio::test]
async fn surge_takes_the_rights_of_its_own_file() -> Result<()> {
    let plane = ControlPlane::shared().await?;
    let (installed, _) = rendered(plane, ".").await?;
    ensure!(
        !installed.contains("vpsie-autoscaler-surge"),
        "it is part of the kustomization"
    );
    let text = std::fs::read_to_string(deploy().join("surge-rbac.yaml"))?;
    let objects: Vec<Value> = text
        .split("\n---\n")
        .map(parse_manifest)
        .collect::<Result<_, _>>()?;
    let rules = json!([{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"]}]);
    ensure!(objects[0]["rules"] == rules, "{}", objects[0]["rules"]);
    ensure!(
        objects[1]["roleRef"]["name"] == objects[0]["metadata"]["name"],
        "{}",
        objects[1]
    );
    ensure!(
        objects[1]["subjects"][0]["name"] == "vpsie-autoscaler",
        "{}",
        objects[1]
    );
    let path = deploy().join("surge-rbac.yaml");
    let path = path.to_str().context("path")?;
    plane
        .kubectl(&["apply", "--server-side", "--dry-run=server", "-f", path], "")
        .await?;
    Ok(())
}
