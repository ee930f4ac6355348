//! Makes Kubernetes Nodes of the fake's machines, as the kubelet of a real machine registers itself.
//!
//! A machine joins under its host name in lower case, with no provider id and none of the labels of its group:
//! that is what VPSie's managed nodes look like. A machine that is gone stops reporting; deleting its Node is
//! the autoscaler's business.

use fake_vpsie::{FakeVpsie, VmEvent, VmInfo};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

/// What the kubelet and the system keep of a machine.
const RESERVED_CPU_MILLI: u64 = 60;
const RESERVED_MEMORY_MIB: u64 = 384;
const PODS_PER_NODE: u32 = 110;
/// A kubelet that cannot register tries again.
const ATTEMPTS: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);
/// KWOK plays the kubelet of nodes with this annotation.
const KWOK: &str = "kwok.x-k8s.io/node";

/// Joins machines of a fake to a cluster.
pub struct Joiner {
    fake: Arc<FakeVpsie>,
    client: kube::Client,
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    events: UnboundedReceiver<VmEvent>,
    kwok: bool,
}

impl Joiner {
    /// Listens from now on; [`Joiner::run`] does the work.
    pub fn new(
        fake: &Arc<FakeVpsie>,
        client: kube::Client,
        now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    ) -> Self {
        Self {
            events: fake.subscribe(),
            fake: fake.clone(),
            client,
            now,
            kwok: false,
        }
    }

    /// Marks the Nodes so that KWOK plays their kubelets.
    pub fn with_kwok(mut self) -> Self {
        self.kwok = true;
        self
    }

    /// Joins the machines that are there from the start, then follows events until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        // Machines that were ordered before are joined by their events.
        let from_the_start: Vec<VmInfo> = self
            .fake
            .vms()
            .into_iter()
            .filter(|vm| !vm.is_ordered())
            .collect();
        for vm in from_the_start {
            self.join(&vm).await;
        }
        loop {
            let event = tokio::select! {
                biased;
                () = shutdown.cancelled() => return,
                event = self.events.recv() => event,
            };
            match event {
                Some(VmEvent::Booted(vm)) => self.join(&vm).await,
                Some(VmEvent::Removed(vm)) => self.fall_silent(&vm).await,
                Some(VmEvent::Accepted(_) | VmEvent::Listed(_) | VmEvent::Deleting(_)) => {}
                None => return,
            }
        }
    }

    async fn join(&self, vm: &VmInfo) {
        let node: Node = match serde_json::from_value(node_of(vm, (self.now)(), self.kwok)) {
            Ok(node) => node,
            Err(error) => return tracing::error!(node = vm.node_name, "a Node that is none: {error}"),
        };
        let api = Api::<Node>::all(self.client.clone());
        for _ in 0..ATTEMPTS {
            match api.create(&PostParams::default(), &node).await {
                Ok(_) => return tracing::info!(node = vm.node_name, "the machine joined"),
                Err(kube::Error::Api(status)) if status.code == 409 => return,
                Err(error) => tracing::warn!(node = vm.node_name, "the machine cannot join: {error}"),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn fall_silent(&self, vm: &VmInfo) {
        let api = Api::<Node>::all(self.client.clone());
        let params = PatchParams::default();
        if self.kwok {
            let patch = json!({"metadata": {"annotations": {KWOK: null}}});
            // A Node that is gone already is as it should be; the next patch says so too.
            let _ = api.patch(&vm.node_name, &params, &Patch::Merge(&patch)).await;
        }
        let at = seconds((self.now)());
        let patch = json!({"status": {"conditions": [{
            "type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
            "message": "Kubelet stopped posting node status.", "lastTransitionTime": at,
        }]}});
        match api
            .patch_status(&vm.node_name, &params, &Patch::Strategic(&patch))
            .await
        {
            Ok(_) => tracing::info!(node = vm.node_name, "the machine is gone"),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => tracing::warn!(node = vm.node_name, "telling that the machine is gone: {error}"),
        }
    }
}

fn seconds(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// What a kubelet registers for this machine.
fn node_of(vm: &VmInfo, now: Timestamp, kwok: bool) -> Value {
    let memory = vm.size.memory_mib;
    let disk = vm.size.disk_gib;
    let mut labels = json!({
        "kubernetes.io/hostname": vm.node_name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
    });
    let mut taints = Vec::new();
    if vm.master {
        labels["node-role.kubernetes.io/control-plane"] = json!("");
        taints.push(json!({"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}));
    }
    let mut node = json!({
        "metadata": {"name": vm.node_name, "labels": labels},
        "spec": {},
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": vm.private_address},
                {"type": "ExternalIP", "address": vm.address},
                {"type": "Hostname", "address": vm.node_name},
            ],
            "capacity": {
                "cpu": vm.size.cpu.to_string(),
                "memory": format!("{memory}Mi"),
                "ephemeral-storage": format!("{disk}Gi"),
                "pods": PODS_PER_NODE.to_string(),
            },
            "allocatable": {
                "cpu": format!("{}m", (u64::from(vm.size.cpu) * 1000).saturating_sub(RESERVED_CPU_MILLI)),
                "memory": format!("{}Mi", memory.saturating_sub(RESERVED_MEMORY_MIB)),
                "ephemeral-storage": format!("{}Mi", disk * 1024 / 10 * 9),
                "pods": PODS_PER_NODE.to_string(),
            },
            "conditions": [{
                "type": "Ready", "status": "False", "reason": "KubeletNotReady",
                "message": "container runtime network not ready",
                "lastHeartbeatTime": seconds(now), "lastTransitionTime": seconds(now),
            }],
        },
    });
    if !taints.is_empty() {
        node["spec"]["taints"] = Value::Array(taints);
    }
    if kwok {
        node["metadata"]["annotations"] = json!({KWOK: "fake"});
    }
    node
}

#[cfg(test)]
mod tests {
    use super::*;
    use fake_vpsie::Config;

    #[tokio::test(start_paused = true)]
    async fn a_machine_registers_as_vpsie_nodes_do() {
        let now: fake_vpsie::Now = Arc::new(|| Timestamp::UNIX_EPOCH);
        let fake = FakeVpsie::new(Config::default(), now);
        let master = fake.vms().into_iter().next().unwrap();
        for (kwok, annotations) in [(false, Value::Null), (true, json!({KWOK: "fake"}))] {
            let node = node_of(&master, Timestamp::UNIX_EPOCH, kwok);
            assert_eq!(node["metadata"]["name"], "hel-kubernetes-49ab-master-main");
            assert_eq!(node["metadata"]["annotations"], annotations);
            assert_eq!(
                node["spec"]["taints"][0]["key"],
                "node-role.kubernetes.io/control-plane"
            );
            assert!(node["spec"]["providerID"].is_null());
            assert_eq!(node["status"]["capacity"]["memory"], "4096Mi");
            assert_eq!(node["status"]["allocatable"]["memory"], "3712Mi");
            assert_eq!(node["status"]["allocatable"]["cpu"], "1940m");
            serde_json::from_value::<Node>(node).unwrap();
        }
        let worker = VmInfo {
            master: false,
            ..master
        };
        assert!(node_of(&worker, Timestamp::UNIX_EPOCH, false)["spec"]["taints"].is_null());
    }
}
