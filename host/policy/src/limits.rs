//! What one call may use.

use std::time::Duration;
use wasmtime::ResourceLimiter;

/// The memory that a pool slot of the engine has; [`Limits::memory_bytes`] above it has no effect.
pub(crate) const MEMORY_SLOT: usize = 256 << 20;

/// Limits of one call. They are the policy's contract: the same component needs the same fuel on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Roughly one unit per WebAssembly instruction; what the oracle does is charged, too.
    pub fuel: u64,
    /// Wall-clock back-stop, in steps of 10 ms.
    pub deadline: Duration,
    /// Linear memories of the instance together, at most 256 MiB.
    pub memory_bytes: u64,
    /// What a single crossing of the border may carry out of the guest: the answer, a log line, a question.
    pub output_bytes: u64,
}

impl Default for Limits {
    /// About a second of work. The built-in policies decide on fifty thousand equal pods with less than a thousandth of
    /// it, and on ten thousand of 2 600 classes for 2 000 templates with half. The deadline is generous, because a busy
    /// machine is no fault of the policy.
    fn default() -> Self {
        Self {
            fuel: 4_000_000_000,
            deadline: Duration::from_secs(5),
            memory_bytes: 64 << 20,
            output_bytes: 4 << 20,
        }
    }
}

/// Counts what an instance takes and refuses what is too much.
#[derive(Debug)]
pub(crate) struct Gauge {
    limit: u64,
    bytes: u64,
    refused: bool,
}

/// Entries of a table: function pointers of a guest, of which even interpreters have some thousands only.
const TABLE_ELEMENTS: usize = 100_000;
/// Instances, tables and memories inside one component. Guests of interpreted languages have more than the
/// runtime's default of 8.
const PARTS: usize = 64;

impl Gauge {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            limit: limits.memory_bytes,
            bytes: 0,
            refused: false,
        }
    }

    /// Bytes at most: linear memories never shrink.
    pub(crate) fn peak(&self) -> u64 {
        self.bytes
    }

    /// Whether the guest died of this limit.
    pub(crate) fn refused(&self) -> bool {
        self.refused
    }

    fn refuse(&mut self, what: &str) -> wasmtime::Error {
        self.refused = true;
        wasmtime::Error::msg(format!("the policy's {what} may not grow any more"))
    }
}

impl ResourceLimiter for Gauge {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        // A trap, and not a failed allocation that the guest may survive: what it then decides would depend
        // on the limit.
        let grown = self.bytes + (desired as u64).saturating_sub(current as u64);
        if grown > self.limit || desired > MEMORY_SLOT {
            return Err(self.refuse("memory"));
        }
        self.bytes = grown;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        Err(self.refuse("memory"))
    }

    fn table_growing(&mut self, _: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENTS {
            Err(self.refuse("table"))
        } else {
            Ok(true)
        }
    }

    fn instances(&self) -> usize {
        PARTS
    }

    fn tables(&self) -> usize {
        PARTS
    }

    fn memories(&self) -> usize {
        PARTS
    }
}
