//! What every controller is given: clients, the index, and the sources of time and ids.

use crate::catalogue::Catalogue;
use crate::futile::FutilePurchases;
use crate::observe::Observer;
use crate::runtime::events::Events;
use crate::runtime::metrics::Metrics;
use autoscaler_cluster::Index;
use autoscaler_policy::PolicySet;
use autoscaler_policy::record::Records;
use std::sync::Arc;

/// Wall-clock time as an argument: nothing in this crate reads a clock by itself.
pub type Now = Arc<dyn Fn() -> jiff::Timestamp + Send + Sync>;

/// Names and seeds as an argument, for the same reason.
pub trait Ids: Send + Sync {
    /// The next number of a sequence that does not repeat within a cluster's life.
    fn next(&self) -> u64;
}

/// Shared by all controllers of one process; cheap to clone behind an `Arc`.
pub struct Context {
    /// For reads and watches: retries by itself.
    pub reads: kube::Client,
    /// For effects: never retries, so that a refused eviction answers at once.
    pub effects: kube::Client,
    pub index: Arc<Index>,
    pub vpsie: vpsie_client::Client,
    /// Answers of VPSie that controllers share.
    pub catalogue: Arc<Catalogue>,
    /// Purchases that did not help.
    pub futile: FutilePurchases,
    pub policies: Arc<PolicySet>,
    pub metrics: Arc<Metrics>,
    pub events: Events,
    pub observer: Arc<dyn Observer>,
    /// Of decisions, as complete as a replay needs them.
    pub records: Arc<Records>,
    pub now: Now,
    pub ids: Arc<dyn Ids>,
}

/// The field manager of everything that we apply.
pub const FIELD_MANAGER: &str = "vpsie-autoscaler";
