//! The problem in plain numbers: sorts of pods, and offers of nodes with a price and a size.

/// Pods that no offer can tell apart.
#[derive(Clone, Debug)]
pub struct Row {
    pub pods: u32,
    /// By resource.
    pub requests: Vec<f64>,
    /// By offer: how many an empty node may hold at most, resources aside.
    pub per_node: Vec<u32>,
}

/// Nodes of one size.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Above 0.
    pub price: f64,
    /// By resource.
    pub capacity: Vec<f64>,
    pub limit: u32,
}

#[derive(Clone, Debug)]
pub struct Problem {
    pub rows: Vec<Row>,
    pub offers: Vec<Offer>,
    /// Nodes of all offers together.
    pub limit: u32,
    /// How much may be weighed, in rows looked at for a pattern: once it is spent, what is left is bought in the first
    /// way that comes.
    pub effort: u64,
    /// What may stay unsaved, as a part of the price of all nodes: the search ends where it could save less.
    pub gap: f64,
}
