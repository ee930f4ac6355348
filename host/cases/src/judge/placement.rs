//! What fits where as the cluster stands, and on how many new nodes.

use super::{ByName, Judge, same};
use crate::expectation::Estimate;
use anyhow::{Context, Result};
use autoscaler_core::decision::{Addition, Cause, Oracle, WhatIfQuestion, questions};
use autoscaler_core::model::ClassId;
use autoscaler_core::packing::{Placement, State, WhatIf, place_pending};

/// Nodes or templates by name, and whether one of them takes a pod.
struct Places<'a> {
    what: &'a str,
    names: Vec<String>,
    takes: &'a mut dyn FnMut(ClassId, u32) -> Result<(), Cause>,
}

impl Judge<'_> {
    pub(super) fn placement(&self) -> Result<()> {
        let snapshot = &self.scene.snapshot;
        let mut state = State::new(snapshot);
        let nodes = snapshot.nodes.iter().map(|node| node.name.clone()).collect();
        self.fits(
            self.expect.fits.as_ref(),
            self.expect.refused.as_ref(),
            Places {
                what: "fits",
                names: nodes,
                takes: &mut |class, node| state.fits(class, node),
            },
        )?;
        let templates = (0..).zip(&snapshot.templates);
        let templates = templates.map(|(id, _)| self.scene.template_name(id)).collect();
        self.fits(
            self.expect.fits_new.as_ref(),
            self.expect.refused_new.as_ref(),
            Places {
                what: "fitsNew",
                names: templates,
                takes: &mut |class, template| {
                    let mark = state.mark();
                    let node = state.add_node(template);
                    let verdict = state.fits(class, node);
                    state.rollback(mark);
                    verdict
                },
            },
        )?;
        self.requests()?;
        if self.expect.placed.is_some() || self.expect.unplaced.is_some() {
            let placement = place_pending(snapshot);
            if let Some(expected) = &self.expect.placed {
                same("placed", expected, &self.homes(&placement))?;
            }
            if let Some(expected) = &self.expect.unplaced {
                same("unplaced", expected, &self.unplaced(&placement))?;
            }
        }
        for (template, expected) in self.expect.estimate.iter().flatten() {
            self.estimate(template, expected)?;
        }
        Ok(())
    }

    fn fits(
        &self,
        fits: Option<&ByName<Vec<String>>>,
        refused: Option<&ByName<ByName<String>>>,
        places: Places<'_>,
    ) -> Result<()> {
        let Places { what, names, takes } = places;
        for (pod, expected) in fits.into_iter().flatten() {
            let class = self.scene.class(pod)?;
            let mut found = Vec::new();
            for (id, name) in (0..).zip(&names) {
                if takes(class, id).is_ok() {
                    found.push(name.clone());
                }
            }
            let mut expected = expected.clone();
            expected.sort();
            found.sort();
            same(&format!("{what} {pod}"), &expected, &found)?;
        }
        for (pod, causes) in refused.into_iter().flatten() {
            let class = self.scene.class(pod)?;
            for (name, cause) in causes {
                let id = (0..).zip(&names).find(|(_, known)| *known == name);
                let (id, _) = id.with_context(|| format!("{what}: there is no {name:?}"))?;
                let found = match takes(class, id) {
                    Ok(()) => "it fits".to_owned(),
                    Err(cause) => format!("{cause:?}"),
                };
                same(&format!("{what} {pod}, refused by {name}"), cause, &found)?;
            }
        }
        Ok(())
    }

    fn requests(&self) -> Result<()> {
        let snapshot = &self.scene.snapshot;
        for (pod, expected) in self.expect.requests.iter().flatten() {
            let requests = &snapshot.classes[self.scene.class(pod)? as usize].requests;
            for (resource, expected) in expected {
                let mut known = (0_u16..).zip(snapshot.resources.as_slice());
                let id = known.find(|(_, name)| *name == resource);
                let found = id.map_or(0, |(id, _)| requests.get(id));
                same(&format!("requests of {pod}, {resource}"), expected, &found)?;
            }
        }
        Ok(())
    }

    /// Asks the oracle how many of many new nodes the waiting pods would use.
    fn estimate(&self, name: &str, expected: &Estimate) -> Result<()> {
        const MANY: u32 = 1000;
        let template = self.scene.template(name)?;
        let placement = place_pending(&self.scene.snapshot);
        let question = questions::scale_up(&placement, &|_| true);
        let asked = WhatIfQuestion {
            additions: vec![Addition {
                template,
                count: expected.limit.unwrap_or(MANY),
            }],
            removals: Vec::new(),
            pods: None,
        };
        let answer = WhatIf::new(&placement, &question).what_if(&asked);
        let (outcome, _) = answer.map_err(|text| anyhow::anyhow!("{text}"))?;
        let found = Estimate {
            nodes: outcome.used.iter().sum(),
            left: outcome.unplaced.iter().map(|left| left.pods).sum(),
            limit: expected.limit,
        };
        same(&format!("estimate of {name}"), expected, &found)
    }

    fn homes(&self, placement: &Placement) -> ByName<ByName<u32>> {
        let mut homes: ByName<ByName<u32>> = ByName::new();
        for (pod, node) in &placement.placed {
            let node = self.scene.snapshot.nodes[*node as usize].name.clone();
            let of_pod = homes.entry(self.pod_name(*pod)).or_default();
            *of_pod.entry(node).or_insert(0) += 1;
        }
        homes
    }
}
