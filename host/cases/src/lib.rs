//! Scheduling behaviour as data: what autoscalers in the field are known to do, one small YAML file per
//! behaviour, asked of the code that runs in production; and the desk of those who write policies, whose cases are
//! folders in the same words.
//!
//! A case describes a cluster in shorthand and says what must be true of it. The shorthand becomes Kubernetes
//! objects, these go through the index that the watches feed, and the snapshot of it through the core. Where a
//! policy decides, whoever judges brings the asking along: the desk asks components under the limits of production.
//!
//! The format is described in `tests/cases/scheduling/README.md`.

mod desk;
mod expectation;
mod folder;
mod format;
mod fuzz;
mod judge;
mod load;
mod objects;
mod pipeline;
mod quantities;
mod scene;
mod source;
mod storage;
mod terms;

pub use desk::{Asked, Asking, Desk};
pub use folder::{FolderCase, Verdict};
pub use format::Case;
pub use fuzz::{Finding, Fuzzer, snapshot_of_seed};
pub use judge::judge;
pub use load::{File, load, parse};
pub use pipeline::{Ask, Config};
pub use source::{Source, read};
