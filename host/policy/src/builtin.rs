//! The policies that come with the binary: ordinary components, which build.rs takes from where
//! `cargo xtask policies` has put them.

use crate::compile::CompiledPolicy;
use crate::engine::Engine;
use crate::error::LoadError;
use autoscaler_core::decision::Kind;
use std::sync::Arc;

pub(crate) fn load(engine: &Engine, kind: Kind) -> Result<Arc<CompiledPolicy>, LoadError> {
    let policy = engine.compile(component(kind));
    policy.map_err(|source| LoadError::BuiltIn {
        kind,
        source: Box::new(source),
    })
}

fn component(kind: Kind) -> &'static [u8] {
    match kind {
        Kind::ScaleUp => include_bytes!(concat!(env!("OUT_DIR"), "/scale-up.wasm")),
        Kind::NodeSelection => include_bytes!(concat!(env!("OUT_DIR"), "/node-selection.wasm")),
        Kind::Rebalance => include_bytes!(concat!(env!("OUT_DIR"), "/rebalance.wasm")),
    }
}
