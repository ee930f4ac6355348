//! What a decision is made of beside the index: settings, what VPSie offers, and what recent purchases taught.

use crate::context::Context;
use crate::settings::Settings;
use autoscaler_api::conditions::reasons;
use autoscaler_cluster::{Inputs, ObjectKey, View};
use std::collections::BTreeMap;

pub(crate) fn inputs(ctx: &Context, settings: &Settings) -> Inputs {
    let now_ms = (ctx.now)().as_millisecond();
    Inputs {
        view: View::Autoscaler,
        now_ms,
        // Differs from decision to decision, and is the same again when one is replayed.
        seed: now_ms.unsigned_abs(),
        offerings: ctx.catalogue.known_offerings(),
        reserved: settings.reserved.clone(),
        startup_taints: settings.startup_taints.clone(),
        health: ctx.catalogue.health(),
        holds: holds(ctx),
        grace_ms: i64::try_from(settings.pod_grace.as_millis()).unwrap_or(i64::MAX),
        max_cluster_nodes: settings.max_cluster_workers,
        removal_budget: settings.removals_at_once,
        may_replace: settings.may_replace,
        given_up: given_up(ctx),
    }
}

/// Offerings that operations of the past gave up for cheaper ones.
fn given_up(ctx: &Context) -> Vec<(ObjectKey, String, i64)> {
    let rebalances = ctx.index.rebalances();
    let given_up = rebalances
        .iter()
        .flat_map(|rebalance| crate::rebalance::given_up(rebalance));
    given_up.collect()
}

/// Groups of clusters whose quota is used up: nothing is bought for them until the pause ends.
fn holds(ctx: &Context) -> BTreeMap<ObjectKey, (String, String)> {
    let groups = ctx.index.node_groups().into_iter();
    let held = groups.filter_map(|group| {
        let pause = ctx.catalogue.quota_pause(group.spec.quota_scope())?;
        let text = format!(
            "quota exceeded: {}; next try at {}",
            pause.last.message, pause.until
        );
        Some((ObjectKey::of(&*group), (reasons::QUOTA_EXCEEDED.to_owned(), text)))
    });
    held.collect()
}
