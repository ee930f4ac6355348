//! What can go wrong while a world is built or watched.

use std::path::PathBuf;
use std::time::Duration;

/// An error of the simulation itself, not of what it simulates.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("starting the runtime of the simulation")]
    Runtime(#[source] std::io::Error),
    #[error("{action} in the simulated cluster")]
    Kubernetes {
        action: &'static str,
        #[source]
        source: kube::Error,
    },
    #[error("making the custom resource definitions")]
    Definitions(#[source] autoscaler_api::Error),
    #[error("building the scenario")]
    Scenario(#[source] serde_json::Error),
    #[error("loading the built-in policies")]
    Policies(#[source] autoscaler_policy::LoadError),
    #[error("setting up the VPSie client")]
    Vpsie(#[source] vpsie_client::Error),
    #[error("reading the scenario")]
    Invalid(#[source] crate::simulate::Problem),
    #[error("{object} of the scenario is refused")]
    Object {
        /// Kind, namespace and name.
        object: String,
        #[source]
        source: Box<kube::Error>,
    },
    #[error("finding {}", file.display())]
    File {
        file: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("the policy is not taken: {message}")]
    PolicyNotTaken { message: String },
    #[error("waited {} s of virtual time until {what}, in vain: {found}", waited.as_secs())]
    NotSettled {
        what: &'static str,
        waited: Duration,
        found: String,
    },
}

impl Error {
    pub(crate) fn kubernetes(action: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Kubernetes { action, source }
    }

    /// One stable word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Runtime(_) => "RuntimeFailed",
            Self::Kubernetes { .. } => "KubernetesAPIError",
            Self::Definitions(_)
            | Self::Scenario(_)
            | Self::Invalid(_)
            | Self::Object { .. }
            | Self::File { .. } => "InvalidScenario",
            Self::Policies(_) | Self::PolicyNotTaken { .. } => "PolicyNotLoaded",
            Self::Vpsie(source) => source.reason(),
            Self::NotSettled { .. } => "NotSettled",
        }
    }
}
