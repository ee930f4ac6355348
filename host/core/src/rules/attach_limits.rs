//! A node attaches so many volumes of a CSI driver and no more. A volume that several pods of the node use is
//! attached once; a pod that brings no new volume is not refused by a node that is over its limit.

use crate::model::{ClassId, NodeId};
use crate::packing::State;

pub(super) fn allows(state: &State, class: ClassId, node: NodeId) -> bool {
    state
        .tables()
        .possessions
        .of(class)
        .attachments
        .iter()
        .all(|wanted| {
            let new = i128::from(wanted.own) + state.not_attached(wanted, node);
            new == 0 || new <= state.attachable(wanted, node)
        })
}

#[cfg(test)]
mod tests {
    use crate::decision::Cause;
    use crate::model::{Attachments, PodClass};
    use crate::testing::{Cluster, pod};

    fn mounting(driver: &str, own: u32, shared: &[&str]) -> PodClass {
        pod(10).with(|class| {
            class.attachments = vec![Attachments {
                driver: driver.into(),
                own,
                shared: shared.iter().map(|name| (*name).to_owned()).collect(),
            }]
        })
    }

    #[test]
    fn cases() {
        let none = || pod(10);
        for (running, waiting, expected, why) in [
            (vec![], mounting("csi", 3, &[]), true, "exactly the limit"),
            (vec![], mounting("csi", 4, &[]), false, "more than the limit"),
            (vec![], mounting("csi", u32::MAX, &[]), false, "an absurd number"),
            (
                vec![mounting("csi", 2, &[])],
                mounting("csi", 1, &[]),
                true,
                "the last one",
            ),
            (
                vec![mounting("csi", 2, &[])],
                mounting("csi", 2, &[]),
                false,
                "one too many",
            ),
            (
                vec![mounting("csi", 3, &[])],
                none(),
                true,
                "a pod without volumes",
            ),
            (
                vec![mounting("csi", 3, &[])],
                mounting("nfs", 9, &[]),
                true,
                "a driver without a limit",
            ),
            (
                vec![mounting("csi", 2, &["a"])],
                mounting("csi", 0, &["a"]),
                true,
                "attached already",
            ),
            (
                vec![mounting("csi", 2, &["a"])],
                mounting("csi", 0, &["b"]),
                false,
                "another one",
            ),
            (
                vec![mounting("csi", 5, &["a"])],
                mounting("csi", 0, &["a"]),
                true,
                "attached already, over the limit",
            ),
            (
                vec![mounting("csi", 0, &["a", "b"]), mounting("csi", 0, &["b", "c"])],
                mounting("csi", 0, &["a", "c"]),
                true,
                "three volumes of two pods",
            ),
            (
                vec![mounting("csi", 0, &["a", "b"]), mounting("csi", 0, &["a", "b"])],
                mounting("csi", 1, &[]),
                true,
                "a shared volume counts once",
            ),
            (
                vec![mounting("csi", 0, &["a", "b"])],
                mounting("csi", 1, &["c"]),
                false,
                "own and shared ones together",
            ),
            (
                vec![mounting("nfs", 0, &["a"])],
                mounting("csi", 2, &["a"]),
                true,
                "a volume of that name of another driver",
            ),
        ] {
            let mut cluster = Cluster::default();
            let node = cluster.node("n", 4000);
            cluster.snapshot.nodes[0].attach_limits = std::sync::Arc::new([("csi".to_owned(), 3)].into());
            let free = cluster.node("without a limit", 4000);
            for class in running {
                let class = cluster.class(class);
                cluster.bound(class, node);
            }
            let class = cluster.class(waiting);
            let state = cluster.state();
            let found = state.fits(class, node);
            assert_eq!(
                found,
                if expected { Ok(()) } else { Err(Cause::Volumes) },
                "{why}"
            );
            assert_eq!(state.fits(class, free), Ok(()), "{why}: a node without a limit");
        }
    }

    #[test]
    fn a_volume_is_attached_until_its_last_user_leaves() {
        let mut cluster = Cluster::default();
        let template = cluster.template("small", 4000, &[]);
        cluster.snapshot.templates[0]
            .attach_limits
            .insert("csi".into(), 1);
        let (a, b) = (
            cluster.class(mounting("csi", 0, &["a"])),
            cluster.class(mounting("csi", 0, &["b"])),
        );
        let mut state = cluster.state();
        let node = state.add_node(template);
        let empty = state.mark();
        assert_eq!(state.try_place(a, node), Ok(()));
        let one = state.mark();
        assert_eq!(state.try_place(a, node), Ok(()));
        assert_eq!(state.fits(b, node), Err(Cause::Volumes));
        state.rollback(one);
        assert_eq!(state.fits(b, node), Err(Cause::Volumes));
        state.rollback(empty);
        assert_eq!(state.fits(b, node), Ok(()));
    }
}
