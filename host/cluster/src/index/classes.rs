//! Classes of pods, each kept once and known by a number as long as a pod has it.

use autoscaler_core::model::{ClassKey, PodClass};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The classes that pods have. Most events bring one that is known: it is found by its hash, in one step however many
/// there are. Their order is for snapshots.
#[derive(Default)]
pub(crate) struct Classes {
    by_hash: HashMap<Arc<PodClass>, ClassKey>,
    by_content: BTreeMap<Arc<PodClass>, ClassKey>,
    /// By number; free ones hold nothing.
    slots: Vec<Option<Slot>>,
    free: Vec<ClassKey>,
}

struct Slot {
    class: Arc<PodClass>,
    pods: usize,
}

impl Classes {
    /// The number of the class for one more pod. Whoever gets it gives it back by [`Self::release`].
    pub(super) fn take(&mut self, class: PodClass) -> ClassKey {
        if let Some(known) = self.by_hash.get(&class).copied() {
            if let Some(slot) = &mut self.slots[known as usize] {
                slot.pods += 1;
            }
            return known;
        }
        let class = Arc::new(class);
        let slot = Some(Slot {
            class: class.clone(),
            pods: 1,
        });
        let key = match self.free.pop() {
            Some(key) => {
                self.slots[key as usize] = slot;
                key
            }
            None => {
                self.slots.push(slot);
                ClassKey::try_from(self.slots.len() - 1).unwrap_or(ClassKey::MAX)
            }
        };
        self.by_hash.insert(class.clone(), key);
        self.by_content.insert(class, key);
        key
    }

    /// One pod less has the class. Nobody's class is forgotten.
    pub(super) fn release(&mut self, key: ClassKey) {
        let Some(slot) = self.slots.get_mut(key as usize) else {
            return;
        };
        if let Some(one) = slot {
            one.pods -= 1;
            if one.pods == 0 {
                self.by_hash.remove(&one.class);
                self.by_content.remove(&one.class);
                *slot = None;
                self.free.push(key);
            }
        }
    }

    /// All classes with their numbers, in the order of their content.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<PodClass>, ClassKey)> {
        self.by_content.iter().map(|(class, key)| (class, *key))
    }

    /// Every number is below this.
    pub(crate) fn bound(&self) -> usize {
        self.slots.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(namespace: &str) -> PodClass {
        PodClass {
            namespace: namespace.into(),
            ..PodClass::default()
        }
    }

    #[test]
    fn a_number_lasts_as_long_as_a_pod_has_the_class() {
        let mut classes = Classes::default();
        let (b, a) = (classes.take(class("b")), classes.take(class("a")));
        assert_eq!(classes.take(class("b")), b, "equal classes share a number");
        let names = |classes: &Classes| -> Vec<(String, ClassKey)> {
            let all = classes.iter();
            all.map(|(class, key)| (class.namespace.clone(), key)).collect()
        };
        assert_eq!(names(&classes), [("a".to_owned(), a), ("b".to_owned(), b)]);
        classes.release(b);
        assert_eq!(names(&classes).len(), 2, "another pod has it");
        classes.release(b);
        assert_eq!(names(&classes), [("a".to_owned(), a)]);
        assert_eq!(
            classes.take(class("c")),
            b,
            "a number that is free is given again"
        );
        assert_eq!(classes.bound(), 2);
    }
}
