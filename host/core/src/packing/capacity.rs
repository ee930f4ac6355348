//! How many pods of a class an empty new node of each template holds.
//!
//! Many classes differ in names only, and many templates in price only. So the table has a row for classes that
//! every template holds alike, and a column for templates that hold every class alike. A cell is the least of three
//! numbers: what the size of the node holds, what rules about its place and its neighbours allow, and what topology
//! spread allows.

use super::State;
use super::links::CounterId;
use super::shapes::ShapeId;
use super::spread_room::spread_room;
use super::topology::DomainId;
use crate::model::{ClassId, NodeId, TemplateId};
use crate::rules;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Pods per new node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PerNewNode {
    /// By class, in the order asked: where its row begins in `pods`.
    pub row_of: Vec<u32>,
    /// By template: its column.
    pub column_of: Vec<u32>,
    /// rows × columns.
    pub pods: Vec<u32>,
}

impl PerNewNode {
    /// A table of classes × templates in which nothing is alike.
    pub fn whole(classes: usize, templates: usize, pods: Vec<u32>) -> Self {
        let number = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            row_of: (0..classes).map(|class| number(class * templates)).collect(),
            column_of: (0..templates).map(number).collect(),
            pods,
        }
    }

    /// How many pods of the class at this position a new node of the template holds.
    pub fn pods(&self, class: usize, template: usize) -> u32 {
        let at = self.row_of[class] as usize + self.column_of[template] as usize;
        self.pods[at]
    }
}

/// Asks for these classes and all templates. `growable` tells which templates may be bought at all.
pub fn per_new_node(state: &mut State, classes: &[ClassId], growable: &[bool]) -> PerNewNode {
    let columns = Columns::new(state);
    let mut rows = Rows {
        known: BTreeMap::new(),
        pods: Vec::new(),
    };
    let mut gates = vec![vec![0; columns.grounds.len()]; classes.len()];
    for (at, ground) in columns.grounds.iter().enumerate() {
        let mark = state.mark();
        let node = state.add_node(*ground);
        for (class, gates) in classes.iter().zip(&mut gates) {
            gates[at] = gate(state, *class, node);
        }
        state.rollback(mark);
    }
    let mut row_of = Vec::with_capacity(classes.len());
    for (class, mut gates) in classes.iter().zip(gates) {
        let spread = spread_room(state, *class, &columns.grounds, &columns.growing(growable));
        gates
            .iter_mut()
            .zip(spread)
            .for_each(|(gate, spread)| *gate = spread.min(*gate));
        row_of.push(if state.tables().is_bare(*class) {
            let key = Key::Plain(state.tables().needs[*class as usize].clone(), gates.clone());
            rows.of(key, || columns.plain_row(state, *class, &gates))
        } else {
            let row = columns.exact_row(state, *class, &gates);
            rows.of(Key::Exact(row.clone()), || row)
        });
    }
    PerNewNode {
        row_of,
        column_of: columns.column_of,
        pods: rows.pods,
    }
}

/// Templates that hold every class alike, by what tells them apart.
struct Columns {
    /// By column: a template of it, its ground and its size.
    columns: Vec<(TemplateId, usize, usize)>,
    column_of: Vec<u32>,
    /// Place and neighbours of a new node, each by a template that has them.
    grounds: Vec<TemplateId>,
    /// By ground: the templates.
    of_grounds: Vec<Vec<usize>>,
    /// Amounts of an empty node.
    sizes: Vec<Vec<i128>>,
}

impl Columns {
    fn new(state: &State) -> Self {
        type Ground<'a> = (ShapeId, &'a [Option<DomainId>], Vec<ClassId>);
        let tables = state.tables();
        let keys = tables.topology.keys.len();
        let mut grounds: BTreeMap<Ground<'_>, usize> = BTreeMap::new();
        let mut sizes: BTreeMap<Vec<i128>, usize> = BTreeMap::new();
        let mut columns: BTreeMap<(usize, usize), u32> = BTreeMap::new();
        let mut all = Self {
            columns: Vec::new(),
            column_of: Vec::new(),
            grounds: Vec::new(),
            of_grounds: Vec::new(),
            sizes: Vec::new(),
        };
        for (at, (id, template)) in (0..).zip(&tables.snapshot.templates).enumerate() {
            let domains = &tables.topology.of_templates[at * keys..(at + 1) * keys];
            let key = (
                tables.shapes.of_templates[at],
                domains,
                tables.daemons(id).collect(),
            );
            let ground = *grounds.entry(key).or_insert_with(|| {
                all.grounds.push(id);
                all.of_grounds.push(Vec::new());
                all.grounds.len() - 1
            });
            all.of_grounds[ground].push(at);
            let amounts: Vec<i128> = tables
                .amounts(&template.allocatable, &template.attach_limits)
                .collect();
            let size = *sizes.entry(amounts).or_insert_with_key(|amounts| {
                all.sizes.push(amounts.clone());
                all.sizes.len() - 1
            });
            let column = *columns.entry((ground, size)).or_insert_with(|| {
                all.columns.push((id, ground, size));
                u32::try_from(all.columns.len() - 1).unwrap_or(u32::MAX)
            });
            all.column_of.push(column);
        }
        all
    }

    /// By ground: whether some template of it may be bought.
    fn growing(&self, growable: &[bool]) -> Vec<bool> {
        let may_grow = |template: &usize| growable.get(*template).copied().unwrap_or(false);
        self.of_grounds
            .iter()
            .map(|templates| templates.iter().any(may_grow))
            .collect()
    }

    /// The row of a class that takes nothing of a node but resources.
    fn plain_row(&self, state: &State, class: ClassId, gates: &[u32]) -> Vec<u32> {
        let needs = &state.tables().needs[class as usize];
        let room = |size: &Vec<i128>| {
            let rooms = needs.iter().map(|(column, amount)| size[*column].max(0) / amount);
            rooms
                .min()
                .map_or(0, |pods| u32::try_from(pods).unwrap_or(u32::MAX))
        };
        let rooms: Vec<u32> = self.sizes.iter().map(room).collect();
        let cell = |(_, ground, size): &(TemplateId, usize, usize)| rooms[*size].min(gates[*ground]);
        self.columns.iter().map(cell).collect()
    }

    /// The row of a class that holds ports or volumes: a new node of every column is tried.
    fn exact_row(&self, state: &mut State, class: ClassId, gates: &[u32]) -> Vec<u32> {
        let cell = |(template, ground, _): &(TemplateId, usize, usize)| {
            if gates[*ground] == 0 {
                return 0;
            }
            let mark = state.mark();
            let node = state.add_node(*template);
            let pods = alone(state, class, node).min(gates[*ground]);
            state.rollback(mark);
            pods
        };
        self.columns.iter().map(cell).collect()
    }
}

/// What makes rows equal before they are worked out.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    /// Requests, and what each ground allows.
    Plain(Vec<(usize, i128)>, Vec<u32>),
    Exact(Vec<u32>),
}

struct Rows {
    /// Where each begins.
    known: BTreeMap<Key, u32>,
    pods: Vec<u32>,
}

impl Rows {
    fn of(&mut self, key: Key, row: impl FnOnce() -> Vec<u32>) -> u32 {
        *self.known.entry(key).or_insert_with(|| {
            let begin = u32::try_from(self.pods.len()).unwrap_or(u32::MAX);
            self.pods.extend(row());
            begin
        })
    }
}

/// How many pods a new node may hold for its place and its neighbours, whatever its size: topology spread aside. Ports
/// and volumes are looked at node by node.
fn gate(state: &State, class: ClassId, node: NodeId) -> u32 {
    if state.fits_by_nature(class, node).is_err() {
        return 0;
    }
    if !state.tables().is_bare(class) || !state.tables().minds_company(class) {
        return u32::MAX;
    }
    if rules::refused_for_company(state, class, node) {
        return 0;
    }
    if shuns_itself(state, class, node) {
        1
    } else {
        u32::MAX
    }
}

/// Whether a pod of the class keeps the next one away from its domain. Company that it seeks it has, or it would not be
/// there.
fn shuns_itself(state: &State, class: ClassId, node: NodeId) -> bool {
    let links = state.tables().links.of(class);
    let shunned = |counter: &CounterId| links.anti.contains(counter) || links.shunned_by.contains(counter);
    let has_domain = |counter: &CounterId| {
        let key = state.tables().links.counters[*counter as usize].key;
        state.domain(node, key).is_some()
    };
    let mut moved = links.moves.iter();
    moved.any(|counter| shunned(counter) && has_domain(counter))
}

/// How many pods the new node holds by all rules but topology spread.
fn alone(state: &mut State, class: ClassId, node: NodeId) -> u32 {
    if state.fits_by_nature(class, node).is_err() || rules::refused_whatever_spreads(state, class, node) {
        return 0;
    }
    let room = state.room(class, node);
    if state.tables().is_bulk(class) || room == 1 {
        return room;
    }
    // What the first does to the second, it does to all that follow.
    let mark = state.mark();
    state.place(class, node, 1);
    let together = !rules::refused_whatever_spreads(state, class, node);
    state.rollback(mark);
    if together { room } else { 1 }
}

#[cfg(test)]
#[path = "capacity_tests.rs"]
mod tests;
