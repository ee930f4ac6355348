//! Replica sets with the pods that they want and those that are there. What is missing they are about to make.

use k8s_openapi::api::apps::v1::ReplicaSet;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Namespace and name.
type Name = (Arc<str>, Arc<str>);

/// The number of a replica set, as long as it wants pods or has some.
pub(crate) type MakerKey = u32;

/// Counts by replica set. A pod holds its maker's number, not its name.
#[derive(Default)]
pub(crate) struct Makers {
    numbers: BTreeMap<Name, MakerKey>,
    slots: Vec<Slot>,
    free: Vec<MakerKey>,
}

#[derive(Default)]
struct Slot {
    name: Option<Name>,
    wanted: u32,
    there: u32,
}

impl Makers {
    /// One pod more is there. Whoever takes it gives it back by [`Self::release`].
    pub(super) fn take(&mut self, namespace: &str, name: &str) -> MakerKey {
        let key = self.number(namespace, name);
        self.slots[key as usize].there += 1;
        key
    }

    /// One pod less is there.
    pub(super) fn release(&mut self, key: MakerKey) {
        if let Some(slot) = self.slots.get_mut(key as usize) {
            slot.there = slot.there.saturating_sub(1);
            self.forget_unless_needed(key);
        }
    }

    /// So many pods are wanted.
    pub(super) fn want(&mut self, namespace: &str, name: &str, wanted: u32) {
        let key = self.number(namespace, name);
        self.slots[key as usize].wanted = wanted;
        self.forget_unless_needed(key);
    }

    /// How many pods come next.
    pub(crate) fn missing(&self, namespace: &str, name: &str) -> u32 {
        let key = self.numbers.get(&(namespace.into(), name.into()));
        let slot = key.and_then(|key| self.slots.get(*key as usize));
        slot.map_or(0, |slot| slot.wanted.saturating_sub(slot.there))
    }

    fn number(&mut self, namespace: &str, name: &str) -> MakerKey {
        let name: Name = (namespace.into(), name.into());
        if let Some(known) = self.numbers.get(&name) {
            return *known;
        }
        let key = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            MakerKey::try_from(self.slots.len() - 1).unwrap_or(MakerKey::MAX)
        });
        self.slots[key as usize].name = Some(name.clone());
        self.numbers.insert(name, key);
        key
    }

    fn forget_unless_needed(&mut self, key: MakerKey) {
        let slot = &mut self.slots[key as usize];
        if slot.wanted == 0
            && slot.there == 0
            && let Some(name) = slot.name.take()
        {
            self.numbers.remove(&name);
            self.free.push(key);
        }
    }
}

/// How many pods a replica set is going to have. One that fails to make them, for want of quota for example, gets no
/// more.
pub(super) fn wanted(set: &ReplicaSet) -> u32 {
    let conditions = set
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten());
    let mut failing = conditions.filter(|one| one.type_ == "ReplicaFailure" && one.status == "True");
    if set.metadata.deletion_timestamp.is_some() || failing.next().is_some() {
        return 0;
    }
    let replicas = set.spec.as_ref().and_then(|spec| spec.replicas);
    u32::try_from(replicas.unwrap_or(1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_and_not_there_is_missing_and_nothing_is_kept_of_the_past() {
        let mut makers = Makers::default();
        assert_eq!(makers.missing("ns", "web"), 0);
        makers.want("ns", "web", 3);
        let key = makers.take("ns", "web");
        assert_eq!(
            (makers.missing("ns", "web"), makers.missing("other", "web")),
            (2, 0)
        );
        makers.want("ns", "web", 0);
        assert_eq!(makers.missing("ns", "web"), 0, "more than wanted are there");
        makers.release(key);
        assert!(makers.numbers.is_empty());
        assert_eq!(
            makers.take("ns", "new"),
            key,
            "a number that is free is given again"
        );
        assert_eq!(makers.slots.len(), 1);
    }
}
