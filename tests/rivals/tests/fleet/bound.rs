//! A price that no plan can undercut, by linear programs.
//!
//! Where a node holds few ways to combine the pods, the *configuration* program: a variable for each maximal way to
//! fill a node; whole nodes are given up, nothing else. Otherwise the *resource* program: pods may be cut into
//! pieces, and for each offer the pieces need their resources; of pods that keep away from one another, there are
//! no more than nodes. Spread, affinity and whole nodes are given up, which can only lower the price.

use autoscaler_core::decision::{Catalogue, Pending, Question, questions};
use autoscaler_core::model::Snapshot;
use autoscaler_core::packing::place_pending;
use microlp::{ComparisonOp, OptimizationDirection, Problem, Variable};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) struct Bound {
    pub(crate) price: f64,
    pub(crate) method: &'static str,
}

/// Configurations of one problem that are listed at most.
const MOST_CONFIGURATIONS: usize = 1500;

struct Sort {
    pods: u32,
    requests: Vec<u64>,
    /// By offer.
    per_node: Vec<u32>,
    /// Number of the set of pods that keep away from one another.
    lonely: Option<usize>,
}

struct Offer {
    price: u64,
    capacity: Vec<u64>,
    /// Groups whose limit counts; of the others, equal offers are one.
    limited: Option<u32>,
}

pub(crate) fn lower(snapshot: &Snapshot) -> Bound {
    let placement = place_pending(&Arc::new(snapshot.clone()));
    let Question::ScaleUp {
        catalogue, pending, ..
    } = questions::scale_up(&placement, &|_| true)
    else {
        panic!("another kind")
    };
    let (sorts, offers, limits) = plain(snapshot, &catalogue, &pending);
    match configurations(&sorts, &offers) {
        Some(patterns) => Bound {
            price: by_configuration(&sorts, &offers, &limits, &patterns),
            method: "configurations",
        },
        None => Bound {
            price: by_resource(&sorts, &offers, &limits),
            method: "resources",
        },
    }
}

/// Equal pods and equal offers in one, with the limits of groups that may matter.
fn plain(
    snapshot: &Snapshot,
    catalogue: &Catalogue,
    pending: &Pending,
) -> (Vec<Sort>, Vec<Offer>, BTreeMap<u32, u32>) {
    let width = pending.requests.len() / pending.classes.len();
    let total: u32 = pending.classes.iter().map(|class| class.unplaced).sum();
    let limits: BTreeMap<u32, u32> = (0..)
        .zip(&catalogue.groups)
        .filter(|(_, group)| group.max < total)
        .map(|(id, group)| (id, group.max))
        .collect();
    let column = |template: usize| -> Vec<u32> {
        (0..pending.classes.len())
            .map(|class| pending.per_node.pods(class, template))
            .collect()
    };
    let mut known: BTreeMap<(u64, Vec<u64>, Vec<u32>, Option<u32>), usize> = BTreeMap::new();
    for (id, row) in catalogue.templates.iter().enumerate() {
        let capacity = catalogue.allocatable[id * width..(id + 1) * width].to_vec();
        let limited = limits.contains_key(&row.group).then_some(row.group);
        known
            .entry((row.hourly_micros, capacity, column(id), limited))
            .or_insert(id);
    }
    let chosen: Vec<usize> = known.values().copied().collect();
    let offers = known
        .into_keys()
        .map(|(price, capacity, _, limited)| Offer {
            price,
            capacity,
            limited,
        })
        .collect();
    let mut terms = Vec::new();
    let mut sorts: BTreeMap<(Vec<u64>, Vec<u32>, Option<usize>), u32> = BTreeMap::new();
    for (row, class) in pending.classes.iter().enumerate() {
        let anti = snapshot.classes[pending.class_ids[row] as usize]
            .pod_anti_affinity
            .first();
        let lonely = anti.map(|term| {
            terms.iter().position(|known| *known == term).unwrap_or_else(|| {
                terms.push(term);
                terms.len() - 1
            })
        });
        let requests = pending.requests[row * width..(row + 1) * width].to_vec();
        let per_node = chosen
            .iter()
            .map(|template| pending.per_node.pods(row, *template))
            .collect();
        *sorts.entry((requests, per_node, lonely)).or_insert(0) += class.unplaced;
    }
    let sorts = sorts
        .into_iter()
        .map(|((requests, per_node, lonely), pods)| Sort {
            pods,
            requests,
            per_node,
            lonely,
        })
        .collect();
    (sorts, offers, limits)
}

/// All maximal ways to fill a node: offer, pods by sort. None where there are too many.
fn configurations(sorts: &[Sort], offers: &[Offer]) -> Option<Vec<(usize, Vec<u32>)>> {
    let mut found = Vec::new();
    for (at, offer) in offers.iter().enumerate() {
        let mut counts = vec![0; sorts.len()];
        extend(sorts, at, 0, &offer.capacity.clone(), &mut counts, &mut found)?;
    }
    Some(found)
}

fn extend(
    sorts: &[Sort],
    at: usize,
    next: usize,
    free: &[u64],
    counts: &mut Vec<u32>,
    found: &mut Vec<(usize, Vec<u32>)>,
) -> Option<()> {
    let holds = |sort: &Sort, count: u32| {
        count < sort.per_node[at].min(sort.pods)
            && free
                .iter()
                .zip(&sort.requests)
                .all(|(free, request)| request <= free)
    };
    if next == sorts.len() {
        let full = sorts
            .iter()
            .zip(counts.iter())
            .all(|(sort, count)| !holds(sort, *count));
        if full {
            found.push((at, counts.clone()));
        }
        return (found.len() <= MOST_CONFIGURATIONS).then_some(());
    }
    let sort = &sorts[next];
    let mut most = sort.per_node[at].min(sort.pods);
    for (free, request) in free.iter().zip(&sort.requests) {
        most = most.min(
            u32::try_from(free.checked_div(*request).unwrap_or(u64::from(u32::MAX))).unwrap_or(u32::MAX),
        );
    }
    for count in (0..=most).rev() {
        let left: Vec<u64> = free
            .iter()
            .zip(&sort.requests)
            .map(|(free, request)| free - request * u64::from(count))
            .collect();
        counts[next] = count;
        extend(sorts, at, next + 1, &left, counts, found)?;
    }
    counts[next] = 0;
    Some(())
}

fn by_configuration(
    sorts: &[Sort],
    offers: &[Offer],
    limits: &BTreeMap<u32, u32>,
    patterns: &[(usize, Vec<u32>)],
) -> f64 {
    let mut program = Problem::new(OptimizationDirection::Minimize);
    let nodes: Vec<Variable> = patterns
        .iter()
        .map(|(offer, _)| program.add_var(offers[*offer].price as f64, (0.0, f64::INFINITY)))
        .collect();
    for (at, sort) in sorts.iter().enumerate() {
        let cover: Vec<(Variable, f64)> = nodes
            .iter()
            .zip(patterns)
            .map(|(node, (_, counts))| (*node, f64::from(counts[at])))
            .collect();
        program.add_constraint(&cover, ComparisonOp::Ge, f64::from(sort.pods));
    }
    let of_pattern = nodes
        .iter()
        .zip(patterns)
        .map(|(node, (offer, _))| (*node, *offer));
    limit(&mut program, offers, limits, &of_pattern.collect::<Vec<_>>());
    solve(&program)
}

fn by_resource(sorts: &[Sort], offers: &[Offer], limits: &BTreeMap<u32, u32>) -> f64 {
    let mut program = Problem::new(OptimizationDirection::Minimize);
    let nodes: Vec<Variable> = offers
        .iter()
        .map(|offer| program.add_var(offer.price as f64, (0.0, f64::INFINITY)))
        .collect();
    let mut pieces: Vec<Vec<Option<Variable>>> = Vec::new();
    for sort in sorts {
        let of_sort: Vec<Option<Variable>> = sort
            .per_node
            .iter()
            .map(|holds| (*holds > 0).then(|| program.add_var(0.0, (0.0, f64::INFINITY))))
            .collect();
        let cover: Vec<(Variable, f64)> = of_sort.iter().flatten().map(|piece| (*piece, 1.0)).collect();
        program.add_constraint(&cover, ComparisonOp::Ge, f64::from(sort.pods));
        pieces.push(of_sort);
    }
    let sets = sorts
        .iter()
        .filter_map(|sort| sort.lonely)
        .max()
        .map_or(0, |last| last + 1);
    for (at, offer) in offers.iter().enumerate() {
        let here = || {
            sorts
                .iter()
                .zip(&pieces)
                .filter_map(|(sort, pieces)| Some((sort, pieces[at]?)))
        };
        for (resource, capacity) in offer.capacity.iter().enumerate() {
            // In parts of the node: numbers of bytes are too large for a solver.
            let share = |amount: u64| amount as f64 / *capacity as f64;
            let mut needs: Vec<(Variable, f64)> = here()
                .filter(|(sort, _)| *capacity > 0 && sort.requests[resource] > 0)
                .map(|(sort, piece)| (piece, share(sort.requests[resource])))
                .collect();
            if !needs.is_empty() {
                needs.push((nodes[at], -1.0));
                program.add_constraint(&needs, ComparisonOp::Le, 0.0);
            }
        }
        for set in 0..sets {
            let mut lonely: Vec<(Variable, f64)> = here()
                .filter(|(sort, _)| sort.lonely == Some(set))
                .map(|(_, piece)| (piece, 1.0))
                .collect();
            if !lonely.is_empty() {
                lonely.push((nodes[at], -1.0));
                program.add_constraint(&lonely, ComparisonOp::Le, 0.0);
            }
        }
    }
    let of_offer: Vec<(Variable, usize)> = nodes.iter().copied().zip(0..).collect();
    limit(&mut program, offers, limits, &of_offer);
    solve(&program)
}

/// No more nodes of a group than it may have.
fn limit(program: &mut Problem, offers: &[Offer], limits: &BTreeMap<u32, u32>, nodes: &[(Variable, usize)]) {
    for (group, most) in limits {
        let of_group: Vec<(Variable, f64)> = nodes
            .iter()
            .filter(|(_, offer)| offers[*offer].limited == Some(*group))
            .map(|(node, _)| (*node, 1.0))
            .collect();
        if !of_group.is_empty() {
            program.add_constraint(&of_group, ComparisonOp::Le, f64::from(*most));
        }
    }
}

fn solve(program: &Problem) -> f64 {
    let solution = program
        .solve()
        .expect("a bounded program")
        .into_solution()
        .expect("it has a solution");
    solution.objective()
}
