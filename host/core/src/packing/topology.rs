//! Topology domains by number: what value a node has for each key that some rule speaks of.

use crate::model::{Node, NodeState, Snapshot, TemplateId};
use std::collections::{BTreeMap, BTreeSet};

/// The label that tells nodes apart.
pub const HOSTNAME_LABEL: &str = "kubernetes.io/hostname";

/// Number of a topology key in [`Topology::keys`].
pub(crate) type KeyId = usize;
/// Number of a value of a key.
pub(crate) type DomainId = u32;
/// The node does not have the key.
const NOWHERE: DomainId = DomainId::MAX;

pub(crate) struct Topology {
    pub(crate) keys: Vec<String>,
    /// The key whose values are all different.
    pub(crate) hostname: Option<KeyId>,
    /// How many values of each key the snapshot knows.
    pub(crate) known: Vec<u32>,
    /// nodes × keys.
    pub(crate) of_nodes: Vec<Option<DomainId>>,
    /// templates × keys. A node to come gets its host name when it is imagined.
    pub(crate) of_templates: Vec<Option<DomainId>>,
}

impl Topology {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let keys: Vec<String> = keys_in_rules(snapshot).into_iter().map(str::to_owned).collect();
        let hostname = keys.iter().position(|key| key == HOSTNAME_LABEL);
        let mut values: Vec<BTreeMap<&str, DomainId>> = vec![BTreeMap::new(); keys.len()];
        let mut number = |key: KeyId, value| {
            let next = DomainId::try_from(values[key].len()).unwrap_or(NOWHERE);
            *values[key].entry(value).or_insert(next)
        };
        let mut of_nodes = Vec::with_capacity(snapshot.nodes.len() * keys.len());
        for node in &snapshot.nodes {
            for (id, key) in keys.iter().enumerate() {
                of_nodes.push(node_label(node, key).map(|value| number(id, value)));
            }
        }
        let mut of_templates = Vec::with_capacity(snapshot.templates.len() * keys.len());
        for template in &snapshot.templates {
            for (id, key) in keys.iter().enumerate() {
                let value = template.labels.get(key).filter(|_| Some(id) != hostname);
                of_templates.push(value.map(|value| number(id, value.as_str())));
            }
        }
        let known = values
            .iter()
            .map(|values| DomainId::try_from(values.len()).unwrap_or(NOWHERE))
            .collect();
        Self {
            keys,
            hostname,
            known,
            of_nodes,
            of_templates,
        }
    }

    /// Where a new node of the template is.
    pub(crate) fn of_template(&self, template: TemplateId, key: KeyId) -> Option<DomainId> {
        self.of_templates[template as usize * self.keys.len() + key]
    }

    pub(crate) fn key(&self, name: &str) -> Option<KeyId> {
        self.keys.iter().position(|key| key == name)
    }
}

/// The value of a label. A node that has yet to register will carry its host name then.
pub(crate) fn node_label<'a>(node: &'a Node, key: &str) -> Option<&'a str> {
    match node.labels.get(key) {
        Some(value) => Some(value),
        None if key == HOSTNAME_LABEL && node.state == NodeState::Upcoming => Some(&node.name),
        None => None,
    }
}

/// The topology keys that a rule or a wish of some class speaks of.
fn keys_in_rules(snapshot: &Snapshot) -> BTreeSet<&str> {
    snapshot
        .classes
        .iter()
        .flat_map(|class| {
            let spread = class.topology_spread.iter();
            let spread = spread.map(|constraint| constraint.topology_key.as_str());
            let wishes = class.preferences.pods.iter().map(|(_, term)| term);
            let terms = class
                .pod_affinity
                .iter()
                .chain(&class.pod_anti_affinity)
                .chain(wishes);
            spread.chain(terms.map(|term| term.topology_key.as_str()))
        })
        .collect()
}
