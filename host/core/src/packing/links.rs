//! How classes hang together: which counters a pod of a class moves, and which it looks at.
//!
//! Equal questions share a counter, whichever class asks: a thousand Deployments of one team that spread over
//! zones by the same selector need one.

use super::topology::{KeyId, Topology};
use crate::model::{
    ClassId, LabelSelector, Labels, NodeSelector, PodAffinityTerm, PodClass, Snapshot, SpreadConstraint,
    Toleration, WhenUnsatisfiable,
};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) type CounterId = u32;

/// What a counter counts by.
#[derive(Clone, Debug)]
pub(crate) struct CounterSpec {
    pub(crate) key: KeyId,
    /// Set for spread constraints: the nodes that count.
    pub(crate) scope: Option<Scope>,
}

/// The nodes that a spread constraint looks at.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// A class that asks this question; all that do agree about nodes.
    pub(crate) asker: ClassId,
    pub(crate) honor_affinity: bool,
    pub(crate) honor_taints: bool,
    /// Keys that the node must have.
    pub(crate) keys: Vec<KeyId>,
}

/// A spread constraint, ready to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Spread {
    pub(crate) counter: CounterId,
    pub(crate) key: KeyId,
    pub(crate) max_skew: i32,
    /// At least 1.
    pub(crate) min_domains: u32,
    /// The selector matches the pod itself.
    pub(crate) counts_itself: bool,
    /// The selector asks for nothing: no pod that runs counts, but one that a node is promised to does. kube-scheduler
    /// 1.35 reads it so, in two places.
    pub(crate) counts_promised_only: bool,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct ClassLinks {
    pub(crate) spread: Vec<Spread>,
    pub(crate) affinity: Vec<CounterId>,
    /// The pod satisfies its own affinity terms.
    pub(crate) attracts_itself: bool,
    /// Where pods run that this one keeps away from.
    pub(crate) anti: Vec<CounterId>,
    /// Where pods run that keep this one away.
    pub(crate) shunned_by: Vec<CounterId>,
    /// Counters that a pod of the class moves.
    pub(crate) moves: Vec<CounterId>,
    /// Preferred company, by weight. Kept for classes with waiting pods.
    pub(crate) wishes: Vec<(i64, CounterId)>,
    /// Topology spread that is only wished for; for such classes as well.
    pub(crate) soft_spread: Vec<CounterId>,
}

impl ClassLinks {
    /// Whether a pod of the class moves no counter that the next looks at.
    pub(crate) fn is_bulk(&self) -> bool {
        let looks_at = |counter: &CounterId| {
            self.affinity.contains(counter)
                || self.anti.contains(counter)
                || self.shunned_by.contains(counter)
                || self.spread.iter().any(|spread| spread.counter == *counter)
        };
        !self.moves.iter().any(looks_at)
    }

    /// Whether no other pod matters to a pod of the class but for the room that it takes.
    pub(crate) fn is_plain(&self) -> bool {
        self.spread.is_empty() && !self.minds_company()
    }

    /// Whether affinity decides about a pod of the class, its own or that of others.
    pub(crate) fn minds_company(&self) -> bool {
        !(self.affinity.is_empty() && self.anti.is_empty() && self.shunned_by.is_empty())
    }

    /// Whether a node that refuses a pod of the class may take one after another was placed elsewhere.
    pub(crate) fn may_reconsider(&self) -> bool {
        !self.spread.is_empty() || !self.affinity.is_empty()
    }
}

/// What is asked of a counter; equal questions share one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Question {
    Spread {
        namespace: String,
        selector: Option<LabelSelector>,
        key: KeyId,
        keys: Vec<KeyId>,
        affinity: Option<(Labels, Option<NodeSelector>)>,
        tolerations: Option<Vec<Toleration>>,
    },
    /// Pods that match every one of these terms, topology keys aside.
    Company {
        terms: Vec<(Option<LabelSelector>, Vec<String>)>,
        key: KeyId,
    },
    /// Pods that carry this anti-affinity term.
    Carriers { term: PodAffinityTerm, key: KeyId },
}

impl Question {
    fn key(&self) -> KeyId {
        match self {
            Self::Spread { key, .. } | Self::Company { key, .. } | Self::Carriers { key, .. } => *key,
        }
    }

    /// A selector that must hold of every pod that counts.
    fn selector(&self) -> Option<&LabelSelector> {
        match self {
            Self::Spread { selector, .. } => selector.as_ref(),
            Self::Company { terms, .. } => terms.first()?.0.as_ref(),
            Self::Carriers { term, .. } => term.selector.as_ref(),
        }
    }

    /// Whether pods that look like this count. Carriers are known by class instead.
    fn counts(&self, (namespace, labels, terminating): Looks<'_>) -> bool {
        match self {
            // Kubernetes counts nothing for a selector that asks for nothing, and no pod that is being deleted.
            Self::Spread {
                namespace: own,
                selector: Some(selector),
                ..
            } => !terminating && own == namespace && !selector.is_empty() && selector.matches(labels),
            Self::Company { terms, .. } => terms
                .iter()
                .all(|(selector, namespaces)| selects(selector.as_ref(), namespaces, namespace, labels)),
            Self::Spread { selector: None, .. } | Self::Carriers { .. } => false,
        }
    }
}

pub(crate) struct Links {
    pub(crate) counters: Vec<CounterSpec>,
    /// Counters of the host name key, which get a domain with every new node.
    pub(crate) by_hostname: Vec<CounterId>,
    /// Counters that look at nodes too.
    pub(crate) scoped: Vec<CounterId>,
    /// Whether some counter leaves out nodes for their taints.
    pub(crate) honors_taints: bool,
    classes: Vec<ClassLinks>,
}

impl Links {
    pub(crate) fn of(&self, class: ClassId) -> &ClassLinks {
        &self.classes[class as usize]
    }

    pub(crate) fn new(snapshot: &Snapshot, topology: &Topology) -> Self {
        let mut builder = Builder {
            topology,
            questions: BTreeMap::new(),
            counters: Vec::new(),
        };
        let mut classes: Vec<ClassLinks> = Vec::with_capacity(snapshot.classes.len());
        let waiting: BTreeSet<ClassId> = snapshot.pods.iter().map(|pod| pod.class).collect();
        for (id, class) in (0..).zip(&snapshot.classes) {
            classes.push(builder.links(id, class, waiting.contains(&id)));
        }
        let Builder {
            questions, counters, ..
        } = builder;
        relate(snapshot, &questions, &mut classes);
        let chosen = |wanted: &dyn Fn(&CounterSpec) -> bool| -> Vec<CounterId> {
            (0..)
                .zip(&counters)
                .filter(|(_, spec)| wanted(spec))
                .map(|(id, _)| id)
                .collect()
        };
        let by_hostname = chosen(&|spec| Some(spec.key) == topology.hostname);
        let scoped = chosen(&|spec| spec.scope.is_some());
        let honors_taints = counters
            .iter()
            .any(|spec| spec.scope.as_ref().is_some_and(|scope| scope.honor_taints));
        Self {
            counters,
            by_hostname,
            scoped,
            honors_taints,
            classes,
        }
    }
}

struct Builder<'a> {
    topology: &'a Topology,
    questions: BTreeMap<Question, CounterId>,
    counters: Vec<CounterSpec>,
}

impl Builder<'_> {
    fn intern(&mut self, question: Question, scope: impl FnOnce() -> Option<Scope>) -> CounterId {
        let next = CounterId::try_from(self.counters.len()).unwrap_or(CounterId::MAX);
        let key = question.key();
        *self.questions.entry(question).or_insert_with(|| {
            self.counters.push(CounterSpec { key, scope: scope() });
            next
        })
    }

    /// The pods that a term looks for.
    fn company(&mut self, term: &PodAffinityTerm) -> Option<CounterId> {
        let key = self.topology.key(&term.topology_key)?;
        let terms = vec![selection(term)];
        Some(self.intern(Question::Company { terms, key }, || None))
    }

    /// The constraints of a kind, with their counters and keys.
    fn spread<'c>(
        &mut self,
        id: ClassId,
        class: &'c PodClass,
        kind: WhenUnsatisfiable,
    ) -> Vec<(&'c SpreadConstraint, CounterId, KeyId)> {
        let constraints = class.topology_spread.iter();
        let constraints: Vec<_> = constraints
            .filter(|constraint| constraint.when_unsatisfiable == kind)
            .filter_map(|constraint| Some((constraint, self.topology.key(&constraint.topology_key)?)))
            .collect();
        let mut keys: Vec<KeyId> = constraints.iter().map(|(_, key)| *key).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut all = Vec::with_capacity(constraints.len());
        for (constraint, key) in constraints {
            let question = Question::Spread {
                namespace: class.namespace.clone(),
                selector: constraint.selector.clone(),
                key,
                keys: keys.clone(),
                affinity: constraint
                    .honor_affinity
                    .then(|| (class.node_selector.clone(), class.node_affinity.clone())),
                tolerations: constraint.honor_taints.then(|| class.tolerations.clone()),
            };
            let scope = || {
                let (honor_affinity, honor_taints) = (constraint.honor_affinity, constraint.honor_taints);
                Some(Scope {
                    asker: id,
                    honor_affinity,
                    honor_taints,
                    keys: keys.clone(),
                })
            };
            all.push((constraint, self.intern(question, scope), key));
        }
        all
    }

    fn links(&mut self, id: ClassId, class: &PodClass, waits: bool) -> ClassLinks {
        let mut links = ClassLinks::default();
        for (constraint, counter, key) in self.spread(id, class, WhenUnsatisfiable::DoNotSchedule) {
            links.spread.push(Spread {
                counter,
                key,
                max_skew: constraint.max_skew,
                min_domains: u32::try_from(constraint.min_domains).unwrap_or(0).max(1),
                counts_itself: constraint
                    .selector
                    .as_ref()
                    .is_some_and(|selector| selector.matches(&class.labels)),
                counts_promised_only: constraint.selector.as_ref().is_some_and(LabelSelector::is_empty),
            });
        }
        if waits {
            let soft = self.spread(id, class, WhenUnsatisfiable::ScheduleAnyway);
            links.soft_spread = soft.into_iter().map(|(_, counter, _)| counter).collect();
            for (weight, term) in &class.preferences.pods {
                let counter = self.company(term);
                links
                    .wishes
                    .extend(counter.map(|counter| (i64::from(*weight), counter)));
            }
        }

        let terms: Vec<_> = class.pod_affinity.iter().map(selection).collect();
        links.attracts_itself = terms.iter().all(|(selector, namespaces)| {
            selects(selector.as_ref(), namespaces, &class.namespace, &class.labels)
        });
        for term in &class.pod_affinity {
            let Some(key) = self.topology.key(&term.topology_key) else {
                continue;
            };
            links.affinity.push(self.intern(
                Question::Company {
                    terms: terms.clone(),
                    key,
                },
                || None,
            ));
        }
        for term in &class.pod_anti_affinity {
            let Some(key) = self.topology.key(&term.topology_key) else {
                continue;
            };
            links.anti.extend(self.company(term));
            links.moves.push(self.intern(
                Question::Carriers {
                    term: term.clone(),
                    key,
                },
                || None,
            ));
        }
        links
    }
}

/// What a pod looks like from outside: its namespace, its labels, and whether it is being deleted.
type Looks<'a> = (&'a str, &'a Labels, bool);

/// Tells every class which counters it moves and who keeps it away. Classes that look alike are matched once.
fn relate(snapshot: &Snapshot, questions: &BTreeMap<Question, CounterId>, classes: &mut [ClassLinks]) {
    let mut alike: BTreeMap<Looks<'_>, Vec<usize>> = BTreeMap::new();
    for (id, class) in snapshot.classes.iter().enumerate() {
        alike
            .entry((&class.namespace, &class.labels, class.terminating))
            .or_default()
            .push(id);
    }
    // Most selectors ask for one value of a label: whoever does not have it needs no closer look.
    let (mut by_label, mut others) = (BTreeMap::<_, Vec<_>>::new(), Vec::new());
    for (question, counter) in questions {
        match question
            .selector()
            .and_then(|selector| selector.match_labels.first_key_value())
        {
            Some(label) => by_label.entry(label).or_default().push((question, counter)),
            None => others.push((question, counter)),
        }
    }
    for (looks, ids) in alike {
        let (namespace, labels, _) = looks;
        let by_label = labels.iter().filter_map(|label| by_label.get(&label)).flatten();
        for (question, counter) in by_label.chain(&others) {
            if question.counts(looks) {
                ids.iter().for_each(|id| classes[*id].moves.push(**counter));
            }
            if let Question::Carriers { term, .. } = question
                && selects(term.selector.as_ref(), &term.namespaces, namespace, labels)
            {
                ids.iter().for_each(|id| classes[*id].shunned_by.push(**counter));
            }
        }
    }
    for links in classes {
        for list in [&mut links.moves, &mut links.anti, &mut links.shunned_by] {
            list.sort_unstable();
            list.dedup();
        }
    }
}

/// The pods that the carrier of a term looks for.
fn selection(term: &PodAffinityTerm) -> (Option<LabelSelector>, Vec<String>) {
    let namespaces = if term.sought_everywhere {
        Vec::new()
    } else {
        term.namespaces.clone()
    };
    (term.selector.clone(), namespaces)
}

fn selects(
    selector: Option<&LabelSelector>,
    namespaces: &[String],
    namespace: &str,
    labels: &Labels,
) -> bool {
    (namespaces.is_empty() || namespaces.iter().any(|own| own == namespace))
        && selector.is_some_and(|selector| selector.matches(labels))
}
