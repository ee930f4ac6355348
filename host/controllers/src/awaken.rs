//! Wakes what waited for VPSie: when a circuit breaker opens or closes, or the credentials change, groups show it at
//! once, and as soon as all is well nobody waits out a pause. Purchases that did not help are shown at once, too.

use crate::context::Context;
use crate::runtime::queue::Queue;
use autoscaler_api::vpsie_node::Phase;
use autoscaler_cluster::ObjectKey;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Runs until `shutdown`.
pub(crate) async fn run(
    ctx: Arc<Context>,
    groups: Arc<Queue<ObjectKey>>,
    nodes: Arc<Queue<ObjectKey>>,
    shutdown: CancellationToken,
) {
    let (mut changes, mut futile) = (ctx.vpsie.changes(), ctx.futile.changes());
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            changed = futile.changed() => {
                if changed.is_err() {
                    return;
                }
                for group in ctx.index.node_groups() {
                    groups.add(ObjectKey::of(&*group));
                }
                continue;
            }
        }
        let well = ctx.vpsie.broken().is_empty() && ctx.vpsie.credentials_status().valid != Some(false);
        for group in ctx.index.node_groups() {
            let key = ObjectKey::of(&*group);
            if well { groups.wake(key) } else { groups.add(key) }
        }
        let waiting = ctx.index.vpsie_nodes();
        let waiting = waiting
            .iter()
            .filter(|node| node.phase() != Phase::Ready || node.metadata.deletion_timestamp.is_some());
        for node in waiting.filter(|_| well) {
            nodes.wake(ObjectKey::of(&**node));
        }
    }
}
