//! What pods have of a node, or of the cluster, beside resources: ports, disks, claims and attached volumes.
//!
//! Ports and disks are held on a node, `ReadWriteOncePod` claims in the whole cluster. Volumes are counted per
//! node and CSI driver: those of one pod by their number, those that several pods use by name, once per node.

use super::State;
use crate::model::{AttachLimits, Attachments, ClassId, Disk, HostPort, NodeId, PodClass, Snapshot};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Something that pods of one node may exclude each other by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Holding {
    Port(HostPort),
    Disk(Disk),
}

pub(crate) type HoldingId = u32;
pub(crate) type ClaimId = u32;
pub(crate) type VolumeId = u32;

/// The volumes of one driver that a pod attaches.
#[derive(Clone, Debug)]
pub(crate) struct Attached {
    /// Number of the driver: nodes have a column for each, after those of the resources.
    driver: usize,
    pub(crate) own: u32,
    /// Ascending.
    shared: Vec<VolumeId>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct OfClass {
    holdings: Vec<HoldingId>,
    pub(crate) claims: Vec<ClaimId>,
    pub(crate) attachments: Vec<Attached>,
}

impl OfClass {
    /// Whether one pod of the class leaves the next the same chance, room aside.
    pub(crate) fn is_bulk(&self) -> bool {
        self.holdings.is_empty() && self.claims.is_empty()
    }

    /// Whether a pod of the class takes nothing but resources.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_bulk() && self.attachments.is_empty()
    }
}

pub(crate) struct Possessions {
    drivers: Vec<String>,
    holdings: Vec<Holding>,
    /// How many claims there are.
    pub(crate) claims: usize,
    classes: Vec<OfClass>,
}

impl Possessions {
    pub(crate) fn new(snapshot: &Snapshot) -> Self {
        let all = || snapshot.classes.iter().map(|class| &**class);
        let holdings = Numbers::new(all().flat_map(holdings));
        let claims = Numbers::new(all().flat_map(claims));
        let attachments = || all().flat_map(|class| &class.attachments);
        let drivers = Numbers::new(attachments().map(|attached| attached.driver.as_str()));
        let volumes = Numbers::new(attachments().flat_map(volumes));
        let attached = |attached: &Attachments| Attached {
            driver: drivers.of(&attached.driver.as_str()) as usize,
            own: attached.own,
            shared: volumes.all_of(self::volumes(attached)),
        };
        let classes = all()
            .map(|class| OfClass {
                holdings: holdings.all_of(self::holdings(class)),
                claims: claims.all_of(self::claims(class)),
                attachments: class.attachments.iter().map(attached).collect(),
            })
            .collect();
        Self {
            drivers: drivers.0.keys().map(|driver| (*driver).to_owned()).collect(),
            claims: claims.0.len(),
            holdings: holdings.0.into_keys().collect(),
            classes,
        }
    }

    pub(crate) fn of(&self, class: ClassId) -> &OfClass {
        &self.classes[class as usize]
    }

    /// How many drivers there are.
    pub(crate) fn drivers(&self) -> usize {
        self.drivers.len()
    }

    /// What a node can attach, by driver.
    pub(crate) fn limits<'a>(&'a self, limits: &'a AttachLimits) -> impl Iterator<Item = i128> + 'a {
        let limit = |driver: &String| {
            limits
                .get(driver)
                .map_or(i128::from(i64::MAX), |limit| i128::from(*limit))
        };
        self.drivers.iter().map(limit)
    }
}

fn holdings(class: &PodClass) -> impl Iterator<Item = Holding> + '_ {
    let ports = class.host_ports.iter().cloned().map(Holding::Port);
    ports.chain(class.disks.iter().cloned().map(Holding::Disk))
}

fn claims(class: &PodClass) -> impl Iterator<Item = (&str, &str)> {
    let names = class.exclusive_claims.iter();
    names.map(|name| (class.namespace.as_str(), name.as_str()))
}

fn volumes(attached: &Attachments) -> impl Iterator<Item = (&str, &str)> {
    let names = attached.shared.iter();
    names.map(|name| (attached.driver.as_str(), name.as_str()))
}

/// Things by number, in their own order.
struct Numbers<T>(BTreeMap<T, u32>);

impl<T: Ord> Numbers<T> {
    fn new(things: impl Iterator<Item = T>) -> Self {
        let things: BTreeSet<T> = things.collect();
        Self(things.into_iter().zip(0..).collect())
    }

    fn of(&self, thing: &T) -> u32 {
        // Everything that is asked for was numbered.
        self.0.get(thing).copied().unwrap_or_default()
    }

    /// Ascending, each once.
    fn all_of(&self, things: impl Iterator<Item = T>) -> Vec<u32> {
        let numbers: BTreeSet<u32> = things.map(|thing| self.of(&thing)).collect();
        numbers.into_iter().collect()
    }
}

/// What is held now. Undoing a step restores it exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Held {
    /// By node, ascending; what two pods hold is there twice.
    holdings: Vec<Vec<HoldingId>>,
    /// By node, ascending: shared volumes with the number of pods that use them.
    volumes: Vec<Vec<(VolumeId, u32)>>,
    /// Users of each claim.
    claims: Vec<u32>,
}

impl Held {
    pub(super) fn new(claims: usize, nodes: usize) -> Self {
        Self {
            holdings: vec![Vec::new(); nodes],
            volumes: vec![Vec::new(); nodes],
            claims: vec![0; claims],
        }
    }

    pub(super) fn push_node(&mut self) {
        self.holdings.push(Vec::new());
        self.volumes.push(Vec::new());
    }

    pub(super) fn pop_node(&mut self) {
        self.holdings.pop();
        self.volumes.pop();
    }
}

impl State {
    /// Whether something that the pod would hold and something that is held on the node exclude each other.
    pub(crate) fn holdings_clash(
        &self,
        class: ClassId,
        node: NodeId,
        clash: impl Fn(&Holding, &Holding) -> bool,
    ) -> bool {
        let possessions = &self.tables.possessions;
        let thing = |id: &HoldingId| &possessions.holdings[*id as usize];
        let wanted = &possessions.of(class).holdings;
        let used = &self.held.holdings[node as usize];
        wanted
            .iter()
            .any(|wanted| used.iter().any(|used| clash(thing(wanted), thing(used))))
    }

    pub(crate) fn claim_users(&self, claim: ClaimId) -> u32 {
        self.held.claims[claim as usize]
    }

    /// How many more volumes of the driver the node attaches; negative where it is over its limit.
    pub(crate) fn attachable(&self, wanted: &Attached, node: NodeId) -> i128 {
        self.row(node)[self.tables.width() + wanted.driver]
    }

    /// How many of the shared volumes are not attached to the node.
    pub(crate) fn not_attached(&self, wanted: &Attached, node: NodeId) -> i128 {
        let there = &self.held.volumes[node as usize];
        let missing = |volume: &&VolumeId| {
            there
                .binary_search_by_key(*volume, |(volume, _)| *volume)
                .is_err()
        };
        i128::try_from(wanted.shared.iter().filter(missing).count()).unwrap_or(i128::MAX)
    }

    /// For how many pods of the class the node attaches volumes, if it does for one; none for any number.
    pub(super) fn attachment_room(&self, class: ClassId, node: NodeId) -> Option<i128> {
        let attachments = self.tables.possessions.of(class).attachments.iter();
        let rooms = attachments.filter_map(|wanted| {
            let first = self.not_attached(wanted, node);
            let left = self.attachable(wanted, node) - first;
            // The first pod brings what all that follow share: of that alone, one is as good as many.
            (wanted.own > 0).then(|| left.max(0) / i128::from(wanted.own))
        });
        rooms.min()
    }

    /// Ports and disks of pods that settle on the node.
    pub(super) fn hold(&mut self, class: ClassId, node: NodeId, pods: u32) {
        let holdings = &mut self.held.holdings[node as usize];
        for holding in &self.tables.possessions.of(class).holdings {
            for _ in 0..pods {
                let at = holdings.partition_point(|known| known < holding);
                holdings.insert(at, *holding);
            }
        }
    }

    pub(super) fn let_go(&mut self, class: ClassId, node: NodeId, pods: u32) {
        let holdings = &mut self.held.holdings[node as usize];
        for holding in &self.tables.possessions.of(class).holdings {
            for _ in 0..pods {
                if let Ok(at) = holdings.binary_search(holding) {
                    holdings.remove(at);
                }
            }
        }
    }

    /// Claims and volumes of pods that settle on the node.
    pub(super) fn attach(&mut self, class: ClassId, node: NodeId, pods: u32) {
        let tables = Arc::clone(&self.tables);
        for claim in &tables.possessions.of(class).claims {
            self.held.claims[*claim as usize] += pods;
        }
        for attached in &tables.possessions.of(class).attachments {
            let mut new = i128::from(attached.own) * i128::from(pods);
            let volumes = &mut self.held.volumes[node as usize];
            for volume in &attached.shared {
                match volumes.binary_search_by_key(volume, |(volume, _)| *volume) {
                    Ok(at) => volumes[at].1 += pods,
                    Err(at) => {
                        volumes.insert(at, (*volume, pods));
                        new += 1;
                    }
                }
            }
            self.row_mut(node)[tables.width() + attached.driver] -= new;
        }
    }

    pub(super) fn detach(&mut self, class: ClassId, node: NodeId, pods: u32) {
        let tables = Arc::clone(&self.tables);
        for claim in &tables.possessions.of(class).claims {
            self.held.claims[*claim as usize] -= pods;
        }
        for attached in &tables.possessions.of(class).attachments {
            let mut gone = i128::from(attached.own) * i128::from(pods);
            let volumes = &mut self.held.volumes[node as usize];
            for volume in &attached.shared {
                if let Ok(at) = volumes.binary_search_by_key(volume, |(volume, _)| *volume) {
                    volumes[at].1 -= pods;
                    if volumes[at].1 == 0 {
                        volumes.remove(at);
                        gone += 1;
                    }
                }
            }
            self.row_mut(node)[tables.width() + attached.driver] += gone;
        }
    }
}
