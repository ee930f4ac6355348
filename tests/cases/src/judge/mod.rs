//! Whether what a case expects is true.

mod growth;
mod placement;
mod removal;

use crate::expectation::Expectation;
use crate::format::Case;
use crate::pipeline::Config;
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
pub fn judge(case: &Case) -> Result<()> {
    let scene = Scene::new(&case.cluster)?;
    let judge = Judge {
        scene: &scene,
        expect: &case.expect,
        config: &case.config,
    };
    judge.placement()?;
    judge.growth()?;
    judge.removal()
}

struct Judge<'a> {
    scene: &'a Scene,
    expect: &'a Expectation,
    config: &'a Config,
}

fn same<T: PartialEq + Debug>(what: &str, expected: &T, found: &T) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    bail!("{what}:\n  expected {expected:?}\n  found    {found:?}")
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
