//! A pod: where it could run now, what a new node would have to be, and what keeps both from happening.

use super::{Explanation, Fact, Scene, Section, moment, price, some};
use autoscaler_cluster::ObjectKey;
use autoscaler_core::decision::Cause;
use autoscaler_core::model::{Movability, Node, NodeId, NodeState, Pod, PodId, PodKey, Resident};
use std::collections::BTreeMap;

impl Scene<'_> {
    pub(super) fn pod(&self, key: &ObjectKey) -> Option<Explanation> {
        let key = PodKey {
            namespace: key.namespace.as_str().into(),
            name: key.name.as_str().into(),
        };
        let waiting = (0..).zip(&self.snapshot.pods).find(|(_, pod)| pod.key == key);
        if let Some((id, pod)) = waiting {
            return Some(self.waiting(id, pod));
        }
        let mut nodes = self.snapshot.nodes.iter();
        nodes.find_map(|node| {
            let mut pods = node.residents.iter();
            let pod = pods.find(|pod| pod.key == key)?;
            Some(self.running(node, pod))
        })
    }

    fn waiting(&self, id: PodId, pod: &Pod) -> Explanation {
        let owner = pod
            .owner
            .as_ref()
            .map_or_else(String::new, |owner| format!(" of {owner}"));
        let since = match pod.unschedulable_since_ms {
            Some(ms) => format!("kube-scheduler has found no node for it since {}", moment(ms)),
            None => "kube-scheduler has not judged it yet".to_owned(),
        };
        let refusals = self.placement.refusals_by_template(pod.class);
        Explanation {
            summary: format!("pod {}{owner} waits: {since}", pod.key),
            sections: vec![
                Section {
                    title: "What is expected".to_owned(),
                    facts: vec![self.expected(id, pod, &refusals)],
                },
                Section {
                    title: "Nodes that are there".to_owned(),
                    facts: self.nodes_for(id),
                },
                Section {
                    title: "A new node of".to_owned(),
                    facts: self.templates_for(&refusals),
                },
            ],
        }
    }

    /// What the next decision makes of the pod before it buys anything.
    fn expected(&self, id: PodId, pod: &Pod, refusals: &[Option<Cause>]) -> Fact {
        let placement = &self.placement;
        let placed = placement.placed.iter().find(|(placed, _)| *placed == id);
        if let Some((_, node)) = placed {
            let node = &self.snapshot.nodes[*node as usize];
            let text = match node.state {
                NodeState::Upcoming => "has been ordered and holds a place for it",
                _ => "has room: kube-scheduler will find it, or has yet to try",
            };
            return Fact::new(node.name.clone(), text);
        }
        let of_class = |lists: &[autoscaler_core::packing::Unplaced]| {
            lists
                .iter()
                .find(|left| left.pods.contains(&id))
                .map(|left| left.cause)
        };
        if let Some(cause) = of_class(&placement.postponed) {
            return Fact::new("later", cause.text());
        }
        match of_class(&placement.unplaced) {
            Some(_) if pod.unschedulable_since_ms.is_none() => Fact::new(
                "nothing yet",
                "a node is bought once kube-scheduler calls it unschedulable",
            ),
            Some(_) if self.is_for_sale(refusals) => {
                Fact::new("a purchase", "of a node below that fits, if the policies agree")
            }
            Some(_) => Fact::new("nothing", "no node below can be bought that it fits on"),
            None => Fact::new("nothing", "it is not waiting for a node"),
        }
    }

    /// Whether a node that the pod fits on can be bought now.
    fn is_for_sale(&self, refusals: &[Option<Cause>]) -> bool {
        let mut templates = self.snapshot.templates.iter().zip(refusals);
        templates.any(|(template, refusal)| refusal.is_none() && self.obstacle(template).is_none())
    }

    /// Each rule with the nodes that it keeps the pod from.
    fn nodes_for(&self, pod: PodId) -> Vec<Fact> {
        let state = self.placement.state();
        let mut refused: BTreeMap<Option<Cause>, Vec<&str>> = BTreeMap::new();
        for (id, node) in (0..).zip(&self.snapshot.nodes) {
            let verdict = state.fits_pod(pod, id as NodeId).err();
            refused.entry(verdict).or_default().push(&node.name);
        }
        let facts = refused.into_iter().map(|(cause, names)| {
            let rule = cause.map_or_else(|| "fits".to_owned(), |cause| format!("{cause:?}"));
            Fact::new(rule, format!("{}: {}", names.len(), some(&names)))
        });
        facts.collect()
    }

    /// Each way to buy a node, with the rule that keeps the pod from it or what stands in the way of buying.
    fn templates_for(&self, refusals: &[Option<Cause>]) -> Vec<Fact> {
        let mut facts: Vec<Fact> = Vec::new();
        for (template, refusal) in self.snapshot.templates.iter().zip(refusals) {
            let group = &self.snapshot.groups[template.group as usize];
            let text = match refusal {
                Some(cause) => cause.text().to_owned(),
                None => match self.obstacle(template) {
                    Some(obstacle) => format!("would fit, but {obstacle}"),
                    None => format!("fits, {}", price(template.hourly_micros)),
                },
            };
            let name = format!(
                "{}/{} {} in {}",
                group.namespace, group.name, template.offering, template.datacenter
            );
            facts.push(Fact::new(name, text));
        }
        facts
    }

    fn running(&self, node: &Node, pod: &Resident) -> Explanation {
        let rules = self.snapshot.drain_rules(node);
        let text = match &*pod.judgement.under(&rules, self.snapshot.now_ms) {
            Movability::Moves => "is evicted when its node goes, and needs another place".to_owned(),
            Movability::Ignored => "does not count: it goes with its node".to_owned(),
            Movability::Blocks(code, text) => format!("keeps its node: {code}: {text}"),
        };
        let until = pod.judgement.until.as_deref().map(|(end, _)| *end);
        let until = until.filter(|end| self.snapshot.now_ms < *end);
        let until = until.map(|end| Fact::new("until", moment(end)));
        let budgets = self.snapshot.budgets.iter().filter(|budget| {
            let class = &self.snapshot.classes[self.snapshot.class_of(pod.class) as usize];
            *budget.namespace == *pod.key.namespace
                && budget
                    .selector
                    .as_ref()
                    .is_some_and(|selector| selector.matches(&class.labels))
        });
        let budgets = budgets.map(|budget| {
            let allowed = budget.disruptions_allowed;
            Fact::new(
                format!("PodDisruptionBudget {}", budget.name),
                format!("lets {allowed} more of its pods go now"),
            )
        });
        Explanation {
            summary: format!("pod {} runs on {}", pod.key, node.name),
            sections: vec![
                Section {
                    title: "For scale-down it".to_owned(),
                    facts: [Fact::new("now", text)].into_iter().chain(until).collect(),
                },
                Section {
                    title: "Budgets".to_owned(),
                    facts: budgets.collect(),
                },
            ],
        }
    }
}
