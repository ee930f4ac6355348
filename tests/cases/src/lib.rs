//! Scheduling behaviour as data: what autoscalers in the field are known to do, one small YAML file per
//! behaviour, asked of the code that runs in production.
//!
//! A case describes a cluster in shorthand and says what must be true of it. The shorthand becomes Kubernetes
//! objects, these go through the index that the watches feed, and the snapshot of it through the core. Where a
//! policy decides, its WebAssembly build and its native build are both asked, and must say the same.
//!
//! The format is described in `scheduling/README.md`.

mod expectation;
mod format;
mod judge;
mod load;
mod native;
mod objects;
mod pipeline;
mod quantities;
mod scene;
mod storage;
mod terms;

pub use format::Case;
pub use judge::judge;
pub use load::{File, load, parse};
