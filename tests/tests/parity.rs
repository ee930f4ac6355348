//! Ours and the real kube-scheduler agree on which pod may run on which node.

use anyhow::{Context, Result};
use autoscaler_tests::parity::{
    case,
    compare::{Comparison, compare},
    generate::{Size, cluster},
    oracle::Oracle,
    template,
};

/// The part of the large run (`--example parity`) that every test run repeats.
const SEEDS: std::ops::Range<u64> = 0..12;
/// Those of them that are asked about new nodes as well: each is two clusters.
const NEW_NODES: std::ops::Range<u64> = 0..6;

/// Every disagreement there has been, as it was then; needs no control plane.
#[test]
fn what_once_differed_agrees_now() -> Result<()> {
    let cases = case::all()?;
    assert!(!cases.is_empty(), "there are cases to replay");
    for (name, case) in cases {
        let found = case.replay().with_context(|| format!("replaying {name}"))?;
        assert!(found.pairs > 0, "{name} compares nothing");
        assert!(
            found.disagreements.is_empty(),
            "{name} ({}): {:#?}",
            case.about,
            found.disagreements
        );
    }
    Ok(())
}

/// A seed names the same cluster for ever, or the case files would lie about where they come from.
#[test]
fn a_seed_is_a_cluster() {
    let (once, again) = (cluster(7, Size::default()), cluster(7, Size::default()));
    assert_eq!(once.objects, again.objects);
    assert_ne!(once.objects, cluster(8, Size::default()).objects);
}

/// On nodes that exist, and on nodes that are judged before they do.
#[tokio::test]
async fn the_scheduler_agrees_on_random_clusters() -> Result<()> {
    let oracle = Oracle::start().await?;
    let mut sum = Comparison::default();
    for seed in SEEDS {
        let cluster = cluster(seed, Size::default());
        let mut found = compare(
            &oracle
                .ask(&cluster)
                .await
                .with_context(|| format!("seed {seed}"))?,
        )?;
        if !found.disagreements.is_empty() {
            // Once more: the scheduler may have looked before its own watches had caught up.
            found = compare(
                &oracle
                    .ask(&cluster)
                    .await
                    .with_context(|| format!("seed {seed}"))?,
            )?;
        }
        assert!(
            found.disagreements.is_empty(),
            "seed {seed}: {:#?}",
            found.disagreements
        );
        sum.add(found);
    }
    assert!(sum.pairs > 1000, "{} pairs are no test", sum.pairs);
    let percent = sum.feasible * 100 / sum.pairs;
    assert!(
        (20..=80).contains(&percent),
        "{percent} % feasible: one of the answers is too rare"
    );

    let mut sum = Comparison::default();
    for seed in NEW_NODES {
        let cluster = cluster(seed, Size::default());
        let found = template::ask(&oracle, seed, &cluster)
            .await
            .with_context(|| format!("seed {seed}"))?;
        assert!(
            found.disagreements.is_empty(),
            "seed {seed}, a new node: {:#?}",
            found.disagreements
        );
        sum.add(found);
    }
    assert!(
        sum.feasible > 0 && sum.feasible < sum.pairs,
        "new nodes take some pods and refuse some"
    );
    Ok(())
}
