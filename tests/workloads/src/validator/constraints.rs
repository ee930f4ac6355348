//! Rules about other pods. For every selector that occurs, the pods that it selects are counted on every node; a
//! question sums over the nodes of a domain.

use super::world::{Place, selects, tolerates_all};
use autoscaler_core::model::{
    LabelSelector, PodAffinityTerm, PodClass, Snapshot, SpreadConstraint, WhenUnsatisfiable,
};
use std::collections::BTreeMap;

/// Number of a domain of one topology key.
type Domain = usize;

/// Pods that all of these selectors select in these namespaces; no namespace stands for all of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Wanted {
    terms: Vec<(Option<LabelSelector>, Vec<String>)>,
    /// Topology spread counts no pod that is being deleted, and none for a selector that asks for nothing.
    for_spread: bool,
}

impl Wanted {
    /// Those that a pod with these terms looks for.
    fn by_terms(terms: &[PodAffinityTerm]) -> Self {
        let namespaces = |term: &PodAffinityTerm| match term.sought_everywhere {
            true => Vec::new(),
            false => term.namespaces.clone(),
        };
        Self {
            terms: terms
                .iter()
                .map(|term| (term.selector.clone(), namespaces(term)))
                .collect(),
            for_spread: false,
        }
    }

    fn by_spread(class: &PodClass, constraint: &SpreadConstraint) -> Self {
        Self {
            terms: vec![(constraint.selector.clone(), vec![class.namespace.clone()])],
            for_spread: true,
        }
    }

    fn selects(&self, class: &PodClass) -> bool {
        (!self.for_spread || !class.terminating)
            && self.terms.iter().all(|(selector, namespaces)| {
                let counts = |selector: &LabelSelector| {
                    (!self.for_spread || !selector.is_empty()) && selector.matches(&class.labels)
                };
                (namespaces.is_empty() || namespaces.contains(&class.namespace))
                    && selector.as_ref().is_some_and(counts)
            })
    }
}

/// Whether a pod that has the term keeps this one away.
fn minds(term: &PodAffinityTerm, class: &PodClass) -> bool {
    let near = term.namespaces.is_empty() || term.namespaces.contains(&class.namespace);
    near && term
        .selector
        .as_ref()
        .is_some_and(|selector| selector.matches(&class.labels))
}

pub(super) struct Tally {
    /// By topology key: the domain of each node.
    domains: BTreeMap<String, Vec<Option<Domain>>>,
    /// By selector: how many selected pods each node has.
    selected: BTreeMap<Wanted, Vec<u32>>,
    /// By anti-affinity term: how many pods that have the term are in each domain of its key.
    holders: BTreeMap<PodAffinityTerm, BTreeMap<Domain, u32>>,
}

impl Tally {
    pub(super) fn new(snapshot: &Snapshot, places: &[Place]) -> Self {
        let mut tally = Self {
            domains: BTreeMap::new(),
            selected: BTreeMap::new(),
            holders: BTreeMap::new(),
        };
        for class in &snapshot.classes {
            let affinity = class.pod_affinity.iter().chain(&class.pod_anti_affinity);
            let keys = affinity
                .map(|term| &term.topology_key)
                .chain(class.topology_spread.iter().map(|spread| &spread.topology_key));
            for key in keys {
                tally
                    .domains
                    .entry(key.clone())
                    .or_insert_with(|| domains(key, places));
            }
            let lists = std::iter::once(class.pod_affinity.as_slice())
                .chain(class.pod_anti_affinity.chunks(1))
                .map(Wanted::by_terms);
            let spreads = class
                .topology_spread
                .iter()
                .map(|constraint| Wanted::by_spread(class, constraint));
            for wanted in lists.chain(spreads) {
                tally
                    .selected
                    .entry(wanted)
                    .or_insert_with(|| vec![0; places.len()]);
            }
            for term in &class.pod_anti_affinity {
                tally.holders.entry(term.clone()).or_default();
            }
        }
        tally
    }

    pub(super) fn bind(&mut self, class: &PodClass, node: usize) {
        for (wanted, counts) in &mut self.selected {
            if wanted.selects(class) {
                counts[node] += 1;
            }
        }
        for term in &class.pod_anti_affinity {
            let domain = self.domains.get(&term.topology_key).and_then(|of| of[node]);
            if let (Some(domain), Some(held)) = (domain, self.holders.get_mut(term)) {
                *held.entry(domain).or_insert(0) += 1;
            }
        }
    }

    fn domain(&self, key: &str, node: usize) -> Option<Domain> {
        self.domains.get(key).and_then(|of| of[node])
    }

    /// Selected pods of each domain, or none where the key or the selector is unknown.
    fn in_domain(&self, wanted: &Wanted, key: &str, domain: Domain) -> u32 {
        let (Some(counts), Some(domains)) = (self.selected.get(wanted), self.domains.get(key)) else {
            return 0;
        };
        counts
            .iter()
            .zip(domains)
            .filter(|(_, at)| **at == Some(domain))
            .map(|(count, _)| count)
            .sum()
    }

    /// Pod affinity: a pod that all terms select is in the node's domain of every term. Where no such pod is
    /// anywhere, one that its own terms select may be the first.
    pub(super) fn company(&self, class: &PodClass, node: usize) -> bool {
        if class.pod_affinity.is_empty() {
            return true;
        }
        let wanted = Wanted::by_terms(&class.pod_affinity);
        let mut everywhere_labelled = true;
        let mut everywhere_met = true;
        let mut somewhere = false;
        for term in &class.pod_affinity {
            let with_domain = self
                .selected
                .get(&wanted)
                .zip(self.domains.get(&term.topology_key));
            somewhere |= with_domain.is_some_and(|(counts, domains)| {
                counts
                    .iter()
                    .zip(domains)
                    .any(|(count, domain)| *count > 0 && domain.is_some())
            });
            match self.domain(&term.topology_key, node) {
                Some(domain) => everywhere_met &= self.in_domain(&wanted, &term.topology_key, domain) > 0,
                None => everywhere_labelled = false,
            }
        }
        everywhere_labelled && (everywhere_met || (!somewhere && wanted.selects(class)))
    }

    /// Anti-affinity, the pod's own and that of the pods that are there.
    pub(super) fn keeps_apart(&self, class: &PodClass, node: usize) -> bool {
        let own = class.pod_anti_affinity.iter().all(|term| {
            let wanted = Wanted::by_terms(std::slice::from_ref(term));
            self.domain(&term.topology_key, node)
                .is_none_or(|domain| self.in_domain(&wanted, &term.topology_key, domain) == 0)
        });
        own && self.holders.iter().all(|(term, held)| {
            !minds(term, class)
                || self
                    .domain(&term.topology_key, node)
                    .is_none_or(|domain| held.get(&domain).copied().unwrap_or(0) == 0)
        })
    }

    /// With the pod, the node's domain has at most `max_skew` selected pods more than the emptiest domain. Domains
    /// are those of nodes that have all keys of the pod's constraints and that the policies let count; a domain
    /// that `min_domains` misses counts as empty.
    pub(super) fn is_spread(&self, class: &PodClass, node: usize, places: &[Place]) -> bool {
        let hard: Vec<&SpreadConstraint> = class
            .topology_spread
            .iter()
            .filter(|constraint| constraint.when_unsatisfiable == WhenUnsatisfiable::DoNotSchedule)
            .collect();
        let labelled = |node: usize| {
            hard.iter()
                .all(|constraint| self.domain(&constraint.topology_key, node).is_some())
        };
        if !hard.is_empty() && !labelled(node) {
            return false;
        }
        hard.iter().all(|constraint| {
            let wanted = Wanted::by_spread(class, constraint);
            let (Some(counts), Some(domains)) = (
                self.selected.get(&wanted),
                self.domains.get(&constraint.topology_key),
            ) else {
                return false;
            };
            let mut sums: BTreeMap<Domain, i64> = BTreeMap::new();
            for (at, (count, domain)) in counts.iter().zip(domains).enumerate() {
                let Some(domain) = domain else { continue };
                let place = &places[at];
                let counts_here = place.exists
                    && labelled(at)
                    && (!constraint.honor_affinity || selects(class, place))
                    && (!constraint.honor_taints || tolerates_all(class, place));
                if counts_here {
                    *sums.entry(*domain).or_insert(0) += i64::from(*count);
                }
            }
            let missing = i64::try_from(sums.len()).unwrap_or(i64::MAX) < i64::from(constraint.min_domains);
            let least = if missing {
                0
            } else {
                sums.values().min().copied().unwrap_or(0)
            };
            let here = domains[node]
                .and_then(|domain| sums.get(&domain).copied())
                .unwrap_or(0);
            let itself = constraint
                .selector
                .as_ref()
                .is_some_and(|selector| selector.matches(&class.labels));
            here + i64::from(itself) - least <= i64::from(constraint.max_skew)
        })
    }
}

/// The domain of each node: its value of the key, as a number.
fn domains(key: &str, places: &[Place]) -> Vec<Option<Domain>> {
    let mut numbers: BTreeMap<&str, Domain> = BTreeMap::new();
    places
        .iter()
        .map(|place| {
            let value = place.labels.get(key).filter(|_| place.exists)?;
            let next = numbers.len();
            Some(*numbers.entry(value).or_insert(next))
        })
        .collect()
}
