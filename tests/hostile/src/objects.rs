//! Kubernetes objects as JSON: any field may be there or not, and references may lead anywhere, also in circles.

use crate::values::Dice;
use arbitrary::Result;
use serde_json::{Value, json};

/// A field, and what makes its value.
type Field = (&'static str, fn(&mut Dice<'_>) -> Result<Value>);

/// Puts some of these fields into an object.
fn some(dice: &mut Dice<'_>, object: &mut Value, fields: &[Field]) -> Result<()> {
    for (name, make) in fields {
        if !dice.one_in(3)? {
            object[*name] = make(dice)?;
        }
    }
    Ok(())
}

fn metadata(dice: &mut Dice<'_>) -> Result<Value> {
    let mut meta = json!({"name": dice.name()?, "namespace": dice.namespace()?});
    some(
        dice,
        &mut meta,
        &[
            ("labels", |dice| dice.labels()),
            ("uid", |dice| Ok(json!(dice.name()?))),
            ("ownerReferences", |dice| {
                dice.list(2, |dice| {
                    Ok(json!({
                        "apiVersion": "apps/v1", "kind": dice.pick(&["ReplicaSet", "DaemonSet", "Pod", ""])?,
                        "name": dice.name()?, "uid": dice.name()?, "controller": dice.one_in(2)?,
                    }))
                })
            }),
        ],
    )?;
    for time in ["creationTimestamp", "deletionTimestamp"] {
        if dice.one_in(6)? {
            meta[time] = json!(dice.time()?);
        }
    }
    if dice.one_in(6)? {
        let key = dice.pick(&[
            "cluster-autoscaler.kubernetes.io/safe-to-evict",
            "karpenter.sh/do-not-disrupt",
            "kubernetes.io/config.mirror",
        ])?;
        meta["annotations"] = json!({key: dice.pick(&["true", "false", ""])?});
    }
    Ok(meta)
}

fn requirement(dice: &mut Dice<'_>) -> Result<Value> {
    Ok(json!({
        "key": dice.key()?,
        "operator": dice.pick(&["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", "Nearly"])?,
        "values": dice.list(3, |dice| Ok(json!(dice.label_value()?)))?,
    }))
}

fn selector(dice: &mut Dice<'_>) -> Result<Value> {
    let mut selector = json!({});
    some(
        dice,
        &mut selector,
        &[
            ("matchLabels", |dice| dice.labels()),
            ("matchExpressions", |dice| dice.list(2, requirement)),
        ],
    )?;
    Ok(selector)
}

fn keys(dice: &mut Dice<'_>) -> Result<Value> {
    dice.list(2, |dice| Ok(json!(dice.key()?)))
}

fn affinity_term(dice: &mut Dice<'_>) -> Result<Value> {
    let mut term = json!({"topologyKey": dice.key()?});
    some(
        dice,
        &mut term,
        &[
            ("labelSelector", selector),
            ("namespaces", |dice| {
                dice.list(2, |dice| Ok(json!(dice.namespace()?)))
            }),
            ("matchLabelKeys", keys),
        ],
    )?;
    if dice.one_in(4)? {
        term["namespaceSelector"] = selector(dice)?;
        term["mismatchLabelKeys"] = keys(dice)?;
    }
    Ok(term)
}

fn node_terms(dice: &mut Dice<'_>) -> Result<Value> {
    let terms = dice.list(3, |dice| {
        let mut term = json!({"matchExpressions": dice.list(2, requirement)?});
        if dice.one_in(4)? {
            term["matchFields"] = json!([{
                "key": dice.pick(&["metadata.name", "metadata.uid"])?, "operator": dice.pick(&["In", "NotIn", "Gt"])?,
                "values": [dice.name()?],
            }]);
        }
        Ok(term)
    })?;
    Ok(json!({"nodeSelectorTerms": terms}))
}

fn affinity(dice: &mut Dice<'_>) -> Result<Value> {
    const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
    let mut affinity = json!({});
    some(
        dice,
        &mut affinity,
        &[
            ("nodeAffinity", |dice| Ok(json!({REQUIRED: node_terms(dice)?}))),
            ("podAffinity", |dice| {
                Ok(json!({REQUIRED: dice.list(2, affinity_term)?}))
            }),
            ("podAntiAffinity", |dice| {
                Ok(json!({REQUIRED: dice.list(2, affinity_term)?}))
            }),
        ],
    )?;
    Ok(affinity)
}

fn spread(dice: &mut Dice<'_>) -> Result<Value> {
    let mut constraint = json!({
        "maxSkew": dice.number()?, "topologyKey": dice.key()?,
        "whenUnsatisfiable": dice.pick(&["DoNotSchedule", "DoNotSchedule", "ScheduleAnyway", "Whatever"])?,
    });
    some(
        dice,
        &mut constraint,
        &[
            ("labelSelector", selector),
            ("minDomains", |dice| Ok(json!(dice.number()?))),
            ("matchLabelKeys", keys),
            ("nodeAffinityPolicy", |dice| {
                Ok(json!(dice.pick(&["Honor", "Ignore", ""])?))
            }),
            ("nodeTaintsPolicy", |dice| {
                Ok(json!(dice.pick(&["Honor", "Ignore", ""])?))
            }),
        ],
    )?;
    Ok(constraint)
}

fn container(dice: &mut Dice<'_>) -> Result<Value> {
    let mut container = json!({"name": dice.name()?, "resources": {"requests": dice.quantities()?}});
    if dice.one_in(3)? {
        container["resources"]["limits"] = dice.quantities()?;
    }
    if dice.one_in(4)? {
        container["restartPolicy"] = json!("Always");
    }
    if dice.one_in(3)? {
        container["ports"] = dice.list(2, |dice| {
            Ok(json!({
                "containerPort": dice.number()?, "hostPort": dice.number()?,
                "hostIP": dice.pick(&["", "0.0.0.0", "10.0.0.1", "::"])?, "protocol": dice.pick(&["TCP", "UDP", ""])?,
            }))
        })?;
    }
    Ok(container)
}

fn toleration(dice: &mut Dice<'_>) -> Result<Value> {
    Ok(json!({
        "key": dice.key()?, "operator": dice.pick(&["Exists", "Equal", "", "Gt"])?, "value": dice.label_value()?,
        "effect": dice.pick(&["", "NoSchedule", "NoExecute", "Explode"])?,
    }))
}

fn volume(dice: &mut Dice<'_>) -> Result<Value> {
    let name = dice.name()?;
    Ok(match dice.count(3)? {
        0 => json!({"name": name, "emptyDir": {}}),
        1 => json!({"name": name, "hostPath": {"path": "/"}}),
        2 => json!({"name": name, "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}),
        _ => json!({"name": name, "persistentVolumeClaim": {"claimName": dice.name()?}}),
    })
}

fn pod_spec(dice: &mut Dice<'_>) -> Result<Value> {
    let mut spec = json!({"containers": dice.list(3, container)?});
    some(
        dice,
        &mut spec,
        &[
            ("priority", |dice| Ok(json!(dice.number()?))),
            ("tolerations", |dice| dice.list(2, toleration)),
        ],
    )?;
    let rare: [Field; 8] = [
        ("initContainers", |dice| dice.list(3, container)),
        ("overhead", |dice| dice.quantities()),
        ("resources", |dice| Ok(json!({"requests": dice.quantities()?}))),
        ("nodeSelector", |dice| dice.labels()),
        ("affinity", affinity),
        ("topologySpreadConstraints", |dice| dice.list(3, spread)),
        ("volumes", |dice| dice.list(3, volume)),
        ("hostNetwork", |dice| Ok(json!(dice.one_in(2)?))),
    ];
    for (name, make) in rare {
        if dice.one_in(3)? {
            spec[name] = make(dice)?;
        }
    }
    Ok(spec)
}

fn pod(dice: &mut Dice<'_>) -> Result<Value> {
    let mut pod = json!({"metadata": metadata(dice)?, "spec": pod_spec(dice)?});
    if dice.one_in(2)? {
        pod["spec"]["nodeName"] = json!(dice.name()?);
    } else {
        pod["status"] = json!({"conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "lastTransitionTime": dice.time()?,
        }]});
    }
    Ok(pod)
}

fn taints(dice: &mut Dice<'_>) -> Result<Value> {
    dice.list(2, |dice| {
        Ok(json!({
            "key": dice.key()?, "value": dice.label_value()?,
            "effect": dice.pick(&["NoSchedule", "PreferNoSchedule", "NoExecute", "Explode"])?,
        }))
    })
}

fn node(dice: &mut Dice<'_>) -> Result<Value> {
    let mut node = json!({
        "metadata": metadata(dice)?,
        "status": {
            "allocatable": {"cpu": dice.quantity()?, "memory": dice.quantity()?, "pods": dice.quantity()?},
            "conditions": [{"type": "Ready", "status": dice.pick(&["True", "True", "True", "Unknown"])?}],
        },
    });
    if dice.one_in(3)? {
        node["status"]["allocatable"] = dice.quantities()?;
    }
    if dice.one_in(3)? {
        node["spec"] = json!({"unschedulable": dice.one_in(2)?, "taints": taints(dice)?});
    }
    Ok(node)
}

fn node_group(dice: &mut Dice<'_>) -> Result<Value> {
    Ok(json!({
        "metadata": metadata(dice)?,
        "spec": {
            "minNodes": dice.number()?, "maxNodes": dice.number()?, "datacenterID": dice.pick(&["dc", "dc", "nowhere"])?,
            "resourceIdentifier": "c", "offeringIDs": dice.list(3, |dice| Ok(json!(dice.pick(&["small", "odd", "none"])?)))?,
            "allowMixedInstances": dice.one_in(2)?, "labels": dice.labels()?,
            "scaleUpPolicy": {"enabled": !dice.one_in(4)?, "stabilizationWindowSeconds": dice.number()?},
            "scaleDownPolicy": {"enabled": !dice.one_in(4)?, "cooldownSeconds": dice.number()?},
        },
        "status": {"lastScaleUpTime": dice.time()?, "lastScaleDownTime": dice.time()?},
    }))
}

fn vpsie_node(dice: &mut Dice<'_>) -> Result<Value> {
    Ok(json!({
        "metadata": metadata(dice)?,
        "spec": {
            "nodeGroupName": dice.name()?, "instanceType": dice.pick(&["small", "odd", "none"])?, "datacenterID": "dc",
            "resourceIdentifier": "c",
        },
        "status": {
            "phase": dice.pick(&["Pending", "Provisioned", "Joining", "Ready", "Terminating", "Failed"])?,
            "nodeName": dice.name()?,
        },
    }))
}

/// A kind with its object.
pub(crate) fn object(dice: &mut Dice<'_>) -> Result<(&'static str, Value)> {
    let kind = dice.pick(&[
        "Pod",
        "Pod",
        "Pod",
        "Pod",
        "Pod",
        "Pod",
        "Node",
        "Node",
        "Node",
        "NodeGroup",
        "VPSieNode",
        "Claim",
        "Volume",
        "StorageClass",
        "Namespace",
        "Budget",
        "DaemonSet",
    ])?;
    let mut object = match kind {
        "Pod" => pod(dice)?,
        "Node" => node(dice)?,
        "NodeGroup" => node_group(dice)?,
        "VPSieNode" => vpsie_node(dice)?,
        "Claim" => json!({
            "metadata": metadata(dice)?, "spec": {"volumeName": dice.name()?, "storageClassName": dice.name()?},
        }),
        "Volume" => {
            json!({"metadata": metadata(dice)?, "spec": {"nodeAffinity": {"required": node_terms(dice)?}}})
        }
        "StorageClass" => json!({
            "metadata": metadata(dice)?, "provisioner": "p",
            "allowedTopologies": dice.list(2, |dice| Ok(json!({"matchLabelExpressions": [
                {"key": dice.key()?, "values": [dice.label_value()?]}]})))?,
        }),
        "Budget" => json!({
            "metadata": metadata(dice)?, "spec": {"selector": selector(dice)?},
            "status": {"disruptionsAllowed": dice.number()?, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
        }),
        "DaemonSet" => json!({
            "metadata": metadata(dice)?,
            "spec": {"selector": {}, "template": {"metadata": {"labels": dice.labels()?}, "spec": pod_spec(dice)?}},
        }),
        _ => json!({"metadata": metadata(dice)?}),
    };
    dice.spoil(&mut object)?;
    Ok((kind, object))
}
