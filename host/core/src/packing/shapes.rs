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

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
        let spoken_of = Spoken::new(snapshot);
        let mut known = BTreeMap::new();
        let mut intern = |shape: Shape| {
            let next = ShapeId::try_from(known.len()).unwrap_or(ShapeId::MAX);
            *known.entry(shape).or_insert(next)
        };
        let of_nodes = snapshot
            .nodes
            .iter()
            .map(|node| {
                intern(Shape {
                    labels: spoken_of.keep(|key| node_label(node, key)),
                    taints: node.taints.clone(),
                    unschedulable: node.unschedulable,
                    name: if spoken_of.name {
                        node.name.clone()
                    } else {
                        String::new()
                    },
                })
            })
            .collect();
        let of_templates: Vec<ShapeId> = snapshot
            .templates
            .iter()
            .map(|template| {
                intern(Shape {
                    // A new node gets a host name that nobody can have asked for: the space cannot occur in one.
                    labels: spoken_of.keep(|key| match key {
                        HOSTNAME_LABEL => Some("a new node"),
                        _ => template.labels.get(key).map(String::as_str),
                    }),
                    taints: template.taints.clone(),
                    unschedulable: false,
                    name: if spoken_of.name {
                        "a new node".to_owned()
                    } else {
                        String::new()
                    },
                })
            })
            .collect();
        let mut shapes: Vec<(Shape, ShapeId)> = known.into_iter().collect();
        shapes.sort_by_key(|(_, id)| *id);
        let mut templates = vec![0; shapes.len()];
        of_templates
            .iter()
            .for_each(|shape| templates[*shape as usize] += 1);
        let mut taints = shapes.iter().flat_map(|(shape, _)| &shape.taints);
        Self {
            discouraging: taints.any(|taint| taint.effect == TaintEffect::PreferNoSchedule),
            shapes: shapes.into_iter().map(|(shape, _)| shape).collect(),
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
}

impl Shapes {
    /// How many templates take the class by their nature.
    pub(crate) fn templates_for(&self, snapshot: &Snapshot, class: ClassId) -> usize {
        let shapes = (0..).zip(&self.templates);
        let taking = shapes
            .filter(|(shape, count)| **count > 0 && self.verdict(snapshot, class, *shape).refused.is_none());
        taking.map(|(_, count)| count).sum()
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
