//! What can go wrong in a controller.

/// An error of one reconcile. Its cause is in `source()`; it is printed once, where the queue catches it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{action} at the Kubernetes API")]
    Kubernetes {
        action: &'static str,
        #[source]
        source: kube::Error,
    },
    #[error("{action} at VPSie")]
    Vpsie {
        action: &'static str,
        #[source]
        source: vpsie_client::Error,
    },
    /// What a VM is to be told at its first start cannot be made.
    #[error("{problem}")]
    UserData { problem: String },
    #[error("{field} of {object}: {problem}")]
    Invalid {
        object: String,
        field: &'static str,
        problem: String,
    },
}

impl Error {
    pub(crate) fn kubernetes(action: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Kubernetes { action, source }
    }

    pub(crate) fn vpsie(action: &'static str) -> impl FnOnce(vpsie_client::Error) -> Self {
        move |source| Self::Vpsie { action, source }
    }

    /// One stable word for metrics, events and conditions.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Kubernetes { .. } if self.is_conflict() => "Conflict",
            Self::Kubernetes { .. } => "KubernetesAPIError",
            Self::Vpsie { source, .. } => source.reason(),
            Self::UserData { .. } => autoscaler_api::conditions::reasons::USER_DATA_INVALID,
            Self::Invalid { .. } => "ValidationFailed",
        }
    }

    /// Somebody else wrote first: read again and go on.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Kubernetes { source: kube::Error::Api(status), .. } if status.code == 409)
    }

    /// The object is not there (any more).
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Kubernetes { source: kube::Error::Api(status), .. } if status.code == 404)
    }
}
