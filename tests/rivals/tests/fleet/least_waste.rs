//! Cluster Autoscaler's way with its expander `least-waste`, as its documentation describes it.
//!
//! A round estimates for each offering by itself how many of its nodes the waiting pods need, and which of them it
//! takes. The offering that leaves the smallest shares of CPU and memory unused, added up, is bought; what it does not
//! take waits for the next round. Packing within an estimate is the host's own, which needs no more nodes than first fit
//! does; shares are of what a node offers to pods, not of the whole machine; equals are decided by the price, where
//! Cluster Autoscaler draws. All three favour it.

use anyhow::{Result, anyhow, bail};
use autoscaler_core::decision::{
    Addition, Answer, Catalogue, ClassCount, Demand, GroupDemand, Mix, Oracle, Pending, Purchase, Question,
    Reason, WhatIfQuestion,
};
use autoscaler_core::packing::{Placement, WhatIf};
use autoscaler_rivals::Policies;

/// `--max-nodes-per-scaleup`.
const MOST_NODES: u32 = 1000;

pub(crate) struct LeastWaste;

impl Policies for LeastWaste {
    fn answer(
        &self,
        placement: &Placement,
        question: &Question,
        accept: &dyn Fn(&Answer) -> Result<(), String>,
    ) -> Result<Answer> {
        let oracle = WhatIf::new(placement, question);
        let answer = match question {
            Question::ScaleUp {
                catalogue, pending, ..
            } => {
                let best = best(&oracle, catalogue, pending, None)?;
                Answer::ScaleUp(Demand {
                    groups: best.into_iter().map(|option| option.demand(catalogue)).collect(),
                    rejections: Vec::new(),
                })
            }
            Question::NodeSelection {
                catalogue,
                pending,
                demand,
                ..
            } => {
                let group = demand.first().map(|demand| demand.group);
                let best = best(&oracle, catalogue, pending, group)?;
                Answer::NodeSelection(Mix {
                    purchases: best.into_iter().map(Estimate::purchase).collect(),
                    rejections: Vec::new(),
                })
            }
            Question::Rebalance { .. } => bail!("an expander chooses among purchases"),
        };
        accept(&answer).map_err(|refusal| anyhow!("the answer is refused: {refusal}"))?;
        Ok(answer)
    }
}

/// What one offering would come to.
struct Estimate {
    template: u32,
    nodes: u32,
    pods: Vec<ClassCount>,
    /// Unused shares of CPU and memory.
    waste: f64,
}

impl Estimate {
    fn demand(self, catalogue: &Catalogue) -> GroupDemand {
        GroupDemand {
            group: catalogue.templates[self.template as usize].group,
            pods: self.pods,
            reason: Reason::new("LeastWaste", "it leaves least unused"),
        }
    }

    fn purchase(self) -> Purchase {
        Purchase {
            template: self.template,
            count: self.nodes,
            fallbacks: Vec::new(),
            reason: Reason::new("LeastWaste", "it leaves least unused"),
        }
    }
}

/// The offering with the least waste, among those of `group` where one is given.
fn best(
    oracle: &WhatIf<'_>,
    catalogue: &Catalogue,
    pending: &Pending,
    group: Option<u32>,
) -> Result<Option<Estimate>> {
    let mut best: Option<Estimate> = None;
    for (template, row) in (0..).zip(&catalogue.templates) {
        if row.headroom == 0 || group.is_some_and(|group| group != row.group) {
            continue;
        }
        let Some(estimate) = estimate(oracle, catalogue, pending, template)? else {
            continue;
        };
        let price = |estimate: &Estimate| catalogue.templates[estimate.template as usize].hourly_micros;
        let better = best.as_ref().is_none_or(|known| {
            let by_waste = estimate.waste.total_cmp(&known.waste);
            by_waste.then_with(|| price(&estimate).cmp(&price(known))).is_lt()
        });
        if better {
            best = Some(estimate);
        }
    }
    Ok(best)
}

/// None where the offering takes no pod.
fn estimate(
    oracle: &WhatIf<'_>,
    catalogue: &Catalogue,
    pending: &Pending,
    template: u32,
) -> Result<Option<Estimate>> {
    let waiting: u32 = pending.classes.iter().map(|class| class.unplaced).sum();
    let headroom = catalogue.templates[template as usize].headroom;
    let count = headroom.min(MOST_NODES).min(waiting);
    let question = WhatIfQuestion {
        additions: vec![Addition { template, count }],
        ..WhatIfQuestion::default()
    };
    let (outcome, _) = oracle.what_if(&question).map_err(anyhow::Error::msg)?;
    let nodes = outcome.used.first().copied().unwrap_or(0);
    let left = |class: u32| outcome.unplaced.iter().find(|leftover| leftover.class == class);
    let placed = (0..).zip(&pending.classes).map(|(class, row)| ClassCount {
        class,
        pods: row.unplaced - left(class).map_or(0, |leftover| leftover.pods),
    });
    let pods: Vec<ClassCount> = placed.filter(|count| count.pods > 0).collect();
    if nodes == 0 || pods.is_empty() {
        return Ok(None);
    }
    let width = pending.requests.len() / pending.classes.len();
    let unused = |resource: usize| {
        let wanted: u64 = pods
            .iter()
            .map(|count| pending.requests[count.class as usize * width + resource] * u64::from(count.pods))
            .sum();
        let offered = catalogue.allocatable[template as usize * width + resource] * u64::from(nodes);
        1.0 - wanted as f64 / offered as f64
    };
    Ok(Some(Estimate {
        template,
        nodes,
        waste: unused(0) + unused(1),
        pods,
    }))
}
