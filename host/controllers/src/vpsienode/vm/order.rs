//! Ordering a VM: look for its name if an order may have left before, write the intent, send one order, look until it is
//! listed.

use super::super::order::since;
use super::super::{ORDER_LOST, VpsieNodes, condition};
use super::{Machines, hostname, notes, remember};
use crate::crash::{self, Step};
use crate::error::Error;
use crate::runtime::queue::Next;
use crate::user_data::{self, Values};
use autoscaler_api::conditions::{self, reasons, types};
use autoscaler_api::vpsie_node::{NodeResources, Phase};
use autoscaler_api::{NodeGroup, VPSieNode};
use autoscaler_cluster::{ObjectKey, labels_of_new_node};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::Api;
use kube::{Resource, ResourceExt};
use secrecy::SecretString;
use std::time::Duration;
use vpsie_client::{DatacenterId, ImageId, NewVm, PlanId, ProjectId, SshKeyId, Vm};

impl VpsieNodes {
    /// Sends the order, once: nothing of the name is there, and the intent stands in the status.
    pub(in super::super) async fn order_vm(&self, key: &ObjectKey, node: &VPSieNode) -> Result<Next, Error> {
        if let Some(left) = self.rests(key, node) {
            return Ok(Next::After(left));
        }
        // Another order has met the limit meanwhile: this one would too.
        if let Some(pause) = self.ctx.catalogue.quota_pause(node.spec.quota_scope()) {
            let message = format!("not sent, quota exceeded: {}", pause.last.message);
            return self
                .fail(node, reasons::CAPACITY_LIMIT_REACHED, message, false)
                .await;
        }
        let Some(group) = self.group(node) else {
            return Ok(Next::After(self.pace.resync));
        };
        // Without a name in the status no order has ever left: one intent, one request, and no list is needed.
        if node
            .status
            .as_ref()
            .is_some_and(|status| status.hostname.is_some())
        {
            match self.machines(node, Duration::ZERO).await {
                Ok(machines) if machines.is_empty() => {}
                Ok(_) => return self.take_up(node).await,
                Err(error) => return self.not_sent(node, error).await,
            }
        }
        let plan = match self.plan(&group, node).await {
            Ok(plan) => plan,
            Err(error) => return self.not_sent(node, error).await,
        };
        let user_data = match self.user_data(&group, node).await {
            Ok(user_data) => user_data,
            Err(error) => return self.not_sent(node, error).await,
        };
        let order = new_vm(&group, node, plan, user_data);
        let now = (self.ctx.now)();
        let note = format!(
            "ordering a VM of plan {} as {}",
            node.spec.instance_type, order.hostname
        );
        let intent = self
            .enter(node, Phase::Provisioning, reasons::PROVISIONING, note, |status| {
                status.creation_requested_at = Some(Time(now));
                status.creation_accepted_at = None;
                status.provisioning_start_time = Some(Time(now));
                status.created_at = Some(Time(now));
                status.hostname = Some(order.hostname.clone());
                status.node_name = Some(order.hostname.clone());
            })
            .await?;
        crash::at(Step::IntentWritten);
        self.note_reaction(&intent, now);
        let result = match self.ctx.vpsie.create_vm(&order).await {
            // A machine of the name exists: whatever the lists said, an order of before went through.
            Err(vpsie_client::Error::Conflict { .. }) => Ok(()),
            other => other,
        };
        self.conclude(key, &intent, result).await
    }

    /// A machine of the name is there or on its way: an order of before went through, and no other is sent.
    async fn take_up(&self, node: &VPSieNode) -> Result<Next, Error> {
        let (now, name) = ((self.ctx.now)(), hostname(node));
        let note = format!("VPSie has a machine {name} already: it is the one that was ordered before");
        self.enter(node, Phase::Provisioning, reasons::PROVISIONING, note, |status| {
            status.creation_requested_at = Some(Time(now));
            status.creation_accepted_at = Some(Time(now));
            status.provisioning_start_time = Some(Time(now));
            status.hostname = Some(name.clone());
            status.node_name = Some(name);
        })
        .await?;
        Ok(Next::After(Duration::ZERO))
    }

    /// The plan that the record's offering means.
    async fn plan(&self, group: &NodeGroup, node: &VPSieNode) -> Result<PlanId, Error> {
        let catalogue = &self.ctx.catalogue;
        let offered = catalogue.offerings(&group.spec).await;
        offered.map_err(Error::vpsie("listing the plans"))?;
        let plan = catalogue.plan(&node.spec.market(), &node.spec.instance_type);
        plan.ok_or_else(|| Error::Invalid {
            object: ObjectKey::of(node).to_string(),
            field: "spec.instanceType",
            problem: format!("VPSie offers no plan {} there", node.spec.instance_type),
        })
    }

    /// What the machine is told at its first start.
    async fn user_data(&self, group: &NodeGroup, node: &VPSieNode) -> Result<Option<SecretString>, Error> {
        let Some(data) = &group.spec.user_data else {
            return Ok(None);
        };
        let (namespace, name) = (
            group.namespace().unwrap_or_default(),
            data.secret_name_or_default(),
        );
        let secret = if user_data::needs_secret(&data.template) {
            Some(self.join_secret(&namespace, name).await?)
        } else {
            None
        };
        let key_of = |key: &str| {
            let value = secret.as_ref()?.data.as_ref()?.get(key)?;
            // Secrets are often made from files with a newline at the end.
            Some(String::from_utf8_lossy(&value.0).trim_end().to_owned())
        };
        let values = Values {
            plain: variables(group, node),
            secret: &key_of,
        };
        let text = user_data::render(&data.template, &values).map_err(|problem| Error::UserData {
            problem: format!(
                "spec.userData of NodeGroup {}, with Secret {namespace}/{name}: {problem}",
                ObjectKey::of(group)
            ),
        })?;
        Ok(Some(SecretString::from(text)))
    }

    async fn join_secret(&self, namespace: &str, name: &str) -> Result<Secret, Error> {
        let secrets: Api<Secret> = Api::namespaced(self.ctx.reads.clone(), namespace);
        secrets.get(name).await.map_err(|error| match &error {
            kube::Error::Api(status) if status.code == 404 => Error::UserData {
                problem: format!(
                    "there is no Secret {namespace}/{name}; create it with the keys that spec.userData names"
                ),
            },
            kube::Error::Api(status) if status.code == 403 => Error::UserData {
                problem: format!(
                    "Secret {namespace}/{name} may not be read; allow get on it in a Role of that namespace"
                ),
            },
            _ => Error::Kubernetes {
                action: "reading the Secret of spec.userData",
                source: error,
            },
        })
    }

    /// Looks for the machine of an order.
    pub(in super::super) async fn look_for_vm(
        &self,
        key: &ObjectKey,
        node: &VPSieNode,
    ) -> Result<Next, Error> {
        let now = (self.ctx.now)();
        let machines = self.machines(node, self.pace.provider_poll).await?;
        if let Some(vm) = machines.kept(node) {
            crash::at(Step::MachineFound);
            let found = self.found(node, vm).await?;
            crash::at(Step::MachineWritten);
            self.remove_doubles(&found, &machines).await?;
            return Ok(Next::After(Duration::ZERO));
        }
        let status = node.status.clone().unwrap_or_default();
        let asked = status.creation_requested_at.as_ref();
        let waited = asked.map_or(Duration::ZERO, |at| since(&at.0, now));
        let answered = status.creation_accepted_at.is_some();
        if !machines.pending && !answered && waited >= self.pace.lost_answer_grace {
            let note = "the order whose answer was lost did not go through; ordering again".to_owned();
            self.enter(node, Phase::Pending, ORDER_LOST, note, |status| {
                status.creation_requested_at = None;
            })
            .await?;
            return Ok(Next::After(Duration::ZERO));
        }
        let limit = self.settings().node_ready_timeout;
        if waited >= limit {
            let message = format!(
                "timeout: VPSie lists no VM {} after {} s",
                hostname(node),
                limit.as_secs()
            );
            tracing::warn!(vpsienode = %key, "{message}");
            return self
                .fail(node, reasons::PROVISIONING_TIMEOUT, message, true)
                .await;
        }
        Ok(Next::After(self.pace.provider_poll))
    }

    async fn found(&self, node: &VPSieNode, vm: &Vm) -> Result<VPSieNode, Error> {
        let now = (self.ctx.now)();
        let resources = vm.cpu.zip(vm.memory_mib).map(|(cpu, memory)| NodeResources {
            cpu: i64::from(cpu),
            memory_mb: i64::try_from(memory).unwrap_or(i64::MAX),
            disk_gb: vm.disk_gib.and_then(|disk| i64::try_from(disk).ok()).unwrap_or(0),
            bandwidth_gb: None,
        });
        let note = format!("VPSie lists it as {}", vm.hostname);
        self.enter(
            node,
            Phase::Provisioned,
            reasons::PROVISIONED,
            note.clone(),
            |status| {
                remember(status, vm);
                status.resources = resources;
                status.provisioned_at = Some(Time(now));
                conditions::remove(&mut status.conditions, types::PROVISION_ERROR);
                condition(status, types::VPS_READY, true, reasons::PROVISIONED, note, now);
            },
        )
        .await
    }

    /// A machine too many can come late: a node that is on its way or Ready is looked at again.
    pub(in super::super) async fn watch_doubles(&self, node: &VPSieNode) -> Result<(), Error> {
        let machines: Machines = self.machines(node, self.pace.resync).await?;
        self.remove_doubles(node, &machines).await
    }
}

/// Variables of the template that are no secrets.
fn variables(group: &NodeGroup, node: &VPSieNode) -> std::collections::BTreeMap<&'static str, String> {
    let mut labels = labels_of_new_node(group, &node.spec.instance_type);
    // A kubelet may not give itself the others; the controller puts them on.
    labels.retain(|name, _| !name.contains("kubernetes.io/") && !name.contains("k8s.io/"));
    let labels: Vec<String> = labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let taints = group.spec.taints.iter().flatten();
    let taints: Vec<String> = taints
        .map(|taint| {
            format!(
                "{}={}:{}",
                taint.key,
                taint.value.as_deref().unwrap_or_default(),
                taint.effect.as_str()
            )
        })
        .collect();
    [
        ("datacenter", node.spec.datacenter_id.clone()),
        ("hostname", hostname(node)),
        (
            "kubernetesVersion",
            node.spec.kubernetes_version.clone().unwrap_or_default(),
        ),
        ("labels", labels.join(",")),
        ("namespace", group.namespace().unwrap_or_default()),
        ("nodeGroup", group.name_any()),
        ("offering", node.spec.instance_type.clone()),
        ("taints", taints.join(",")),
    ]
    .into()
}

fn new_vm(group: &NodeGroup, node: &VPSieNode, plan: PlanId, user_data: Option<SecretString>) -> NewVm {
    let spec = &node.spec;
    NewVm {
        plan,
        image: ImageId::new(spec.os_image_id.as_deref().unwrap_or_default()),
        datacenter: DatacenterId::new(&spec.datacenter_id),
        hostname: hostname(node),
        project: spec.project.as_deref().map(ProjectId::from),
        ssh_key: spec
            .ssh_key_ids
            .iter()
            .flatten()
            .next()
            .map(|key| SshKeyId::from(key.as_str())),
        notes: notes(group, node),
        tags: group.spec.tags.clone().unwrap_or_default(),
        user_data,
        process_id: node.meta().uid.clone(),
    }
}
