//! Nodes and pods as kube-apiserver serves those of a busy cluster.

use serde_json::{Value, json};

/// Pods that one controller keeps.
const REPLICAS: usize = 10;
/// Every so many-th controller is a StatefulSet whose pods have a volume each.
const STATEFUL: usize = 8;

fn managed_fields(managers: &[&str]) -> Value {
    let fields: serde_json::Map<String, Value> = ["image", "env", "resources", "livenessProbe", "ports", "volumeMounts"]
        .iter()
        .flat_map(|field| {
            let owned = json!({".": {}, "f:limits": {".": {}, "f:cpu": {}, "f:memory": {}}, "f:requests": {".": {}, "f:cpu": {}}});
            [(format!("f:{field}"), owned.clone()), (format!("f:{field}Of"), owned)]
        })
        .collect();
    let one = |manager: &&str| {
        json!({
            "manager": manager, "operation": "Update", "apiVersion": "v1", "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:labels": fields}, "f:spec": fields},
        })
    };
    managers.iter().map(one).collect()
}

fn condition(kind: &str, reason: &str) -> Value {
    json!({
        "type": kind, "status": "True", "reason": reason, "message": format!("{reason} has been so for a while now"),
        "lastProbeTime": null, "lastTransitionTime": "2026-01-01T00:00:10Z", "lastHeartbeatTime": "2026-01-02T00:00:10Z",
    })
}

/// The `number`-th node.
pub(crate) fn node(number: usize) -> Value {
    let name = node_name(number);
    let amounts = json!({"cpu": "16", "memory": "63Gi", "ephemeral-storage": "180Gi", "pods": "110", "hugepages-2Mi": "0"});
    let images: Vec<Value> = (0..50)
        .map(|image| {
            let path = format!("registry.internal.example/platform/team-{}/service-{image}", image % 7);
            json!({"names": [format!("{path}@sha256:{image:064x}"), format!("{path}:v1.{image}.0")], "sizeBytes": 100_000_000 + image})
        })
        .collect();
    json!({
        "metadata": {
            "name": name, "uid": format!("5b1e7c1a-3f5f-4f0e-9a53-{number:012x}"), "resourceVersion": format!("{}", 900_000 + number),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {
                "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/os": "linux", "beta.kubernetes.io/arch": "amd64",
                "node.kubernetes.io/instance-type": "large", "topology.kubernetes.io/zone": format!("zone-{}", number % 3),
                "autoscaler.vpsie.com/managed": "true", "autoscaler.vpsie.com/nodegroup": "general",
            },
            "annotations": {
                "node.alpha.kubernetes.io/ttl": "0", "volumes.kubernetes.io/controller-managed-attach-detach": "true",
                "csi.volume.kubernetes.io/nodeid": format!("{{\"csi.example\":\"{name}\"}}"),
                "projectcalico.org/IPv4Address": format!("10.{}.{}.1/16", number / 250, number % 250),
            },
            "managedFields": managed_fields(&["kubelet", "kube-controller-manager", "calico-node", "csi"]),
        },
        "spec": {"podCIDR": "10.0.0.0/24", "podCIDRs": ["10.0.0.0/24"], "providerID": format!("vpsie://{name}")},
        "status": {
            "capacity": amounts, "allocatable": amounts, "images": images,
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": name}],
            "conditions": [
                condition("NetworkUnavailable", "CalicoIsUp"), condition("MemoryPressure", "KubeletHasSufficientMemory"),
                condition("DiskPressure", "KubeletHasNoDiskPressure"), condition("PIDPressure", "KubeletHasSufficientPID"),
                condition("Ready", "KubeletReady"),
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            "nodeInfo": {
                "machineID": "a".repeat(32), "systemUUID": "a".repeat(36), "bootID": "a".repeat(36), "kernelVersion": "6.8.0",
                "osImage": "Debian GNU/Linux 12", "containerRuntimeVersion": "containerd://2.0", "kubeletVersion": "v1.33.0",
                "kubeProxyVersion": "", "operatingSystem": "linux", "architecture": "amd64",
            },
        },
    })
}

fn node_name(number: usize) -> String {
    format!("general-{number:05}.cluster.internal")
}

/// The `number`-th pod; pods of one controller are on different nodes.
pub(crate) fn pod(number: usize, nodes: usize) -> Value {
    let (app, replica) = (number / REPLICAS, number % REPLICAS);
    let stateful = app % STATEFUL == 0;
    let (kind, controller) = if stateful {
        ("StatefulSet", format!("store-{app}"))
    } else {
        ("ReplicaSet", format!("service-{app}-7c9d8b6f5"))
    };
    let name = if stateful {
        format!("{controller}-{replica}")
    } else {
        format!("{controller}-{:05}", (number * 7919) % 100_000)
    };
    let mut labels = json!({
        "app.kubernetes.io/name": format!("service-{app}"), "app.kubernetes.io/part-of": "shop", "team": format!("team-{}", app % 40),
        "app.kubernetes.io/managed-by": "Helm", "pod-template-hash": "7c9d8b6f5",
    });
    let mut volumes = vec![
        json!({"name": "config", "configMap": {"name": controller, "defaultMode": 420}}),
        json!({"name": "kube-api-access-x2x7w", "projected": {"defaultMode": 420, "sources": [
            {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]}}),
    ];
    if stateful {
        labels["statefulset.kubernetes.io/pod-name"] = json!(name);
        labels["apps.kubernetes.io/pod-index"] = json!(replica.to_string());
        volumes.push(json!({"name": "data", "persistentVolumeClaim": {"claimName": format!("data-{name}")}}));
    }
    let env: Vec<Value> = (0..15)
        .map(|n| json!({"name": format!("SETTING_NUMBER_{n}"), "value": format!("some value of the service, number {n}")}))
        .collect();
    let probe = json!({"httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10});
    let container = |container: &str| {
        json!({
            "name": container, "image": format!("registry.internal.example/platform/{container}:v1.2.3"), "env": env,
            "args": ["--listen=:8080", "--config=/etc/service/config.yaml", "--log-level=info"],
            "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
            "resources": {"requests": {"cpu": format!("{}m", 100 + app % 9 * 50), "memory": "512Mi"}, "limits": {"memory": "512Mi"}},
            "livenessProbe": probe, "readinessProbe": probe, "imagePullPolicy": "IfNotPresent",
            "volumeMounts": [{"name": "config", "mountPath": "/etc/service", "readOnly": true},
                {"name": "kube-api-access-x2x7w", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true}],
            "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
        })
    };
    let status = |container: &str| {
        json!({
            "name": container, "ready": true, "restartCount": 0, "started": true, "imageID": format!("sha256:{number:064x}"),
            "image": format!("registry.internal.example/platform/{container}:v1.2.3"), "containerID": format!("containerd://{number:064x}"),
            "state": {"running": {"startedAt": "2026-01-01T00:00:12Z"}}, "lastState": {},
        })
    };
    json!({
        "metadata": {
            "name": name, "namespace": format!("team-{}", app % 40), "uid": format!("0c4ab4c3-71c5-4b76-9a53-{number:012x}"),
            "generateName": format!("{controller}-"), "resourceVersion": format!("{}", 1_000_000 + number),
            "creationTimestamp": "2026-01-01T00:00:00Z", "labels": labels,
            "annotations": {
                "kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z", "checksum/config": "a".repeat(64),
                "prometheus.io/scrape": "true", "prometheus.io/port": "9090",
                "cni.projectcalico.org/containerID": "a".repeat(64), "cni.projectcalico.org/podIP": "10.1.2.3/32",
            },
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "name": controller, "blockOwnerDeletion": true,
                "uid": format!("3d5f8e0a-5a52-4cb3-8f6e-{app:012x}"), "controller": true}],
            "managedFields": managed_fields(&["kube-controller-manager", "calico", "kubelet"]),
        },
        "spec": {
            "nodeName": node_name(number % nodes), "containers": [container("service"), container("proxy")], "volumes": volumes,
            "serviceAccountName": controller, "serviceAccount": controller, "schedulerName": "default-scheduler",
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30, "priority": 0,
            "enableServiceLinks": true, "preemptionPolicy": "PreemptLowerPriority", "securityContext": {},
            "tolerations": [
                {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
                {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300},
            ],
            "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone",
                "whenUnsatisfiable": "ScheduleAnyway", "labelSelector": {"matchLabels": {"app.kubernetes.io/name": format!("service-{app}")}}}],
        },
        "status": {
            "phase": "Running", "hostIP": "10.0.0.1", "podIP": "10.1.2.3", "podIPs": [{"ip": "10.1.2.3"}], "qosClass": "Burstable",
            "startTime": "2026-01-01T00:00:01Z", "containerStatuses": [status("service"), status("proxy")],
            "conditions": [condition("Initialized", ""), condition("Ready", ""), condition("ContainersReady", ""),
                condition("PodScheduled", "")],
        },
    })
}
