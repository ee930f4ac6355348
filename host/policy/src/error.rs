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
    #[error("compiling a policy (a file that is damaged or cut off does this)")]
    Compile(#[source] Cause),
    #[error(
        "loading a policy that imports `{import}`: a policy gets `log` and `what-if` of vpsie:autoscaler 0.1, nothing else; build it for wasm32-unknown-unknown"
    )]
    ForbiddenImport { import: String },
    #[error(
        "loading a policy that exports none of `scale-up`, `node-selection` and `rebalance` of vpsie:autoscaler 0.1 (it exports: {exports}); build it against the worlds of wit/"
    )]
    NoKind { exports: String },
    #[error(
        "loading a policy that exports `{export}`: this autoscaler speaks version 0.1 of the interface; build the policy with the SDK of this release, or upgrade the one of the two that is older"
    )]
    OtherVersion { export: String },
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
    #[error(
        "the policy's export `{kind}` comes with a configuration schema that is no JSON Schema ({problem}): mend config-schema of its describe()"
    )]
    Schema { kind: Kind, problem: String },
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
            Self::OtherVersion { .. } => "OtherVersion",
            Self::Interface { .. } => "InterfaceMismatch",
            Self::Describe { .. } => "DescribeFailed",
            Self::Schema { .. } => "InvalidSchema",
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

/// What kind of failure a call ended with, for those who count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Misdeed {
    /// It gave no answer of its own accord.
    Trap,
    /// A limit ended it.
    Limit,
    /// Its answer was refused.
    Refusal,
}

impl CallError {
    pub(crate) fn misdeed(&self) -> Misdeed {
        match self {
            Self::Trap(_) | Self::PolicyError(_) | Self::BadConfig(_) => Misdeed::Trap,
            Self::OutOfFuel(_) | Self::Deadline(_) | Self::MemoryLimit(_) | Self::OutputLimit(_) => {
                Misdeed::Limit
            }
            Self::Garbage(_) => Misdeed::Refusal,
        }
    }

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
