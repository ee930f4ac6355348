//! NodeGroups: is the group's spec something VPSie can serve, are its limits kept, and how does it stand?
//!
//! Growth beyond the floor is the policies' business; this controller sees to the floor, takes back what
//! failed, and writes the status.

mod assess;
mod create;
mod delete;
mod provider;

pub(crate) use create::{NewNode, new_vpsie_node};

use crate::context::Context;
use crate::error::Error;
use crate::health::Place;
use crate::runtime::events::EventType;
use crate::runtime::queue::{Next, Queue};
use crate::settings::Pace;
use crate::user_data;
use assess::{Facts, Trouble, assess};
use autoscaler_api::conditions::reasons;
use autoscaler_api::labels;
use autoscaler_api::vpsie_node::{CreationReason, Phase};
use autoscaler_api::{NodeGroup, VPSieNode};
use autoscaler_cluster::{Inputs, ObjectKey};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::{Resource, ResourceExt};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use vpsie_client::ClusterId;

const AFTER_CONFLICT: Duration = Duration::from_millis(50);

/// The controller of NodeGroups.
pub struct NodeGroups {
    ctx: Arc<Context>,
    pace: Pace,
    pub queue: Arc<Queue<ObjectKey>>,
    /// Woken when an operator asks for it: the stuck work lives there.
    nodes: Arc<Queue<ObjectKey>>,
}

impl NodeGroups {
    pub fn new(ctx: Arc<Context>, pace: Pace, nodes: Arc<Queue<ObjectKey>>) -> Self {
        Self {
            ctx,
            pace,
            queue: Arc::new(Queue::new()),
            nodes,
        }
    }

    /// Brings one NodeGroup a step further.
    ///
    /// # Errors
    /// What keeps it from the next step; it is tried again.
    pub async fn reconcile(&self, key: ObjectKey) -> Result<Next, Error> {
        let Some(group) = self.ctx.index.node_group(&key) else {
            self.ctx.metrics.group_gone(&key.namespace, &key.name);
            return Ok(Next::Done);
        };
        if !group.is_managed() {
            return Ok(Next::Done);
        }
        match self.step(&key, &group).await {
            Err(error) if error.is_conflict() => Ok(Next::After(AFTER_CONFLICT)),
            other => other,
        }
    }

    async fn step(&self, key: &ObjectKey, group: &NodeGroup) -> Result<Next, Error> {
        if group.metadata.deletion_timestamp.is_some() {
            return self.delete(key, group).await;
        }
        if !group
            .finalizers()
            .iter()
            .any(|name| name == labels::NODE_GROUP_FINALIZER)
        {
            let mut finalizers = group.finalizers().to_vec();
            finalizers.push(labels::NODE_GROUP_FINALIZER.to_owned());
            self.patch_finalizers(group, finalizers).await?;
            return Ok(Next::After(AFTER_CONFLICT));
        }
        self.heed_trigger(key, group);
        let trouble = self.trouble(group).await;
        let nodes = self.ctx.index.vpsie_nodes_of(key);
        if trouble.is_none() {
            self.keep_floor(key, group, &nodes).await?;
        }
        self.withdraw_excess(group, &nodes).await?;
        self.take_back_failed(key, &nodes).await?;
        self.write_status(key, group, &nodes, trouble.as_ref()).await?;
        Ok(Next::After(self.pace.resync))
    }

    /// A new value of the trigger annotation wakes the group's nodes and forgets their failures.
    fn heed_trigger(&self, key: &ObjectKey, group: &NodeGroup) {
        let asked = labels::reconcile_trigger(group.annotations());
        let heeded = group
            .status
            .as_ref()
            .and_then(|status| status.last_reconcile_trigger.as_deref());
        if asked.is_none() || asked == heeded {
            return;
        }
        self.ctx.catalogue.forget_failures(group);
        self.ctx.futile.lock().forget();
        for node in self.ctx.index.vpsie_nodes_of(key) {
            self.nodes.wake(ObjectKey::of(&*node));
        }
        let note = "reconcile-trigger: the group and its nodes are looked at now, failures are forgotten";
        tracing::info!(nodegroup = %key, "{note}");
        self.ctx.events.publish(
            &group.object_ref(&()),
            EventType::Normal,
            "ReconcileTriggered",
            "Reconcile",
            note,
        );
    }

    /// What VPSie says against the group's spec.
    async fn trouble(&self, group: &NodeGroup) -> Option<Trouble> {
        let spec = &group.spec;
        if let Some(text) = provider::breakers_open(&self.ctx.vpsie.broken()) {
            return Some(Trouble::new(reasons::CIRCUIT_OPEN, text));
        }
        let api_trouble = |error: vpsie_client::Error, missing: &'static str, field: &str| match &error {
            vpsie_client::Error::NotFound { .. } => Trouble::new(missing, format!("{field}: {error}")),
            vpsie_client::Error::Unauthorized { .. }
            | vpsie_client::Error::CredentialsMissing { .. }
            | vpsie_client::Error::Forbidden { .. } => {
                Trouble::new(reasons::CREDENTIALS_REJECTED, error.to_string())
            }
            _ => Trouble::new(reasons::VPSIE_API_ERROR, error.to_string()),
        };
        let offered = match self.ctx.catalogue.offerings(spec).await {
            Ok(offered) => offered,
            Err(error) => {
                return Some(api_trouble(
                    error,
                    reasons::UNKNOWN_DATACENTER,
                    "spec.datacenterID",
                ));
            }
        };
        let inputs = Inputs {
            offerings: [(spec.market(), offered.to_vec())].into(),
            ..Inputs::default()
        };
        let unknown: Vec<&str> = spec
            .offering_ids
            .iter()
            .map(String::as_str)
            .filter(|name| inputs.offering(group, name).is_none())
            .collect();
        if !unknown.is_empty() {
            let known: Vec<String> = offered.iter().map(|offering| offering.names.join("/")).collect();
            let message = format!(
                "spec.offeringIDs: datacenter {} does not offer {}; it offers {}",
                spec.market(),
                unknown.join(", "),
                if known.is_empty() {
                    "nothing".to_owned()
                } else {
                    known.join(", ")
                }
            );
            return Some(Trouble::new(reasons::UNKNOWN_OFFERING, message));
        }
        if let Some(data) = &spec.user_data
            && let Err(problem) = user_data::check(&data.template)
        {
            let message = format!("spec.userData.template: {problem}");
            return Some(Trouble::new(reasons::USER_DATA_INVALID, message));
        }
        if spec.is_vm() {
            return None;
        }
        let cluster = ClusterId::new(&spec.resource_identifier);
        match self.ctx.catalogue.cluster(&cluster, self.pace.resync).await {
            Ok(_) => None,
            Err(error) => Some(api_trouble(
                error,
                reasons::UNKNOWN_CLUSTER,
                "spec.resourceIdentifier",
            )),
        }
    }

    /// Orders what is missing to the floor: `minNodes`, or more where the operator asks for it.
    async fn keep_floor(
        &self,
        key: &ObjectKey,
        group: &NodeGroup,
        nodes: &[Arc<VPSieNode>],
    ) -> Result<(), Error> {
        let present = nodes
            .iter()
            .filter(|node| node.metadata.deletion_timestamp.is_none())
            .count();
        let floor = usize::try_from(group.spec.floor()).unwrap_or(0);
        if present >= floor {
            return Ok(());
        }
        let preferred = group
            .spec
            .preferred_instance_type
            .as_ref()
            .filter(|name| group.spec.offering_ids.contains(name));
        let catalogue = &self.ctx.catalogue;
        if catalogue.quota_pause(group.spec.quota_scope()).is_some() {
            return Ok(());
        }
        let inputs = Inputs {
            offerings: catalogue.known_offerings(),
            ..Inputs::default()
        };
        let mut named: Vec<&String> = group.spec.offering_ids.iter().collect();
        if !group.spec.allow_mixed_instances_or_default() {
            named.truncate(1);
        }
        named.retain(|name| Some(*name) != preferred);
        let ranked = preferred.into_iter().chain(named);
        let mut choices = ranked
            .filter(|name| catalogue.rests_until(&Place::in_group(group, name)).is_none())
            .filter_map(|name| Some((name.clone(), inputs.offering(group, name)?.size)));
        let Some((offering, size)) = choices.next() else {
            return Ok(());
        };
        let fallbacks: Vec<(String, i64)> = choices.collect();
        let reason = if group.spec.desired_nodes.is_some() {
            CreationReason::Manual
        } else {
            CreationReason::Initial
        };
        let api: Api<VPSieNode> = Api::namespaced(self.ctx.effects.clone(), &key.namespace);
        // Ordinals make the names: a second pass on an outdated index asks for the same objects again.
        let taken: BTreeSet<String> = nodes.iter().map(|node| node.name_any()).collect();
        let uid: String = group.uid().unwrap_or_default().chars().take(8).collect();
        let names = (0..)
            .map(|ordinal| format!("{}-floor-{uid}-{ordinal}", key.name))
            .filter(|name| !taken.contains(name));
        for name in names.take(floor - present) {
            let new = NewNode {
                name,
                offering: offering.clone(),
                size,
                reason,
                waiting_since: None,
                fallbacks: fallbacks.clone(),
            };
            match api
                .create(&PostParams::default(), &new_vpsie_node(group, new))
                .await
            {
                Ok(_) => {}
                // It exists: the index will show it.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(source) => {
                    return Err(Error::Kubernetes {
                        action: "creating a VPSieNode",
                        source,
                    });
                }
            }
        }
        let note = format!("{} nodes to reach {floor}", floor - present);
        self.ctx.events.publish(
            &group.object_ref(&()),
            EventType::Normal,
            reasons::SCALING_UP,
            "ScaleUp",
            note,
        );
        Ok(())
    }

    /// `maxNodes` was lowered: what was not ordered yet is withdrawn. Nodes that exist are the rebalancer's.
    async fn withdraw_excess(&self, group: &NodeGroup, nodes: &[Arc<VPSieNode>]) -> Result<(), Error> {
        let alive: Vec<_> = nodes
            .iter()
            .filter(|node| node.metadata.deletion_timestamp.is_none())
            .collect();
        let max = usize::try_from(group.spec.max_nodes).unwrap_or(0);
        let excess = alive.len().saturating_sub(max);
        for node in alive
            .iter()
            .rev()
            .filter(|node| node.phase() == Phase::Pending)
            .take(excess)
        {
            self.delete_node(node).await?;
        }
        Ok(())
    }

    /// A failed record goes when its offering may be tried again, at once if a machine may be behind it.
    async fn take_back_failed(&self, key: &ObjectKey, nodes: &[Arc<VPSieNode>]) -> Result<(), Error> {
        let now = (self.ctx.now)();
        for node in nodes
            .iter()
            .filter(|node| node.phase() == Phase::Failed && node.metadata.deletion_timestamp.is_none())
        {
            let maybe_there = node
                .status
                .as_ref()
                .is_some_and(|status| status.creation_requested_at.is_some());
            let catalogue = &self.ctx.catalogue;
            let paused = catalogue.quota_pause(node.spec.quota_scope());
            let rests = paused
                .map(|pause| pause.until)
                .max(catalogue.rests_until(&Place::of(node)));
            match rests.filter(|_| !maybe_there) {
                Some(until) => {
                    let wait = Duration::try_from(until.duration_since(now)).unwrap_or_default();
                    self.queue.add_after(key.clone(), wait);
                }
                None => self.delete_node(node).await?,
            }
        }
        Ok(())
    }

    pub(super) async fn delete_node(&self, node: &VPSieNode) -> Result<(), Error> {
        let api: Api<VPSieNode> =
            Api::namespaced(self.ctx.effects.clone(), &node.namespace().unwrap_or_default());
        // The very object that was looked at: if it has moved on, look again.
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: node.uid(),
                resource_version: node.resource_version(),
            }),
            ..DeleteParams::default()
        };
        match api
            .delete(&node.name_any(), &params)
            .await
            .map_err(Error::kubernetes("deleting a VPSieNode"))
        {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }

    async fn write_status(
        &self,
        key: &ObjectKey,
        group: &NodeGroup,
        nodes: &[Arc<VPSieNode>],
        trouble: Option<&Trouble>,
    ) -> Result<(), Error> {
        let (offering_health, creation_pause) = self.ctx.catalogue.health_status(group);
        let now = (self.ctx.now)();
        let (futile_purchases, futile) = {
            let futile = self.ctx.futile.lock();
            (futile.status(key), futile.blocked_in(key, now.as_millisecond()))
        };
        let facts = Facts {
            group,
            nodes,
            trouble,
            broken: &self.ctx.vpsie.broken(),
            credentials: &self.ctx.vpsie.credentials_status(),
            offering_health,
            creation_pause,
            futile_purchases,
            futile,
            now,
        };
        let assessment = assess(&facts);
        self.ctx
            .metrics
            .group_sizes(&key.namespace, &key.name, assessment.sizes);
        self.ctx
            .metrics
            .group_phases(&key.namespace, &key.name, &assessment.phases);
        self.ctx
            .metrics
            .creation_paused(&key.namespace, &key.name, assessment.paused);
        for (reason, message) in assessment.news {
            self.ctx.events.publish(
                &group.object_ref(&()),
                EventType::Warning,
                &reason,
                "Reconcile",
                message,
            );
        }
        if group.status.as_ref() == Some(&assessment.status) {
            return Ok(());
        }
        let mut next = group.clone();
        next.status = Some(assessment.status);
        let api: Api<NodeGroup> = Api::namespaced(self.ctx.effects.clone(), &key.namespace);
        api.replace_status(&key.name, &PostParams::default(), &next)
            .await
            .map(drop)
            .map_err(Error::kubernetes("writing the status of a NodeGroup"))
    }

    pub(super) async fn patch_finalizers(
        &self,
        group: &NodeGroup,
        finalizers: Vec<String>,
    ) -> Result<(), Error> {
        let patch = serde_json::json!({
            "metadata": {"finalizers": finalizers, "resourceVersion": group.metadata.resource_version},
        });
        let api: Api<NodeGroup> =
            Api::namespaced(self.ctx.effects.clone(), &group.namespace().unwrap_or_default());
        let patched = api
            .patch(&group.name_any(), &PatchParams::default(), &Patch::Merge(&patch))
            .await;
        match patched.map_err(Error::kubernetes("writing the finalizers of a NodeGroup")) {
            Err(error) if !error.is_not_found() => Err(error),
            _ => Ok(()),
        }
    }
}
