//! Two pods of a node must not mount the same in-line disk, unless both only read it.

use crate::model::{ClassId, Disk, NodeId};
use crate::packing::{Holding, State};

pub(super) fn allows(state: &State, class: ClassId, node: NodeId) -> bool {
    !state.holdings_clash(class, node, |wanted, used| match (wanted, used) {
        (Holding::Disk(wanted), Holding::Disk(used)) => conflict(wanted, used),
        _ => false,
    })
}

fn conflict(one: &Disk, other: &Disk) -> bool {
    one.name == other.name && !(one.read_only && other.read_only)
}

#[cfg(test)]
mod tests {
    use crate::decision::Cause;
    use crate::model::Disk;
    use crate::testing::{Cluster, pod};

    #[test]
    fn cases() {
        let disk = |name: &str, read_only| Disk {
            name: name.into(),
            read_only,
        };
        for (running, wanted, expected, why) in [
            (vec![], vec![disk("a", false)], true, "a disk that nobody mounts"),
            (vec![disk("a", false)], vec![], true, "a pod without disks"),
            (
                vec![disk("a", false)],
                vec![disk("a", false)],
                false,
                "two writers",
            ),
            (
                vec![disk("a", true)],
                vec![disk("a", false)],
                false,
                "a writer beside a reader",
            ),
            (
                vec![disk("a", false)],
                vec![disk("a", true)],
                false,
                "a reader beside a writer",
            ),
            (vec![disk("a", true)], vec![disk("a", true)], true, "two readers"),
            (vec![disk("a", false)], vec![disk("b", false)], true, "two disks"),
            (
                vec![disk("a", false), disk("b", true)],
                vec![disk("c", false), disk("b", false)],
                false,
                "one of several",
            ),
        ] {
            let mut cluster = Cluster::default();
            let (here, there) = (cluster.node("here", 4000), cluster.node("there", 4000));
            let other = cluster.class(pod(100).with(|class| class.disks = running));
            cluster.bound(other, here);
            let class = cluster.class(pod(100).with(|class| class.disks = wanted));
            let state = cluster.state();
            let found = state.fits(class, here);
            assert_eq!(
                found,
                if expected { Ok(()) } else { Err(Cause::Volumes) },
                "{why}"
            );
            assert_eq!(state.fits(class, there), Ok(()), "{why}: another node");
        }
    }
}
