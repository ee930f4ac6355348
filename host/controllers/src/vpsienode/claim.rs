//! Which listed machine belongs to which order. VPSie does not say: it answers `true` and lists a machine
//! later, under a name of its own. Orders of one size are alike, so any of its new machines serves any of them.

use autoscaler_cluster::ObjectKey;
use std::collections::{BTreeMap, BTreeSet};
use vpsie_client::{NodeRole, ProviderNode};

/// An order that was sent, or may have been sent, and has no machine yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) key: ObjectKey,
    /// Number of the size that was ordered.
    pub(crate) size: i64,
    pub(crate) requested_ms: i64,
    /// False for an order whose answer was lost: it comes after those that surely went through.
    pub(crate) accepted: bool,
}

/// What a machine is known by: the provider's identifier, or its name where that is missing.
pub(crate) fn identity(row: &ProviderNode) -> String {
    row.identifier
        .as_ref()
        .map_or_else(|| row.name_key(), |id| id.as_str().to_owned())
}

/// The size of a machine, where its row tells enough.
pub(crate) type SizeOf<'a> = &'a dyn Fn(&ProviderNode) -> Option<i64>;

/// Gives new machines to orders. A machine is new if it is surely a worker and neither was there before
/// (`foreign`) nor belongs to somebody (`owned`). Older orders first, lost ones last; each machine once.
pub(crate) fn claim<'a>(
    rows: &'a [ProviderNode],
    orders: &[Order],
    foreign: &BTreeSet<String>,
    owned: &BTreeSet<String>,
    size_of: SizeOf<'_>,
) -> BTreeMap<ObjectKey, &'a ProviderNode> {
    let is_new = |row: &&ProviderNode| {
        let known = [identity(row), row.name_key()];
        row.role == NodeRole::Worker
            && !known
                .iter()
                .any(|name| foreign.contains(name) || owned.contains(name))
    };
    let mut free: Vec<&ProviderNode> = rows.iter().filter(is_new).collect();
    free.sort_by_key(|row| (row.id, row.name_key()));
    let mut orders: Vec<&Order> = orders.iter().collect();
    orders.sort_by_key(|order| (!order.accepted, order.requested_ms, &order.key));
    let mut claims = BTreeMap::new();
    for order in orders {
        // A row that does not tell its size fits any order; the ledger then admits one size at a time.
        let fits = |row: &&ProviderNode| size_of(row).is_none_or(|size| size == order.size);
        if let Some(at) = free.iter().position(fits) {
            claims.insert(order.key.clone(), free.remove(at));
        }
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64, name: &str, role: NodeRole, cpu: Option<u32>) -> ProviderNode {
        ProviderNode {
            id: Some(id),
            identifier: Some(format!("uuid-{id}").as_str().into()),
            hostname: name.to_owned(),
            address: None,
            private_address: None,
            role,
            status: None,
            cpu,
            memory_mib: None,
            disk_gib: None,
            created_on: None,
        }
    }

    fn order(name: &str, size: i64, requested_ms: i64, accepted: bool) -> Order {
        Order {
            key: ObjectKey::new("ns", name),
            size,
            requested_ms,
            accepted,
        }
    }

    #[test]
    fn machines_go_to_the_orders_that_they_can_belong_to() {
        use NodeRole::{ControlPlane, Unknown, Worker};
        let by_cpu = |row: &ProviderNode| row.cpu.map(i64::from);
        struct Case {
            name: &'static str,
            rows: Vec<ProviderNode>,
            orders: Vec<Order>,
            foreign: Vec<&'static str>,
            owned: Vec<&'static str>,
            want: Vec<(&'static str, i64)>,
        }
        let cases = [
            Case {
                name: "the oldest order gets the oldest machine",
                rows: vec![row(2, "B", Worker, None), row(1, "A", Worker, None)],
                orders: vec![order("late", 1, 20, true), order("early", 1, 10, true)],
                foreign: vec![],
                owned: vec![],
                want: vec![("early", 1), ("late", 2)],
            },
            Case {
                name: "control planes and unknown machines are never ours",
                rows: vec![row(1, "A", ControlPlane, None), row(2, "B", Unknown, None)],
                orders: vec![order("o", 1, 1, true)],
                foreign: vec![],
                owned: vec![],
                want: vec![],
            },
            Case {
                name: "what was there before is not new, by identifier or by name in any case",
                rows: vec![
                    row(1, "A", Worker, None),
                    row(2, "Slave-B", Worker, None),
                    row(3, "C", Worker, None),
                ],
                orders: vec![order("o", 1, 1, true)],
                foreign: vec!["uuid-1", "slave-b"],
                owned: vec![],
                want: vec![("o", 3)],
            },
            Case {
                name: "what has an owner stays with it",
                rows: vec![row(1, "A", Worker, None)],
                orders: vec![order("o", 1, 1, true)],
                foreign: vec![],
                owned: vec!["uuid-1"],
                want: vec![],
            },
            Case {
                name: "sizes are kept apart",
                rows: vec![row(1, "A", Worker, Some(8)), row(2, "B", Worker, Some(4))],
                orders: vec![order("four", 4, 1, true), order("eight", 8, 2, true)],
                foreign: vec![],
                owned: vec![],
                want: vec![("eight", 1), ("four", 2)],
            },
            Case {
                name: "an order whose answer was lost comes last",
                rows: vec![row(1, "A", Worker, None)],
                orders: vec![order("lost", 1, 1, false), order("sure", 1, 2, true)],
                foreign: vec![],
                owned: vec![],
                want: vec![("sure", 1)],
            },
        ];
        for case in cases {
            let set = |names: &[&str]| {
                names
                    .iter()
                    .map(|name| (*name).to_owned())
                    .collect::<BTreeSet<_>>()
            };
            let got = claim(
                &case.rows,
                &case.orders,
                &set(&case.foreign),
                &set(&case.owned),
                &by_cpu,
            );
            let got: Vec<_> = got
                .iter()
                .map(|(key, row)| (key.name.as_str(), row.id.unwrap()))
                .collect();
            assert_eq!(got, case.want, "{}", case.name);
        }
    }
}
