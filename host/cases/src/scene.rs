//! A case's cluster, folded into the index like watch events, and the snapshot that becomes of it.

use crate::format::{Cluster, Group, Map, Node, Offering};
use crate::objects::{self, NAMESPACE, NOW, ZONE, object};
use crate::quantities::Amount;
use crate::storage;
use anyhow::{Context, Result, bail};
use autoscaler_cluster::{Change, Index, Inputs, ObjectKey, TemplateHealth, labels_of_new_node};
use autoscaler_core::model::{ClassId, NodeId, PodKey, Resident, Resources, Snapshot, TemplateId};
use autoscaler_core::quantity;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

/// What a node offers that says nothing: CPU, memory, ephemeral storage.
const NODE: [&str; 3] = ["4", "16Gi", "100Gi"];
/// Removals per loop where a case sets no limit.
const REMOVAL_BUDGET: u32 = 100;
/// Seed of a decision where a case names none.
const SEED: u64 = 7;

/// A cluster with the names that its case uses.
pub(crate) struct Scene {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Pods by their names in the case; a name with a count stands for many.
    names: BTreeMap<PodKey, String>,
}

impl Scene {
    pub(crate) fn new(cluster: &Cluster) -> Result<Self> {
        let clock = Arc::new(AtomicI64::new(NOW));
        let now = Arc::clone(&clock);
        let index = Index::new(Arc::new(move || {
            jiff::Timestamp::from_second(now.load(Ordering::Relaxed)).unwrap_or_default()
        }));
        let builder = Builder {
            cluster,
            index: &index,
        };
        builder.surroundings()?;
        builder.groups()?;
        for node in &cluster.nodes {
            // The index dates by its clock since when a node has nothing to move.
            clock.store(NOW - node.idle.unwrap_or(objects::age(node)), Ordering::Relaxed);
            builder.node(node)?;
        }
        clock.store(NOW, Ordering::Relaxed);
        let mut names = builder.pods()?;
        let snapshot = Arc::new(index.snapshot(&builder.inputs()?));
        let spares = snapshot.pods.iter().filter(|pod| !pod.exists());
        names.extend(spares.filter_map(|pod| {
            let owner = pod.owner.as_deref()?;
            Some((pod.key.clone(), owner.rsplit('/').next()?.to_owned()))
        }));
        Ok(Self { snapshot, names })
    }

    /// A cluster from elsewhere. Pods go by the names of their controllers, where they have one.
    pub(crate) fn of(snapshot: Arc<Snapshot>) -> Self {
        let waiting = snapshot.pods.iter().map(|pod| {
            let owner = pod.owner.as_deref().and_then(|owner| owner.rsplit('/').next());
            (pod.key.clone(), owner.unwrap_or(&pod.key.name).to_owned())
        });
        let residents = snapshot.nodes.iter().flat_map(|node| node.residents.iter());
        let running = residents.map(|pod| (pod.key.clone(), pod.key.name.to_string()));
        let names = waiting.chain(running).collect();
        Self { snapshot, names }
    }

    /// The name that a pod has in the case.
    pub(crate) fn name_of(&self, key: &PodKey) -> &str {
        self.names.get(key).map_or("?", String::as_str)
    }

    /// Whether the case has pods of this name.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.names.values().any(|known| known == name)
    }

    /// The class of the pods of this name.
    pub(crate) fn class(&self, name: &str) -> Result<ClassId> {
        let snapshot = &self.snapshot;
        let waiting = snapshot.pods.iter().map(|pod| (&pod.key, pod.class));
        let running = self
            .residents()
            .map(|(_, pod)| (&pod.key, snapshot.class_of(pod.class)));
        let found = waiting.chain(running).find(|(key, _)| self.name_of(key) == name);
        Ok(found
            .with_context(|| format!("the snapshot has no pod {name:?}"))?
            .1)
    }

    /// The pods that run, each with its node.
    pub(crate) fn residents(&self) -> impl Iterator<Item = (NodeId, &Resident)> {
        let nodes = (0..).zip(&self.snapshot.nodes);
        nodes.flat_map(|(id, node)| node.residents.iter().map(move |pod| (id, pod)))
    }

    pub(crate) fn node(&self, name: &str) -> Result<NodeId> {
        let numbered = (0..).zip(&self.snapshot.nodes);
        let found = numbered.into_iter().find(|(_, node)| node.name == name);
        Ok(found.with_context(|| format!("there is no node {name:?}"))?.0)
    }

    /// `group/offering` of a template.
    pub(crate) fn template_name(&self, template: TemplateId) -> String {
        let template = &self.snapshot.templates[template as usize];
        let group = &self.snapshot.groups[template.group as usize];
        format!("{}/{}", group.name, template.offering)
    }

    pub(crate) fn template(&self, name: &str) -> Result<TemplateId> {
        let mut numbers = (0..).zip(&self.snapshot.templates).map(|(number, _)| number);
        numbers
            .find(|number| self.template_name(*number) == name)
            .with_context(|| format!("there is no template {name:?}, group/offering is asked for"))
    }
}

struct Builder<'a> {
    cluster: &'a Cluster,
    index: &'a Index,
}

impl Builder<'_> {
    fn surroundings(&self) -> Result<()> {
        for (name, labels) in &self.cluster.namespaces {
            let value = serde_json::json!({"metadata": {"name": name, "labels": labels}});
            self.index.apply(&Change::Namespace(Arc::new(object(value)?)));
        }
        for budget in &self.cluster.budgets {
            let value = objects::budget(budget)?;
            self.index.apply(&Change::Budget(Arc::new(object(value)?)));
        }
        for class in &self.cluster.storage_classes {
            let value = storage::storage_class(class)?;
            self.index.apply(&Change::StorageClass(Arc::new(object(value)?)));
        }
        for volume in &self.cluster.persistent_volumes {
            let value = storage::volume(volume)?;
            self.index.apply(&Change::Volume(Arc::new(object(value)?)));
        }
        for claim in &self.cluster.claims {
            let value = storage::claim(claim);
            self.index.apply(&Change::Claim(Arc::new(object(value)?)));
        }
        for pod in &self.cluster.daemons {
            let value = objects::daemon_set(pod)?;
            self.index.apply(&Change::DaemonSet(Arc::new(object(value)?)));
        }
        for set in &self.cluster.replica_sets {
            let value = objects::replica_set(set);
            self.index.apply(&Change::ReplicaSet(Arc::new(object(value)?)));
        }
        Ok(())
    }

    fn groups(&self) -> Result<()> {
        for group in &self.cluster.groups {
            let value = objects::group(group, &self.offerings_of(group))?;
            self.index.apply(&Change::NodeGroup(Arc::new(object(value)?)));
        }
        Ok(())
    }

    fn offerings_of(&self, group: &Group) -> Vec<String> {
        let all = || {
            self.cluster
                .offerings
                .iter()
                .map(|offering| offering.name.clone())
        };
        group.offerings.clone().unwrap_or_else(|| all().collect())
    }

    fn node(&self, node: &Node) -> Result<()> {
        let default = NODE.map(Amount::from);
        let Some(name) = &node.group else {
            if node.offering.is_some() || node.phase.is_some() {
                bail!("node {}: an offering or a phase without a group", node.name);
            }
            let value = objects::node(node, &Map::new(), &[], default)?;
            self.index.apply(&Change::Node(Arc::new(object(value)?)));
            return Ok(());
        };
        let named = |group: &&Group| group.name == *name;
        let group = self.cluster.groups.iter().find(named);
        let group = group.with_context(|| format!("node {}: there is no group {name:?}", node.name))?;
        let offerings = self.offerings_of(group);
        let offering = node.offering.as_ref().or(offerings.first());
        let offering = offering.with_context(|| format!("node {}: which offering?", node.name))?;
        let value = objects::vpsie_node(node, group, offering);
        let joined = value["status"]["nodeName"].is_string();
        self.index.apply(&Change::VPSieNode(Arc::new(object(value)?)));
        if joined {
            let labels = labels_of_new_node(&object(objects::group(group, &offerings)?)?, offering);
            let known = |known: &&Offering| known.name == *offering;
            let sizes = self.cluster.offerings.iter().find(known).map_or(default, sizes);
            let value = objects::node(node, &labels, &group.taints, sizes)?;
            self.index.apply(&Change::Node(Arc::new(object(value)?)));
        }
        Ok(())
    }

    fn pods(&self) -> Result<BTreeMap<PodKey, String>> {
        let mut names = BTreeMap::new();
        for pod in &self.cluster.pods {
            if let Some(node) = &pod.node
                && !self.cluster.nodes.iter().any(|known| known.name == *node)
            {
                bail!("pod {}: there is no node {node:?}", pod.name);
            }
            for number in 0..pod.count.unwrap_or(1) {
                let name = match pod.count {
                    Some(_) => format!("{}-{number}", pod.name),
                    None => pod.name.clone(),
                };
                let value = objects::pod(pod, &name)?;
                let key = PodKey {
                    namespace: pod.namespace.as_deref().unwrap_or(NAMESPACE).into(),
                    name: name.into(),
                };
                if names.insert(key.clone(), pod.name.clone()).is_some() {
                    bail!("pod {key} is there twice");
                }
                self.index.apply(&Change::Pod(Arc::new(object(value)?)));
            }
        }
        Ok(names)
    }

    fn inputs(&self) -> Result<Inputs> {
        let cluster = self.cluster;
        let mut inputs = Inputs {
            now_ms: NOW * 1000,
            seed: cluster.seed.unwrap_or(SEED),
            max_cluster_nodes: cluster.max_nodes,
            removal_budget: cluster.removal_budget.unwrap_or(REMOVAL_BUDGET),
            ..Inputs::default()
        };
        let reserved = |amount: &Option<Amount>, read: fn(&str) -> Result<i64, _>| {
            amount.as_ref().map_or(Ok(0), |amount| read(&amount.0))
        };
        inputs.reserved = Resources::cpu_memory(
            reserved(&cluster.reserved.cpu, quantity::parse_milli)?,
            reserved(&cluster.reserved.memory, quantity::parse_units)?,
        );
        let zones = cluster.groups.iter().map(objects::zone).chain([ZONE]);
        for zone in zones {
            let here = |offering: &&Offering| offering.zone.as_deref().is_none_or(|only| only == zone);
            let offered = (1..)
                .zip(cluster.offerings.iter().filter(here))
                .map(|(size, offering)| catalogued(size, offering));
            inputs.offerings.insert(zone.to_owned(), offered.collect());
        }
        for group in &cluster.groups {
            for name in group.failures.keys().chain(group.backoff.keys()) {
                let until = group.backoff.get(name).map(|seconds| (NOW + seconds) * 1000);
                let health = TemplateHealth {
                    failures: group.failures.get(name).copied().unwrap_or(1),
                    backoff_until_ms: until,
                };
                let key = ObjectKey::new(NAMESPACE, &group.name);
                inputs.health.insert((key, name.clone()), health);
            }
        }
        Ok(inputs)
    }
}

/// Memory in GiB.
fn memory(offering: &Offering) -> u64 {
    offering.memory.unwrap_or(4 * u64::from(offering.cpu))
}

/// Disk in GiB.
fn disk(offering: &Offering) -> u64 {
    offering.disk.unwrap_or(100)
}

pub(crate) fn catalogued(size: i64, offering: &Offering) -> autoscaler_cluster::Offering {
    autoscaler_cluster::Offering {
        size,
        names: vec![offering.name.clone()],
        cpu: offering.cpu,
        memory_mib: memory(offering) * 1024,
        disk_gib: disk(offering),
        hourly_micros: offering.price.unwrap_or(10 * u64::from(offering.cpu)) * 1000,
    }
}

fn sizes(offering: &Offering) -> [Amount; 3] {
    let text = |text: String| Amount(text);
    [
        text(offering.cpu.to_string()),
        text(format!("{}Gi", memory(offering))),
        text(format!("{}Gi", disk(offering))),
    ]
}
