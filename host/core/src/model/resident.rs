//! Pods that run, node by node. What runs on a node is one value that all snapshots share until it changes.
//!
//! Decisions ask how many pods of which class there are; who they are matters only where one stands in the way.

use super::{ClassKey, DrainRules, Health, Judgement, PodKey, Treatment};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

/// A pod that runs on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resident {
    pub key: PodKey,
    pub class: ClassKey,
    /// What the removal of its node means for it.
    pub judgement: Judgement,
    /// What its eviction means to a disruption budget.
    pub health: Health,
}

/// How many pods of a class run on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    pub class: ClassKey,
    pub pods: u32,
    /// Of these, those that need another place when the node goes.
    pub moving: u32,
    /// Of those that move, the ones that run and are not ready.
    pub unready: u32,
    /// Of those that move, the ones that start or are on their way out.
    pub down: u32,
}

impl Crowd {
    fn new(class: ClassKey) -> Self {
        Self {
            class,
            pods: 0,
            moving: 0,
            unready: 0,
            down: 0,
        }
    }

    /// Counts a pod in, or out.
    fn count(&mut self, pod: &Resident, change: fn(&mut u32)) {
        change(&mut self.pods);
        if pod.judgement.is_ignored() {
            return;
        }
        change(&mut self.moving);
        match pod.health {
            Health::Ready => {}
            Health::Unready => change(&mut self.unready),
            Health::Down => change(&mut self.down),
        }
    }
}

/// The pods that run on a node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Residents {
    /// By key.
    pods: Vec<Arc<Resident>>,
    /// By class.
    crowds: Vec<Crowd>,
    moving: u32,
    blockers: u32,
    /// Pods that have scratch space on the node.
    scratch: u32,
}

impl Residents {
    /// The pods, by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Resident> {
        self.pods.iter().map(|pod| &**pod)
    }

    /// The pods as they are shared, by key.
    pub fn iter_shared(&self) -> impl Iterator<Item = &Arc<Resident>> {
        self.pods.iter()
    }

    pub fn len(&self) -> usize {
        self.pods.len()
    }

    pub fn is_empty(&self) -> bool {
        self.pods.is_empty()
    }

    /// The pods by number and class, each class once, ascending.
    pub fn crowds(&self) -> &[Crowd] {
        &self.crowds
    }

    /// How many need another place when the node goes.
    pub fn moving(&self) -> u32 {
        self.moving
    }

    /// Whether one of them may forbid the removal of the node under these rules, now or at another time.
    pub fn may_block(&self, rules: &DrainRules) -> bool {
        self.blockers > 0 || (self.scratch > 0 && rules.empty_dir == Treatment::Keep)
    }

    pub fn get(&self, key: &PodKey) -> Option<&Arc<Resident>> {
        self.at(key).ok().map(|at| &self.pods[at])
    }

    /// Adds a pod. Returns the one of this key that was there before.
    pub fn insert(&mut self, pod: Arc<Resident>) -> Option<Arc<Resident>> {
        let before = self.remove(&pod.key);
        let at = self.crowd(pod.class).unwrap_or_else(|at| {
            self.crowds.insert(at, Crowd::new(pod.class));
            at
        });
        self.crowds[at].count(&pod, |number| *number += 1);
        self.moving += u32::from(!pod.judgement.is_ignored());
        self.blockers += u32::from(pod.judgement.may_block());
        self.scratch += u32::from(pod.judgement.losses.empty_dir);
        let (Ok(at) | Err(at)) = self.at(&pod.key);
        self.pods.insert(at, pod);
        before
    }

    /// Takes a pod away.
    pub fn remove(&mut self, key: &PodKey) -> Option<Arc<Resident>> {
        let pod = self.at(key).ok().map(|at| self.pods.remove(at))?;
        if let Ok(at) = self.crowd(pod.class) {
            self.crowds[at].count(&pod, |number| *number -= 1);
            if self.crowds[at].pods == 0 {
                self.crowds.remove(at);
            }
        }
        self.moving -= u32::from(!pod.judgement.is_ignored());
        self.blockers -= u32::from(pod.judgement.may_block());
        self.scratch -= u32::from(pod.judgement.losses.empty_dir);
        Some(pod)
    }

    fn at(&self, key: &PodKey) -> Result<usize, usize> {
        self.pods.binary_search_by(|pod| pod.key.cmp(key))
    }

    fn crowd(&self, class: ClassKey) -> Result<usize, usize> {
        self.crowds.binary_search_by_key(&class, |crowd| crowd.class)
    }
}

impl Extend<Arc<Resident>> for Residents {
    fn extend<I: IntoIterator<Item = Arc<Resident>>>(&mut self, pods: I) {
        for pod in pods {
            self.insert(pod);
        }
    }
}

impl FromIterator<Arc<Resident>> for Residents {
    fn from_iter<I: IntoIterator<Item = Arc<Resident>>>(pods: I) -> Self {
        let mut residents = Self::default();
        residents.extend(pods);
        residents
    }
}

/// Written as its pods: the counts follow from them.
impl Serialize for Residents {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for Residents {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut pods = Vec::<Resident>::deserialize(deserializer)?;
        // In order each is put at the end.
        pods.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(pods.into_iter().map(Arc::new).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Losses, Movability};
    use super::*;
    use proptest::prelude::*;

    fn resident(name: u8, class: ClassKey, kind: u8, health: Health) -> Arc<Resident> {
        let blocks = || Movability::Blocks("X".into(), String::new());
        Arc::new(Resident {
            key: PodKey {
                namespace: "default".into(),
                name: format!("pod-{name}").into(),
            },
            class,
            judgement: Judgement {
                lasting: match kind {
                    0 => Movability::Ignored,
                    1 => blocks(),
                    _ => Movability::Moves,
                },
                until: (kind == 3).then(|| Box::new((10, blocks()))),
                losses: Losses {
                    empty_dir: kind == 4,
                    ..Losses::default()
                },
            },
            health,
        })
    }

    fn some_health() -> impl Strategy<Value = Health> {
        prop::sample::select(vec![Health::Ready, Health::Unready, Health::Down])
    }

    proptest! {
        /// What is kept beside the pods is what counting them anew gives.
        #[test]
        fn the_counts_are_those_of_the_pods(
            steps in prop::collection::vec((any::<bool>(), 0..6_u8, 0..3_u32, 0..5_u8, some_health()), 0..40),
        ) {
            let mut residents = Residents::default();
            for (comes, name, class, kind, health) in steps {
                let pod = resident(name, class, kind, health);
                if comes {
                    residents.insert(pod);
                } else {
                    residents.remove(&pod.key);
                }
                let moves = |pod: &Resident| pod.judgement.lasting != Movability::Ignored;
                let count = |of: &dyn Fn(&Resident) -> bool| residents.iter().filter(|pod| of(pod)).count();
                let mut crowds = Vec::new();
                for class in 0..3 {
                    let pods = count(&|pod| pod.class == class) as u32;
                    let moving = count(&|pod| pod.class == class && moves(pod)) as u32;
                    let such = |health| {
                        count(&|pod| pod.class == class && moves(pod) && pod.health == health) as u32
                    };
                    let (unready, down) = (such(Health::Unready), such(Health::Down));
                    if pods > 0 {
                        crowds.push(Crowd { class, pods, moving, unready, down });
                    }
                }
                prop_assert_eq!(residents.crowds(), crowds);
                prop_assert_eq!(residents.moving() as usize, count(&moves));
                let blockers = count(&|pod| {
                    pod.judgement.until.is_some() || matches!(pod.judgement.lasting, Movability::Blocks(..))
                });
                let scratch = count(&|pod| pod.judgement.losses.empty_dir);
                let mut rules = DrainRules::default();
                prop_assert_eq!(residents.may_block(&rules), blockers > 0);
                rules.empty_dir = Treatment::Keep;
                prop_assert_eq!(residents.may_block(&rules), blockers + scratch > 0);
                prop_assert!(residents.iter().is_sorted_by(|one, other| one.key < other.key));
            }
        }
    }
}
