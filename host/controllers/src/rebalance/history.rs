//! Operations that are over: the newest are kept, as Jobs keep theirs, and older ones are deleted. What somebody still
//! needs stays: the memory of what was given up, and what tells a person how to undo by hand.

use super::{Rules, Tools, abandoned, given_up};
use crate::error::Error;
use autoscaler_api::rebalance::Rebalance;
use autoscaler_cluster::ObjectKey;
use jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, ResourceExt};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How long an operation is kept that gave up an offering for a cheaper one: policies do not buy it back meanwhile.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24);

/// Deletes what is too much.
pub(super) async fn prune(tools: &Tools) -> Result<(), Error> {
    // Settings that cannot be read delete nothing.
    let limit = Rules::of(tools)?.rebalancer.history_limit;
    let spoken_of = abandoned::spoken_of(tools);
    for rebalance in surplus(tools.index.rebalances(), limit, &spoken_of, (tools.now)()) {
        let key = ObjectKey::of(&*rebalance);
        let api = Api::<Rebalance>::namespaced(tools.effects.clone(), &key.namespace);
        let params = DeleteParams {
            // One of the same name that was made anew is another operation.
            preconditions: Some(Preconditions {
                uid: rebalance.uid(),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match api.delete(&key.name, &params).await {
            Ok(_) => tracing::info!(operation = %key, "rebalance: finished operation deleted"),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => return Err(Error::kubernetes("deleting a finished Rebalance")(error)),
        }
    }
    Ok(())
}

/// The finished operations beyond the newest `limit`, the oldest first.
fn surplus(
    mut rebalances: Vec<Arc<Rebalance>>,
    limit: usize,
    spoken_of: &BTreeSet<ObjectKey>,
    now: Timestamp,
) -> Vec<Arc<Rebalance>> {
    rebalances.retain(|rebalance| {
        let status = rebalance.status.as_ref();
        status.is_some_and(|status| status.phase.is_final())
            && rebalance.metadata.deletion_timestamp.is_none()
    });
    rebalances.sort_by_cached_key(|rebalance| (ended(rebalance), ObjectKey::of(&**rebalance)));
    rebalances.truncate(rebalances.len().saturating_sub(limit));
    rebalances.retain(|rebalance| {
        let recent = ended(rebalance).is_some_and(|ended| now.duration_since(ended) < REMEMBERED);
        let remembers = recent && !given_up(rebalance).is_empty();
        !remembers && !spoken_of.contains(&ObjectKey::of(&**rebalance))
    });
    rebalances
}

fn ended(rebalance: &Rebalance) -> Option<Timestamp> {
    let finished = rebalance.status.as_ref()?.finished_at.as_ref();
    finished
        .or(rebalance.metadata.creation_timestamp.as_ref())
        .map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use super::super::{Removal, removal_plan};
    use super::*;
    use autoscaler_api::autoscaler_config::Strategy;
    use autoscaler_api::rebalance::{
        RebalanceKind, RebalancePhase, RebalanceSpec, RebalanceStatus, StepState, StepStatus,
    };
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    /// Ended so many hours ago.
    fn operation(name: &str, kind: RebalanceKind, phase: RebalancePhase, hours: i64) -> Arc<Rebalance> {
        let removal = Removal {
            node: format!("n-{name}"),
            vpsie_node: format!("v-{name}"),
            group: Some("g".to_owned()),
            offering: Some("large".to_owned()),
            reason: String::new(),
        };
        let plan = removal_plan(kind, Strategy::Rolling, &[removal]);
        let mut rebalance = Rebalance::new(name, RebalanceSpec { plan });
        let ended = now() - SignedDuration::from_hours(hours);
        rebalance.metadata.namespace = Some("team".to_owned());
        rebalance.metadata.creation_timestamp = Some(Time(ended));
        rebalance.status = Some(RebalanceStatus {
            phase,
            finished_at: phase.is_final().then_some(Time(ended)),
            steps: vec![StepStatus {
                id: "1-remove".to_owned(),
                state: StepState::Done,
                ..StepStatus::default()
            }],
            ..RebalanceStatus::default()
        });
        Arc::new(rebalance)
    }

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    #[test]
    fn the_oldest_go_and_what_is_needed_stays() {
        use RebalanceKind::{RemoveEmpty, Replace};
        use RebalancePhase::{Completed, Failed, Pending, RolledBack, RollingBack, Running};
        let all = || {
            vec![
                operation("new", RemoveEmpty, Completed, 1),
                operation("old", RemoveEmpty, Completed, 50),
                operation("older", RemoveEmpty, RolledBack, 60),
                operation("oldest", RemoveEmpty, Failed, 70),
                // Not over, however old.
                operation("waits", RemoveEmpty, Pending, 90),
                operation("runs", RemoveEmpty, Running, 90),
                operation("rolls-back", RemoveEmpty, RollingBack, 90),
                // What it gave up is remembered for a day.
                operation("cheaper", Replace, Completed, 23),
                operation("long-ago", Replace, Completed, 25),
            ]
        };
        let cases: [(usize, &[&str], &[&str]); 6] = [
            (200, &[], &[]),
            (6, &[], &[]),
            (5, &[], &["oldest"]),
            (2, &[], &["oldest", "older", "old", "long-ago"]),
            (0, &[], &["oldest", "older", "old", "long-ago", "new"]),
            // Its marks stand: it tells what is to be undone.
            (3, &["oldest"], &["older", "old"]),
        ];
        for (limit, marked, expected) in cases {
            let marked = marked.iter().map(|name| ObjectKey::new("team", *name)).collect();
            let gone = surplus(all(), limit, &marked, now());
            let gone: Vec<String> = gone.iter().map(|rebalance| rebalance.name_any()).collect();
            assert_eq!(gone, expected, "{limit} are kept");
        }
    }
}
