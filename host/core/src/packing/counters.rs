//! A counter: how many pods of some kind run in each domain of a topology key.
//!
//! Spread constraints also ask for the smallest count over the domains that have an eligible node. A histogram
//! of the counts answers that without a walk over the domains.

use super::topology::DomainId;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counter {
    /// Pods by domain.
    counts: Vec<u32>,
    total: u64,
    /// Eligible nodes by domain; empty where nobody asks for them.
    hosts: Vec<u32>,
    looks_at_nodes: bool,
    /// Domains with an eligible node.
    domains: u32,
    /// How many of those domains have so many pods; no zero at the end.
    histogram: Vec<u32>,
    /// The first place of the histogram that is not zero; 0 where there is none.
    minimum: usize,
}

impl Counter {
    /// `looks_at_nodes` where some domains may have no eligible node.
    pub(crate) fn new(domains: u32, looks_at_nodes: bool) -> Self {
        Self {
            counts: vec![0; domains as usize],
            hosts: vec![0; if looks_at_nodes { domains as usize } else { 0 }],
            looks_at_nodes,
            ..Self::default()
        }
    }

    /// The eligible nodes of a counter that has seen none yet.
    pub(crate) fn begin(&mut self, hosts: Vec<u32>) {
        self.hosts = hosts;
        for at in 0..self.hosts.len() {
            if self.hosts[at] > 0 {
                self.domains += 1;
                self.enter(self.counts[at]);
            }
        }
        self.settle();
    }

    pub(crate) fn count(&self, domain: DomainId) -> u32 {
        self.counts[domain as usize]
    }

    /// Pods in all domains together.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Domains that have an eligible node.
    pub(crate) fn domains(&self) -> u32 {
        self.domains
    }

    /// The smallest count over those domains, 0 where there is none.
    pub(crate) fn minimum(&self) -> u32 {
        u32::try_from(self.minimum).unwrap_or(u32::MAX)
    }

    /// Domains that have an eligible node, with their counts.
    pub(crate) fn present(&self) -> impl Iterator<Item = (DomainId, u32)> {
        (0_u32..)
            .zip(self.hosts.iter().zip(&self.counts))
            .filter(|(_, (hosts, _))| **hosts > 0)
            .map(|(d, (_, c))| (d, *c))
    }

    pub(crate) fn add(&mut self, domain: DomainId, pods: u32) {
        self.shift(domain, |count| count.saturating_add(pods));
        self.total += u64::from(pods);
    }

    pub(crate) fn sub(&mut self, domain: DomainId, pods: u32) {
        self.shift(domain, |count| count.saturating_sub(pods));
        self.total -= u64::from(pods);
    }

    /// One more eligible node in the domain.
    pub(crate) fn add_host(&mut self, domain: DomainId) {
        let hosts = &mut self.hosts[domain as usize];
        *hosts += 1;
        if *hosts == 1 {
            self.domains += 1;
            self.enter(self.counts[domain as usize]);
            self.settle();
        }
    }

    pub(crate) fn remove_host(&mut self, domain: DomainId) {
        let hosts = &mut self.hosts[domain as usize];
        *hosts -= 1;
        if *hosts == 0 {
            self.domains -= 1;
            self.leave(self.counts[domain as usize]);
            self.settle();
        }
    }

    /// A domain that did not exist; it gets the next number.
    pub(crate) fn push_domain(&mut self) {
        self.counts.push(0);
        if self.looks_at_nodes {
            self.hosts.push(0);
        }
    }

    /// Takes the last domain away; it must be empty.
    pub(crate) fn pop_domain(&mut self) {
        self.counts.pop();
        self.hosts.pop();
    }

    fn shift(&mut self, domain: DomainId, change: impl Fn(u32) -> u32) {
        let before = self.counts[domain as usize];
        let after = change(before);
        self.counts[domain as usize] = after;
        if self.hosts.get(domain as usize).is_some_and(|hosts| *hosts > 0) {
            self.leave(before);
            self.enter(after);
            self.settle();
        }
    }

    fn enter(&mut self, count: u32) {
        let at = count as usize;
        if self.histogram.len() <= at {
            self.histogram.resize(at + 1, 0);
        }
        self.histogram[at] += 1;
        self.minimum = self.minimum.min(at);
    }

    fn leave(&mut self, count: u32) {
        self.histogram[count as usize] -= 1;
    }

    fn settle(&mut self) {
        while self.histogram.last() == Some(&0) {
            self.histogram.pop();
        }
        if self.histogram.is_empty() {
            self.minimum = 0;
        }
        while self.histogram.get(self.minimum) == Some(&0) {
            self.minimum += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_minimum_is_over_domains_with_a_host() {
        let mut counter = Counter::new(3, true);
        assert_eq!((counter.minimum(), counter.domains()), (0, 0));
        counter.add_host(0);
        counter.add(0, 4);
        assert_eq!((counter.minimum(), counter.domains()), (4, 1));
        counter.add_host(1);
        assert_eq!((counter.minimum(), counter.domains()), (0, 2));
        counter.add(1, 3);
        counter.add(2, 1);
        assert_eq!((counter.minimum(), counter.total()), (3, 8));
        counter.remove_host(1);
        assert_eq!((counter.minimum(), counter.domains()), (4, 1));
    }

    #[test]
    fn beginning_with_nodes_is_as_if_they_had_come_one_by_one() {
        let (mut begun, mut told) = (Counter::new(4, true), Counter::new(4, true));
        for counter in [&mut begun, &mut told] {
            counter.add(0, 4);
            counter.add(1, 2);
            counter.add(3, 1);
        }
        begun.begin(vec![2, 1, 0, 0]);
        [0, 0, 1].into_iter().for_each(|domain| told.add_host(domain));
        assert_eq!(begun, told);
        assert_eq!((begun.minimum(), begun.domains()), (2, 2));
    }

    proptest! {
        /// Against counting anew; and steps taken back leave no trace.
        #[test]
        fn it_agrees_with_counting(steps in prop::collection::vec((0_u8..4, 0_u32..4, 1_u32..6), 0..60)) {
            let mut counter = Counter::new(4, true);
            let (mut counts, mut hosts) = ([0_u32; 4], [0_u32; 4]);
            let mut done: Vec<(u8, u32, u32)> = Vec::new();
            let mut history = vec![counter.clone()];
            for (kind, domain, pods) in steps {
                let at = domain as usize;
                match kind {
                    0 => { counter.add(domain, pods); counts[at] += pods; }
                    1 if counts[at] >= pods => { counter.sub(domain, pods); counts[at] -= pods; }
                    2 => { counter.add_host(domain); hosts[at] += 1; }
                    3 if hosts[at] > 0 => { counter.remove_host(domain); hosts[at] -= 1; }
                    _ => continue,
                }
                done.push((kind, domain, pods));
                history.push(counter.clone());
                let present = || counts.iter().zip(&hosts).filter(|(_, hosts)| **hosts > 0).map(|(count, _)| *count);
                prop_assert_eq!(counter.minimum(), present().min().unwrap_or(0));
                prop_assert_eq!(counter.domains() as usize, present().count());
                prop_assert_eq!(counter.total(), counts.iter().map(|count| u64::from(*count)).sum::<u64>());
            }
            for (kind, domain, pods) in done.into_iter().rev() {
                history.pop();
                match kind {
                    0 => counter.sub(domain, pods),
                    1 => counter.add(domain, pods),
                    2 => counter.remove_host(domain),
                    _ => counter.add_host(domain),
                }
                prop_assert_eq!(Some(&counter), history.last());
            }
        }
    }
}
