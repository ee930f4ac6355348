//! The one WebAssembly engine of the process: its configuration, its clock, and what it has compiled.

use crate::compile::CompiledPolicy;
use crate::error::LoadError;
use crate::limits::MEMORY_SLOT;
use crate::state::State;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use wasmtime::component::Linker;
use wasmtime::{Config, InstanceAllocationStrategy, PoolingAllocationConfig};

/// Resolution of the deadlines. Each tick costs one atomic increment.
pub(crate) const TICK: Duration = Duration::from_millis(10);
/// Calls at the same time. The controllers make a handful; the rest is for tests that share an engine.
const CALLS: u32 = 32;
/// Core instances in a component: CPython comes with 38.
const CORE_INSTANCES: u32 = 64;
/// Stack of a guest. The runtime's default, said here because the fibers' stacks must exceed it.
const GUEST_STACK: usize = 512 << 10;
/// Stack of the fiber that a guest runs on: its own, and room for the host functions that it calls.
const FIBER_STACK: usize = 2 << 20;

/// Compiles policies and runs them. Cheap to clone; its clock ends with the last clone and the last policy.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    wasmtime: wasmtime::Engine,
    linker: Linker<State>,
    /// By digest, as long as somebody uses it.
    compiled: Mutex<BTreeMap<String, Weak<CompiledPolicy>>>,
}

impl Engine {
    /// Starts an engine. One per process is enough.
    ///
    /// # Errors
    /// Where the machine has no WebAssembly support, or threads cannot be started.
    pub fn new() -> Result<Self, LoadError> {
        let wasmtime = wasmtime_engine()?;
        let linker = crate::state::linker(&wasmtime).map_err(|error| LoadError::Engine(error.into()))?;
        tick(wasmtime.weak())?;
        Ok(Self {
            inner: Arc::new(Inner {
                wasmtime,
                linker,
                compiled: Mutex::default(),
            }),
        })
    }

    pub(crate) fn wasmtime(&self) -> &wasmtime::Engine {
        &self.inner.wasmtime
    }

    pub(crate) fn linker(&self) -> &Linker<State> {
        &self.inner.linker
    }

    /// Compiles a component, or finds it compiled. Takes some tens of milliseconds for a Rust guest and seconds
    /// for an interpreter: not for a thread that has other things to do.
    ///
    /// # Errors
    /// Where it is no component, wants more than a policy gets, or cannot describe itself.
    pub fn compile(&self, component: &[u8]) -> Result<Arc<CompiledPolicy>, LoadError> {
        crate::compile::check_form(component)?;
        let digest = crate::compile::digest(component);
        if let Some(policy) = self.compiled(&digest) {
            return Ok(policy);
        }
        // The lock is not held meanwhile: compiling the same component twice is a waste and no harm.
        let policy = Arc::new(CompiledPolicy::compile(self, component, digest.clone())?);
        let mut compiled = self.inner.compiled.lock().unwrap_or_else(PoisonError::into_inner);
        compiled.retain(|_, policy| policy.strong_count() > 0);
        compiled.insert(digest, Arc::downgrade(&policy));
        Ok(policy)
    }

    /// A policy that is in use, by the SHA-256 digest of its component.
    fn compiled(&self, digest: &str) -> Option<Arc<CompiledPolicy>> {
        self.inner
            .compiled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(digest)?
            .upgrade()
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

fn wasmtime_engine() -> Result<wasmtime::Engine, LoadError> {
    match wasmtime::Engine::new(config().allocation_strategy(InstanceAllocationStrategy::Pooling(pool()))) {
        Ok(engine) => Ok(engine),
        Err(error) => {
            // The pool reserves address space, which some sandboxes limit. Slower is better than not at all.
            tracing::warn!("policies run without an instance pool: {error:#}");
            wasmtime::Engine::new(&config()).map_err(|error| LoadError::Engine(error.into()))
        }
    }
}

fn config() -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        // The same bits everywhere: what differs between processors is made equal or left out.
        .cranelift_nan_canonicalization(true)
        .wasm_relaxed_simd(false)
        .wasm_memory64(false)
        .max_wasm_stack(GUEST_STACK)
        .async_stack_size(FIBER_STACK);
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(CALLS)
        .total_stacks(CALLS)
        .total_core_instances(CALLS * CORE_INSTANCES)
        .max_core_instances_per_component(CORE_INSTANCES)
        // Each memory reserves 4 GiB of address space and a guard, so that accesses need no bounds checks.
        .total_memories(CALLS)
        .max_memories_per_component(4)
        .total_tables(CALLS * 4)
        .max_tables_per_component(16)
        .table_elements(100_000)
        .max_memory_size(MEMORY_SLOT);
    pool
}

/// Advances the epoch until the engine is gone.
fn tick(engine: wasmtime::EngineWeak) -> Result<(), LoadError> {
    let ticker = move || {
        while let Some(engine) = engine.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    };
    let thread = std::thread::Builder::new()
        .name("policy-deadline".to_owned())
        .spawn(ticker);
    thread.map(drop).map_err(|error| LoadError::Engine(error.into()))
}
