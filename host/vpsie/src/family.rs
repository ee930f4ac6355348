//! The parts of the API. Each may live under a path prefix of its own, and each has a circuit breaker of its own: that
//! the price list fails says nothing about ordering nodes.

/// One part of the API, spelt as the metric label has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Token exchange.
    Auth,
    /// Managed Kubernetes: clusters, groups, nodes, offers.
    Kubernetes,
    /// Datacenters.
    Catalogue,
    /// The list of machines that storage can be attached to.
    Storage,
}

impl Family {
    /// Every family, so that each metric series can exist from the start.
    pub const ALL: [Self; 4] = [Self::Auth, Self::Kubernetes, Self::Catalogue, Self::Storage];

    /// `auth`, `kubernetes`, `catalogue` or `storage`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Kubernetes => "kubernetes",
            Self::Catalogue => "catalogue",
            Self::Storage => "storage",
        }
    }
}
