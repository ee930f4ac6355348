//! Makes a cluster as small as it can be and still show the same: lists lose their halves, then their members; counts
//! shrink; fields go.
//!
//! Which steps are tried is a function of the cluster and of what the tries answer, and their number is bounded.

use serde_json::{Map, Value};

/// Lists of a cluster that may lose members, in the order in which that is worth most.
const LISTS: [&str; 6] = ["pods", "nodes", "budgets", "daemons", "groups", "offerings"];
/// What says where a thing belongs stays: without it the cluster means something else, or nothing.
const FIXED: [&str; 5] = ["name", "group", "offering", "node", "cpu"];

/// The smallest cluster on the way for which `still_fails` holds.
pub(super) fn minimise(cluster: &Value, tries: u32, still_fails: &mut dyn FnMut(&Value) -> bool) -> Value {
    let mut search = Search {
        best: cluster.clone(),
        tries,
        still_fails,
    };
    loop {
        let before = search.best.clone();
        for list in LISTS {
            search.shorten(list);
        }
        for list in LISTS {
            search.simplify(list);
        }
        search.strip_top();
        if search.best == before || search.tries == 0 {
            return search.best;
        }
    }
}

struct Search<'a> {
    best: Value,
    tries: u32,
    still_fails: &'a mut dyn FnMut(&Value) -> bool,
}

impl Search<'_> {
    /// Takes the candidate if it shows the same.
    fn take(&mut self, candidate: Value) -> bool {
        if self.tries == 0 || candidate == self.best {
            return false;
        }
        self.tries -= 1;
        let takes = (self.still_fails)(&candidate);
        if takes {
            self.best = candidate;
        }
        takes
    }

    fn length(&self, list: &str) -> usize {
        self.best[list].as_array().map_or(0, Vec::len)
    }

    /// Cuts parts out of a list, large ones first.
    fn shorten(&mut self, list: &str) {
        let mut part = self.length(list);
        while part > 0 {
            let mut from = 0;
            while from < self.length(list) {
                let mut candidate = self.best.clone();
                if let Some(members) = candidate[list].as_array_mut() {
                    let end = (from + part).min(members.len());
                    members.drain(from..end);
                }
                if !self.take(candidate) {
                    from += part;
                }
            }
            part /= 2;
        }
    }

    /// Takes fields away from the members of a list, and makes counts smaller.
    fn simplify(&mut self, list: &str) {
        for place in 0..self.length(list) {
            let fields: Vec<String> = fields(&self.best[list][place]);
            for field in fields {
                let mut candidate = self.best.clone();
                if field == "count" {
                    candidate[list][place]["count"] = 1.into();
                    if self.take(candidate) {
                        continue;
                    }
                    self.halve(list, place);
                    continue;
                }
                if let Some(member) = candidate[list][place].as_object_mut() {
                    member.remove(&field);
                }
                self.take(candidate);
            }
        }
    }

    fn halve(&mut self, list: &str, place: usize) {
        while let Some(count) = self.best[list][place]["count"]
            .as_u64()
            .filter(|count| *count > 1)
        {
            let mut candidate = self.best.clone();
            candidate[list][place]["count"] = (count / 2).into();
            if !self.take(candidate) {
                return;
            }
        }
    }

    /// Limits and the like of the whole cluster.
    fn strip_top(&mut self) {
        for field in fields(&self.best) {
            let mut candidate = self.best.clone();
            if let Some(cluster) = candidate.as_object_mut() {
                cluster.remove(&field);
            }
            self.take(candidate);
        }
    }
}

/// Fields that may go.
fn fields(value: &Value) -> Vec<String> {
    let object = value.as_object();
    let names = object.into_iter().flat_map(Map::keys);
    names
        .filter(|name| !FIXED.contains(&name.as_str()))
        .cloned()
        .collect()
}
