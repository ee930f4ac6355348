//! Filling: the pods of one class go onto the first nodes that take them.
//!
//! A node that refuses for lack of room stays full, so one pass is enough for most classes. Spread and affinity
//! can open a node again once a pod lands elsewhere: those classes go round until a whole pass changes nothing.

use super::State;
use crate::decision::Cause;
use crate::model::{ClassId, NodeId, TemplateId};

/// New nodes that may be opened while filling.
#[derive(Clone, Debug)]
pub(crate) struct Offer {
    pub(crate) template: TemplateId,
    /// How many more may be opened.
    pub(crate) left: u32,
    pub(crate) opened: Vec<NodeId>,
}

/// What became of the pods of a class.
#[derive(Clone, Debug)]
pub(crate) struct Filled {
    /// In the order of placing; a node may occur more than once.
    pub(crate) placed: Vec<(NodeId, u32)>,
    pub(crate) left: u32,
    /// The rule that refused most nodes in the end; meaningful where pods are left.
    pub(crate) cause: Cause,
    /// Steps of one class tried on one node.
    pub(crate) work: u64,
}

/// Pods of a class that look for a place on these nodes, the first preferred.
#[derive(Clone, Debug)]
pub(crate) struct Lot<'a> {
    pub(crate) class: ClassId,
    pub(crate) pods: u32,
    pub(crate) nodes: &'a [NodeId],
    /// The node that is promised to the one pod of the lot: it is tried first.
    pub(crate) promised: Option<NodeId>,
}

/// What became of lots.
#[derive(Clone, Debug)]
pub(crate) struct FilledLots {
    /// By lot.
    pub(crate) lots: Vec<Filled>,
    /// Lot, node and pods, in the order of placing.
    pub(crate) order: Vec<(usize, NodeId, u32)>,
}

/// Places lots in the order given. What one lot lacks, a later one may bring (company, a domain that catches
/// up, a node that its promised pod cannot have): lots that could profit are tried again until nothing moves any more.
pub(crate) fn fill_all(state: &mut State, lots: &[Lot<'_>], offers: &mut [Offer]) -> FilledLots {
    let mut all = FilledLots {
        lots: Vec::with_capacity(lots.len()),
        order: Vec::new(),
    };
    let mut given_up = false;
    for (at, lot) in lots.iter().enumerate() {
        let kept = lot.promised.filter(|node| state.keep_promise(lot.class, *node));
        given_up |= lot.promised.is_some() && kept.is_none();
        let pods = if kept.is_some() { 0 } else { lot.pods };
        let mut filled = fill(state, lot.class, pods, lot.nodes, offers);
        filled.placed.extend(kept.map(|node| (node, 1)));
        all.order
            .extend(filled.placed.iter().map(|(node, pods)| (at, *node, *pods)));
        all.lots.push(filled);
    }
    let mut moved = true;
    while moved {
        moved = false;
        for (at, (lot, result)) in lots.iter().zip(&mut all.lots).enumerate() {
            let may_profit = given_up || state.tables().links.of(lot.class).may_reconsider();
            if result.left == 0 || !may_profit {
                continue;
            }
            let again = fill(state, lot.class, result.left, lot.nodes, offers);
            moved |= again.left < result.left;
            all.order
                .extend(again.placed.iter().map(|(node, pods)| (at, *node, *pods)));
            result.placed.extend(again.placed);
            (result.left, result.cause) = (again.left, again.cause);
            result.work += again.work;
        }
        given_up = false;
    }
    all
}

/// Places up to `wanted` pods of the class on the given nodes in order, then on the offers in order.
pub(crate) fn fill(
    state: &mut State,
    class: ClassId,
    wanted: u32,
    existing: &[NodeId],
    offers: &mut [Offer],
) -> Filled {
    let links = state.tables().links.of(class);
    let mut run = Run {
        bulk: state.tables().is_bulk(class),
        may_reconsider: links.may_reconsider(),
        attracted: !links.affinity.is_empty(),
        class,
        left: wanted,
        placed: Vec::new(),
        for_good: Tally::default(),
        for_now: Tally::default(),
        work: 0,
        state,
    };
    let mut existing = existing.to_vec();
    loop {
        let before = run.left;
        run.for_now = Tally::default();
        existing.retain(|node| run.left == 0 || run.pour(*node, true));
        for offer in offers.iter_mut() {
            run.pour_into(offer);
        }
        if run.left == 0 || run.left == before || !run.may_reconsider {
            break;
        }
    }
    let cause = run.for_good.plus(&run.for_now).most();
    Filled {
        placed: run.placed,
        left: run.left,
        cause,
        work: run.work,
    }
}

struct Run<'a> {
    state: &'a mut State,
    class: ClassId,
    left: u32,
    bulk: bool,
    may_reconsider: bool,
    attracted: bool,
    placed: Vec<(NodeId, u32)>,
    for_good: Tally,
    for_now: Tally,
    work: u64,
}

impl Run<'_> {
    /// Fills one node as far as it goes. False where it will not take another pod of the class in this run.
    /// `once` tells that the node is not asked again then, so that its refusal has to be remembered.
    fn pour(&mut self, node: NodeId, once: bool) -> bool {
        while self.left > 0 {
            self.work += 1;
            match self.state.fits(self.class, node) {
                Ok(()) => {
                    let pods = if self.bulk {
                        self.state.room(self.class, node).clamp(1, self.left)
                    } else {
                        1
                    };
                    self.state.place(self.class, node, pods);
                    self.left -= pods;
                    self.placed.push((node, pods));
                }
                Err(cause) => {
                    let passing = match cause {
                        Cause::TopologySpread => true,
                        Cause::PodAffinity => self.attracted,
                        _ => false,
                    };
                    let tally = if once && !passing {
                        &mut self.for_good
                    } else {
                        &mut self.for_now
                    };
                    tally.count(cause);
                    return passing;
                }
            }
        }
        true
    }

    /// The nodes that are open already, then new ones as long as they help.
    fn pour_into(&mut self, offer: &mut Offer) {
        for node in &offer.opened {
            if self.left == 0 {
                return;
            }
            self.pour(*node, false);
        }
        while self.left > 0 && offer.left > 0 {
            let before = self.left;
            let mark = self.state.mark();
            let node = self.state.add_node(offer.template);
            self.work += 1;
            self.pour(node, false);
            if self.left == before {
                // All nodes of an offer are alike: the next would refuse as well.
                self.state.rollback(mark);
                return;
            }
            offer.left -= 1;
            offer.opened.push(node);
        }
    }
}

/// Refusals by cause.
#[derive(Clone, Copy, Debug, Default)]
struct Tally([u32; CAUSES.len()]);

const CAUSES: [Cause; 9] = [
    Cause::Resources,
    Cause::Taints,
    Cause::NodeAffinity,
    Cause::PodAffinity,
    Cause::TopologySpread,
    Cause::HostPorts,
    Cause::Volumes,
    Cause::Unschedulable,
    Cause::Limits,
];

impl Tally {
    fn count(&mut self, cause: Cause) {
        if let Some(at) = CAUSES.iter().position(|known| *known == cause) {
            self.0[at] = self.0[at].saturating_add(1);
        }
    }

    fn plus(mut self, other: &Self) -> Self {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(own, more)| *own = own.saturating_add(more));
        self
    }

    /// The most frequent cause, the first of the list among equals; where nothing was tried, there was no room.
    fn most(&self) -> Cause {
        let mut most = 0;
        for at in 1..CAUSES.len() {
            if self.0[at] > self.0[most] {
                most = at;
            }
        }
        CAUSES[most]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{SpreadConstraint, WhenUnsatisfiable};
    use crate::testing::{Cluster, pod, selector};

    #[test]
    fn the_most_frequent_cause_counts() {
        let tally = |causes: &[Cause]| {
            let mut tally = Tally::default();
            causes.iter().for_each(|cause| tally.count(*cause));
            tally.most()
        };
        assert_eq!(tally(&[]), Cause::Resources);
        assert_eq!(tally(&[Cause::Taints]), Cause::Taints);
        assert_eq!(
            tally(&[Cause::Taints, Cause::Volumes, Cause::Volumes]),
            Cause::Volumes
        );
        assert_eq!(
            tally(&[Cause::Volumes, Cause::Taints]),
            Cause::Taints,
            "list order among equals"
        );
    }

    #[test]
    fn zonal_spread_goes_round_the_zones() {
        let mut cluster = Cluster::default();
        let offers: Vec<Offer> = ["a", "b", "c"]
            .map(|zone| cluster.template(zone, 10_000, &[("zone", zone)]))
            .map(|template| Offer {
                template,
                left: 5,
                opened: Vec::new(),
            })
            .to_vec();
        let class = cluster.class(pod(1000).labels(&[("app", "web")]).with(|class| {
            class.topology_spread = vec![SpreadConstraint {
                max_skew: 1,
                topology_key: "zone".into(),
                when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
                selector: Some(selector(&[("app", "web")])),
                min_domains: 3,
                honor_affinity: true,
                honor_taints: false,
            }];
        }));
        let mut offers = offers;
        let mut state = cluster.state();
        let filled = fill(&mut state, class, 30, &[], &mut offers);
        assert_eq!(filled.left, 0);
        let opened: Vec<usize> = offers.iter().map(|offer| offer.opened.len()).collect();
        assert_eq!(opened, [1, 1, 1], "ten pods to a node, ten pods to a zone");
        let more = fill(&mut state, class, 31, &[], &mut offers[..1]);
        assert_eq!((more.left, more.cause), (30, Cause::TopologySpread));
    }

    #[test]
    fn pods_by_the_number_land_as_they_do_one_by_one() {
        let mut cluster = Cluster::default();
        let nodes = [cluster.node("a", 2500), cluster.node("b", 1000)];
        let class = cluster.class(pod(1000));
        let mut state = cluster.state();
        let filled = fill(&mut state, class, 10, &nodes, &mut []);
        assert_eq!(filled.placed, [(nodes[0], 2), (nodes[1], 1)]);
        assert_eq!((filled.left, filled.cause), (7, Cause::Resources));
    }
}
