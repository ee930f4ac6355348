//! A `ReadWriteOncePod` claim is for one pod: while another uses it, no node will do.

use crate::model::{ClassId, NodeId};
use crate::packing::State;

pub(super) fn allows(state: &State, class: ClassId, _: NodeId) -> bool {
    let claims = &state.tables().possessions.of(class).claims;
    claims.iter().all(|claim| state.claim_users(*claim) == 0)
}

#[cfg(test)]
mod tests {
    use crate::decision::Cause;
    use crate::model::PodClass;
    use crate::testing::{Cluster, pod};

    fn claiming(claims: &[&str]) -> PodClass {
        pod(100)
            .with(|class| class.exclusive_claims = claims.iter().map(|claim| (*claim).to_owned()).collect())
    }

    #[test]
    fn cases() {
        let elsewhere = |mut class: PodClass| {
            class.namespace = "other".into();
            class
        };
        for (running, waiting, expected, why) in [
            (
                claiming(&[]),
                claiming(&["data"]),
                true,
                "a claim that nobody uses",
            ),
            (claiming(&["data"]), claiming(&[]), true, "a pod without claims"),
            (claiming(&["data"]), claiming(&["data"]), false, "a claim in use"),
            (claiming(&["data"]), claiming(&["logs"]), true, "another claim"),
            (
                claiming(&["data"]),
                claiming(&["logs", "data"]),
                false,
                "one of two",
            ),
            (
                elsewhere(claiming(&["data"])),
                claiming(&["data"]),
                true,
                "a claim of that name in another namespace",
            ),
            (
                claiming(&["data"]).with(|class| class.terminating = true),
                claiming(&["data"]),
                false,
                "used to the end",
            ),
        ] {
            let mut cluster = Cluster::default();
            let nodes = [cluster.node("here", 4000), cluster.node("there", 4000)];
            let running = cluster.class(running);
            cluster.bound(running, nodes[0]);
            let class = cluster.class(waiting);
            let state = cluster.state();
            for node in nodes {
                let expected = if expected { Ok(()) } else { Err(Cause::Volumes) };
                assert_eq!(state.fits(class, node), expected, "{why}, node {node}");
            }
        }
    }

    #[test]
    fn a_claim_is_free_once_its_user_has_lost_its_node() {
        let mut cluster = Cluster::default();
        let (here, there) = (cluster.node("here", 4000), cluster.node("there", 4000));
        let class = cluster.class(claiming(&["data"]));
        cluster.bound(class, here);
        let mut state = cluster.state();
        let mark = state.mark();
        state.remove_node(here);
        assert_eq!(state.try_place(class, there), Ok(()));
        assert_eq!(state.try_place(class, there), Err(Cause::Volumes));
        state.rollback(mark);
        assert_eq!(state.fits(class, there), Err(Cause::Volumes));
    }
}
