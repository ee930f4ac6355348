//! Whether what a case expects is true.

mod growth;
mod placement;
mod removal;

use crate::expectation::Expectation;
use crate::format::Case;
use crate::pipeline::{Ask, Config};
use crate::scene::Scene;
use anyhow::{Result, bail};
use autoscaler_core::model::PodId;
use autoscaler_core::packing::Placement;
use std::collections::BTreeMap;
use std::fmt::Debug;

type ByName<T> = BTreeMap<String, T>;

/// Compares what the case expects with what is.
///
/// # Errors
/// What was expected and what was found, or what is wrong with the case.
pub fn judge(case: &Case, ask: Ask<'_>) -> Result<()> {
    let scene = Scene::new(&case.cluster)?;
    Judge::new(&scene, &case.expect, &case.config, ask).all()
}

pub(crate) struct Judge<'a> {
    scene: &'a Scene,
    expect: &'a Expectation,
    config: &'a Config,
    ask: Ask<'a>,
}

/// Compares what is expected, if anything is.
fn wanted<T: PartialEq + Debug>(what: &str, expected: Option<&T>, found: Option<&T>) -> Result<()> {
    match (expected, found) {
        (Some(expected), Some(found)) => same(what, expected, found),
        _ => Ok(()),
    }
}

fn same<T: PartialEq + Debug>(what: &str, expected: &T, found: &T) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    bail!("{what}:\n  expected {expected:?}\n  found    {found:?}")
}

impl<'a> Judge<'a> {
    pub(crate) fn new(scene: &'a Scene, expect: &'a Expectation, config: &'a Config, ask: Ask<'a>) -> Self {
        Self {
            scene,
            expect,
            config,
            ask,
        }
    }

    pub(crate) fn all(&self) -> Result<()> {
        self.placement()?;
        self.growth()?;
        self.removal()
    }
}

impl Judge<'_> {
    fn pod_name(&self, pod: PodId) -> String {
        self.scene
            .name_of(&self.scene.snapshot.pods[pod as usize].key)
            .to_owned()
    }

    fn unplaced(&self, placement: &Placement) -> ByName<u32> {
        let mut left = ByName::new();
        for pod in placement.unplaced.iter().flat_map(|unplaced| &unplaced.pods) {
            *left.entry(self.pod_name(*pod)).or_insert(0) += 1;
        }
        left
    }
}
