//! Shapes: nodes and templates that no static rule can tell apart.
//!
//! Only the labels that some class speaks of make a difference, so that a cluster of thousands of nodes has a
//! handful of shapes, and each class is held against each shape once.

use super::topology::{HOSTNAME_LABEL, node_label};
use crate::decision::Cause;
use crate::model::{ClassId, Labels, NodeSelector, NodeSelectorTerm, Snapshot, Taint, TaintEffect};
use crate::rules::{self, NodeView};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

pub(crate) type ShapeId = u32;

/// The name of a node to come, which nobody can have asked for: the spaces cannot occur in one.
const NEW_NODE: &str = "a new node";

/// What the static rules say of a class and a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) refused: Option<Cause>,
    /// Node selector and affinity hold: spread constraints may ask for that alone.
    pub(crate) selected: bool,
    /// So do taints.
    pub(crate) tolerated: bool,
    /// The weights of the preferred terms that hold, together.
    pub(crate) preferred: i32,
    /// How many `PreferNoSchedule` taints are not tolerated.
    pub(crate) discouraged: u32,
}

#[derive(Clone, Debug)]
struct Shape {
    labels: Labels,
    taints: Vec<Taint>,
    unschedulable: bool,
    /// Set where some class chooses nodes by name.
    name: String,
}

pub(crate) struct Shapes {
    shapes: Vec<Shape>,
    pub(crate) of_nodes: Vec<ShapeId>,
    pub(crate) of_templates: Vec<ShapeId>,
    /// By shape: how many templates have it.
    templates: Vec<usize>,
    /// Whether some shape has a `PreferNoSchedule` taint.
    pub(crate) discouraging: bool,
    /// By class; worked out when it is first asked for.
    verdicts: Vec<OnceLock<Vec<Verdict>>>,
}

impl Shapes {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let mut builder = Builder {
            spoken_of: Spoken::new(snapshot),
            shapes: Vec::new(),
            known: BTreeMap::new(),
            traits: Vec::new(),
        };
        let nodes = snapshot.nodes.iter();
        let of_nodes = nodes
            .map(|node| {
                let label = |key: &str| node_label(node, key);
                builder.shape(&node.name, label, &node.taints, node.unschedulable)
            })
            .collect();
        let templates = snapshot.templates.iter();
        let of_templates: Vec<ShapeId> = templates
            .map(|template| {
                let label = |key: &str| match key {
                    HOSTNAME_LABEL => Some(NEW_NODE),
                    _ => template.labels.get(key).map(String::as_str),
                };
                builder.shape(NEW_NODE, label, &template.taints, false)
            })
            .collect();
        let shapes = builder.shapes;
        let mut templates = vec![0; shapes.len()];
        of_templates
            .iter()
            .for_each(|shape| templates[*shape as usize] += 1);
        let mut taints = shapes.iter().flat_map(|shape| &shape.taints);
        Self {
            discouraging: taints.any(|taint| taint.effect == TaintEffect::PreferNoSchedule),
            shapes,
            of_nodes,
            of_templates,
            templates,
            verdicts: snapshot.classes.iter().map(|_| OnceLock::new()).collect(),
        }
    }

    pub(crate) fn verdict(&self, snapshot: &Snapshot, class: ClassId, shape: ShapeId) -> Verdict {
        let row = self.verdicts[class as usize].get_or_init(|| {
            let class = &snapshot.classes[class as usize];
            self.shapes
                .iter()
                .map(|shape| {
                    let node = NodeView {
                        name: &shape.name,
                        labels: &shape.labels,
                        taints: &shape.taints,
                        unschedulable: shape.unschedulable,
                    };
                    Verdict {
                        refused: rules::refused_by_nature(class, &node),
                        selected: rules::selects_node(class, &node),
                        tolerated: rules::tolerates_node(class, &node),
                        preferred: rules::preferred_terms(class, &node),
                        discouraged: rules::discouraging_taints(class, &node),
                    }
                })
                .collect()
        });
        row[shape as usize]
    }

    /// How many templates take the class by their nature.
    pub(crate) fn templates_for(&self, snapshot: &Snapshot, class: ClassId) -> usize {
        let shapes = (0..).zip(&self.templates);
        let taking = shapes
            .filter(|(shape, count)| **count > 0 && self.verdict(snapshot, class, *shape).refused.is_none());
        taking.map(|(_, count)| count).sum()
    }
}

/// Numbers shapes. Most nodes are like one before, and need no shape of their own.
struct Builder<'a> {
    spoken_of: Spoken<'a>,
    shapes: Vec<Shape>,
    /// By what tells nodes apart, in a row.
    known: BTreeMap<Vec<Option<&'a str>>, ShapeId>,
    traits: Vec<Option<&'a str>>,
}

impl<'a> Builder<'a> {
    fn shape(
        &mut self,
        name: &'a str,
        label: impl Fn(&str) -> Option<&'a str>,
        taints: &'a [Taint],
        unschedulable: bool,
    ) -> ShapeId {
        let name = self.spoken_of.name.then_some(name);
        self.traits.clear();
        self.traits.extend([name, unschedulable.then_some("")]);
        self.traits
            .extend(self.spoken_of.labels.iter().map(|key| label(key)));
        for taint in taints {
            let effect = match taint.effect {
                TaintEffect::NoSchedule => "NoSchedule",
                TaintEffect::PreferNoSchedule => "PreferNoSchedule",
                TaintEffect::NoExecute => "NoExecute",
            };
            self.traits.extend([&taint.key, &taint.value, effect].map(Some));
        }
        if let Some(known) = self.known.get(self.traits.as_slice()) {
            return *known;
        }
        let next = ShapeId::try_from(self.shapes.len()).unwrap_or(ShapeId::MAX);
        self.known.insert(self.traits.clone(), next);
        self.shapes.push(Shape {
            labels: self.spoken_of.keep(label),
            taints: taints.to_vec(),
            unschedulable,
            name: name.unwrap_or_default().to_owned(),
        });
        next
    }
}

/// What the static rules of the classes speak of.
struct Spoken<'a> {
    labels: BTreeSet<&'a str>,
    name: bool,
}

impl<'a> Spoken<'a> {
    fn new(snapshot: &'a Snapshot) -> Self {
        let mut spoken = Self {
            labels: BTreeSet::new(),
            name: false,
        };
        for class in &snapshot.classes {
            spoken
                .labels
                .extend(class.node_selector.keys().map(String::as_str));
            class
                .node_affinity
                .iter()
                .for_each(|selector| spoken.hear(selector));
            class
                .volume_topology
                .iter()
                .for_each(|selector| spoken.hear(selector));
            let wishes = class.preferences.nodes.iter();
            wishes.for_each(|(_, term)| spoken.hear_term(term));
        }
        spoken
    }

    fn hear(&mut self, selector: &'a NodeSelector) {
        selector.terms.iter().for_each(|term| self.hear_term(term));
    }

    fn hear_term(&mut self, term: &'a NodeSelectorTerm) {
        let requirements = term.match_expressions.iter();
        self.labels
            .extend(requirements.map(|requirement| requirement.key.as_str()));
        self.name |= !term.match_fields.is_empty();
    }

    fn keep<'b>(&self, value: impl Fn(&str) -> Option<&'b str>) -> Labels {
        self.labels
            .iter()
            .filter_map(|key| Some(((*key).to_owned(), value(key)?.to_owned())))
            .collect()
    }
}
