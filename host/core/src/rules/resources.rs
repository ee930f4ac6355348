//! What the pod requests must be free: each resource that it asks for, and a place in the node's pod count.
//!
//! A resource that is overcommitted does not matter to a pod that asks for none of it.

use crate::model::{ClassId, NodeId};
use crate::packing::State;

pub(super) fn allows(state: &State, class: ClassId, node: NodeId) -> bool {
    let free = state.free(node);
    state.tables().needs[class as usize]
        .iter()
        .all(|&(column, amount)| amount <= free[column])
}

#[cfg(test)]
mod tests {
    use crate::decision::Cause;
    use crate::model::Resources;
    use crate::testing::{Cluster, pod};

    fn amounts(cpu_milli: i64, memory: i64, ephemeral: i64, pods: i64, gpus: i64) -> Resources {
        let extended = if gpus == 0 { vec![] } else { vec![(4, gpus)] };
        Resources {
            cpu_milli,
            memory,
            ephemeral,
            pods,
            extended,
        }
    }

    #[test]
    fn cases() {
        let node = amounts(1000, 1000, 1000, 2, 1);
        for (running, asked, expected, why) in [
            (
                amounts(0, 0, 0, 0, 0),
                amounts(1000, 1000, 1000, 1, 1),
                true,
                "exactly everything",
            ),
            (
                amounts(0, 0, 0, 0, 0),
                amounts(1001, 0, 0, 1, 0),
                false,
                "too much CPU",
            ),
            (
                amounts(0, 0, 0, 0, 0),
                amounts(0, 1001, 0, 1, 0),
                false,
                "too much memory",
            ),
            (
                amounts(0, 0, 0, 0, 0),
                amounts(0, 0, 1001, 1, 0),
                false,
                "too much storage",
            ),
            (
                amounts(0, 0, 0, 0, 0),
                amounts(0, 0, 0, 1, 2),
                false,
                "too many devices",
            ),
            (
                amounts(0, 0, 0, 2, 0),
                amounts(0, 0, 0, 1, 0),
                false,
                "too many pods",
            ),
            (
                amounts(0, 0, 0, 1, 0),
                amounts(0, 0, 0, 1, 0),
                true,
                "the last pod",
            ),
            (
                amounts(400, 0, 0, 1, 0),
                amounts(600, 0, 0, 1, 0),
                true,
                "what is left",
            ),
            (
                amounts(401, 0, 0, 1, 0),
                amounts(600, 0, 0, 1, 0),
                false,
                "less than what is left",
            ),
            (
                amounts(9000, 0, 0, 1, 0),
                amounts(0, 10, 0, 1, 0),
                true,
                "overcommitted in something else",
            ),
            (
                amounts(0, 0, 0, 1, 1),
                amounts(10, 10, 0, 1, 1),
                false,
                "a device in use",
            ),
            (
                amounts(-9000, 0, 0, 1, 0),
                amounts(1001, 0, 0, 1, 0),
                false,
                "a negative request frees nothing",
            ),
            (
                amounts(0, 0, 0, 0, 0),
                amounts(i64::MAX, 0, 0, 1, 0),
                false,
                "an absurd request",
            ),
        ] {
            let mut cluster = Cluster::default();
            cluster.snapshot.resources.intern("gpu");
            let id = cluster.node("n", 0);
            cluster.snapshot.nodes[0].allocatable = node.clone();
            // The class of the running pod carries its whole amount; `pods` beyond one comes as more pods.
            let background = cluster.class(pod(0).with(|class| class.requests = running.clone()));
            let idle = cluster.class(pod(0));
            if running != amounts(0, 0, 0, 0, 0) {
                cluster.bound(background, id);
                (1..running.pods).for_each(|_| cluster.bound(idle, id));
            }
            let class = cluster.class(pod(0).with(|class| class.requests = asked.clone()));
            let found = cluster.state().fits(class, id);
            assert_eq!(
                found,
                if expected { Ok(()) } else { Err(Cause::Resources) },
                "{why}"
            );
        }
    }
}
