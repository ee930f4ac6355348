//! How far topology spread lets a domain grow.
//!
//! Spread is a matter between domains: a zone may not run ahead, but the other zones can grow in the same plan. So a
//! domain holds the others back only where no template can bring a node into it.

use super::State;
use super::links::Spread;
use super::topology::DomainId;
use crate::model::{ClassId, TemplateId};
use crate::rules::skew_after;
use std::collections::BTreeSet;

/// By ground, each told by a template that stands for it: how many pods of the class its domains can still take before
/// they run ahead of domains that cannot follow. `growing` tells the grounds of which nodes may be bought.
pub(super) fn spread_room(
    state: &State,
    class: ClassId,
    grounds: &[TemplateId],
    growing: &[bool],
) -> Vec<u32> {
    let tables = state.tables();
    let mut rooms = vec![u32::MAX; grounds.len()];
    for spread in &tables.links.of(class).spread {
        let domain_of = |ground: usize| tables.topology.of_template(grounds[ground], spread.key);
        let is_hostname = Some(spread.key) == tables.topology.hostname;
        let grows = |ground: &usize| {
            growing[*ground] && tables.refused_by_template(class, grounds[*ground]).is_none()
        };
        let mut growing = (0..grounds.len()).filter(grows).peekable();
        let endless = is_hostname && growing.peek().is_some();
        let growing: BTreeSet<DomainId> = growing.filter_map(domain_of).collect();
        let baseline = Baseline::new(state, class, spread, &growing, endless);
        for (ground, room) in rooms.iter_mut().enumerate() {
            *room = (*room).min(match (domain_of(ground), is_hostname) {
                (_, true) => baseline.room(spread, 0),
                (Some(domain), false) => baseline.room(spread, state.counter(spread.counter).count(domain)),
                (None, false) => 0,
            });
        }
    }
    rooms
}

/// What a domain of a constraint is measured against.
struct Baseline {
    /// The smallest count over domains that no purchase reaches; none where every domain can follow.
    minimum: Option<u32>,
    /// A pod of the class adds to the counts.
    moves: bool,
}

impl Baseline {
    /// `growing` are the domains that purchases reach; `endless` where they bring ever new ones.
    fn new(
        state: &State,
        class: ClassId,
        spread: &Spread,
        growing: &BTreeSet<DomainId>,
        endless: bool,
    ) -> Self {
        let counter = state.counter(spread.counter);
        let mut minimum = None;
        let mut domains = counter.domains();
        let mut present = BTreeSet::new();
        for (domain, count) in counter.present() {
            if growing.contains(&domain) {
                present.insert(domain);
            } else {
                minimum = Some(minimum.map_or(count, |least: u32| least.min(count)));
            }
        }
        let new = growing.len() - present.len();
        domains = domains.saturating_add(u32::try_from(new).unwrap_or(u32::MAX));
        if domains < spread.min_domains && !endless {
            minimum = Some(0);
        }
        Self {
            minimum,
            moves: state.tables().links.of(class).moves.contains(&spread.counter),
        }
    }

    /// How many more pods a domain with this count takes.
    fn room(&self, spread: &Spread, count: u32) -> u32 {
        let Some(minimum) = self.minimum else {
            return u32::MAX;
        };
        let room = i64::from(spread.max_skew) - skew_after(count, spread.counts_itself, minimum);
        match u32::try_from(room) {
            // The pod that is asked about, and those that may follow it.
            Ok(room) if self.moves => room.saturating_add(1),
            // Pods that do not count never run ahead.
            Ok(_) => u32::MAX,
            Err(_) => 0,
        }
    }
}
