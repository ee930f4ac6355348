//! Classes that one group cannot take alone, because their pods have to spread over groups: topology spread over
//! zones, where each zone is a group.
//!
//! No column tells how much of it goes where; the oracle does. It is offered nodes of every group for one class. Where it
//! uses others although the first has enough, the class is shared among them as the nodes are that it used.

use crate::decide::Offer;
use policy_sdk::ClassCount;
use policy_sdk::scale_up::Snapshot;
use policy_sdk::what_if::{self, Addition, Question};

/// Questions to the oracle in one decision.
const QUESTIONS: u32 = 64;

pub(crate) struct Sharing<'a> {
    snapshot: &'a Snapshot,
    questions: u32,
}

impl<'a> Sharing<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> Self {
        Self {
            snapshot,
            questions: QUESTIONS,
        }
    }

    /// (group, pods) for a class that has to be shared; empty for one that goes where it is cheapest.
    pub(crate) fn shares(&mut self, class: u32, pods: u64, offers: &[Offer]) -> Vec<(u32, u64)> {
        let bound = self.snapshot.pending.classes[class as usize].topology_bound;
        if !bound || offers.len() < 2 || pods < 2 || self.questions == 0 {
            return Vec::new();
        }
        self.questions -= 1;
        let enough = |per_node: u32| narrow(pods.div_ceil(u64::from(per_node)));
        let additions: Vec<Addition> = offers
            .iter()
            .map(|offer| {
                let headroom = self.headroom(offer.template);
                Addition {
                    template: offer.template,
                    count: enough(offer.per_node).min(headroom),
                }
            })
            .collect();
        let alone = additions[0].count >= enough(offers[0].per_node);
        let asked = ClassCount {
            class,
            pods: narrow(pods),
        };
        let outcome = what_if::ask(&Question::additions(additions, vec![asked]));
        let places: Vec<u64> = (0..offers.len())
            .map(|at| u64::from(outcome.used_of(at)) * u64::from(offers[at].per_node))
            .collect();
        let elsewhere: u64 = places.iter().skip(1).sum();
        if !alone || elsewhere == 0 {
            return Vec::new();
        }
        // In proportion, so that the parts make up the whole.
        let all: u64 = places.iter().sum();
        let (mut before, mut given) = (0, 0);
        let mut shares = Vec::new();
        for (offer, places) in offers.iter().zip(places) {
            before += places;
            let until = pods * before / all;
            if until > given {
                shares.push((offer.group, until - given));
            }
            given = until;
        }
        shares
    }

    fn headroom(&self, template: u32) -> u32 {
        let row = self.snapshot.catalogue.templates.get(template as usize);
        row.map_or(0, |row| row.headroom)
    }
}

fn narrow(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
