//! The parts of the API. Each may live under a path prefix of its own, and each has a circuit breaker of its own: that
//! the price list fails says nothing about ordering nodes.

/// One part of the API, spelt as the metric label has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Token exchange.
    Auth,
    /// Managed Kubernetes: clusters, groups, nodes, offers.
    Kubernetes,
    /// Datacenters, plans with their prices, projects.
    Catalogue,
    /// The categories that plans are sorted into: one route, seen under a prefix of its own only.
    Plans,
    /// Virtual machines outside managed clusters, and what is done to them.
    Vm,
    /// The list of machines that storage can be attached to.
    Storage,
}

impl Family {
    /// Every family, so that each metric series can exist from the start.
    pub const ALL: [Self; 6] = [
        Self::Auth,
        Self::Kubernetes,
        Self::Catalogue,
        Self::Plans,
        Self::Vm,
        Self::Storage,
    ];

    /// `auth`, `kubernetes`, `catalogue`, `plans`, `vm` or `storage`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auth => "auth",
            Self::Kubernetes => "kubernetes",
            Self::Catalogue => "catalogue",
            Self::Plans => "plans",
            Self::Vm => "vm",
            Self::Storage => "storage",
        }
    }
}
