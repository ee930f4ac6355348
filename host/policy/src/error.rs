//! What can go wrong: while a component is loaded, and while it is asked.

use autoscaler_core::decision::Kind;
use std::error::Error;
use std::time::Duration;

/// A cause from the WebAssembly runtime.
type Cause = Box<dyn Error + Send + Sync + 'static>;

/// Why a component cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("starting the WebAssembly engine")]
    Engine(#[source] Cause),
    #[error("loading a policy of {bytes} bytes: at most {limit} are allowed")]
    TooLarge { bytes: usize, limit: usize },
    #[error("loading a policy: {0}")]
    NotAComponent(&'static str),
    #[error("compiling a policy")]
    Compile(#[source] Cause),
    #[error(
        "loading a policy that imports `{import}`: a policy gets `log` and `what-if` of vpsie:autoscaler 0.1, nothing else"
    )]
    ForbiddenImport { import: String },
    #[error(
        "loading a policy that exports none of `scale-up`, `node-selection` and `rebalance` of vpsie:autoscaler 0.1 (it exports: {exports})"
    )]
    NoKind { exports: String },
    #[error("checking the policy's export `{kind}` against the interface")]
    Interface {
        kind: Kind,
        #[source]
        source: Cause,
    },
    #[error("asking the policy to describe its export `{kind}`")]
    Describe {
        kind: Kind,
        #[source]
        source: CallError,
    },
    #[error("loading the built-in policy for {kind}")]
    BuiltIn {
        kind: Kind,
        #[source]
        source: Box<LoadError>,
    },
}

impl LoadError {
    /// The word that metrics, events, conditions and documents use.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Engine(_) => "EngineFailed",
            Self::TooLarge { .. } => "TooLarge",
            Self::NotAComponent(_) => "NotAComponent",
            Self::Compile(_) => "CompileFailed",
            Self::ForbiddenImport { .. } => "ForbiddenImport",
            Self::NoKind { .. } => "NoKind",
            Self::Interface { .. } => "InterfaceMismatch",
            Self::Describe { .. } => "DescribeFailed",
            Self::BuiltIn { .. } => "BuiltInFailed",
        }
    }
}

/// Why a call gave no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("the policy trapped: {0}")]
    Trap(String),
    #[error("the policy used up its fuel of {0}")]
    OutOfFuel(u64),
    #[error("the policy took longer than {0:?}")]
    Deadline(Duration),
    #[error("the policy wanted more memory than its {0} bytes")]
    MemoryLimit(u64),
    #[error("the policy handed over more than {0} bytes at once")]
    OutputLimit(u64),
    #[error("the policy gave up: {0}")]
    PolicyError(String),
    #[error("the policy refused its configuration: {0}")]
    BadConfig(String),
    #[error("the policy answered what cannot be: {0}")]
    Garbage(String),
}

impl CallError {
    /// The word that metrics, events, conditions and documents use.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Trap(_) => "Trap",
            Self::OutOfFuel(_) => "OutOfFuel",
            Self::Deadline(_) => "Deadline",
            Self::MemoryLimit(_) => "MemoryLimit",
            Self::OutputLimit(_) => "OutputLimit",
            Self::PolicyError(_) => "PolicyError",
            Self::BadConfig(_) => "BadConfig",
            Self::Garbage(_) => "Garbage",
        }
    }
}
