use proptest::prelude::*;

use super::*;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn call(breaker: &mut Breaker, outcome: Outcome, now: Duration) -> Option<Transition> {
    match breaker.admit(now) {
        Admission::Allowed(permit, _) => breaker.record(&permit, outcome, now),
        Admission::Refused(_) => None,
    }
}

#[test]
fn five_failures_in_a_row_open_it_and_one_good_probe_closes_it() {
    let mut breaker = Breaker::new(BreakerSettings::default());
    for _ in 0..4 {
        assert_eq!(call(&mut breaker, Outcome::Failed, s(0)), None);
    }
    let opened = Transition {
        from: BreakerState::Closed,
        to: BreakerState::Open,
    };
    assert_eq!(call(&mut breaker, Outcome::Failed, s(1)), Some(opened));
    assert_eq!(breaker.admit(s(30)), Admission::Refused(s(1)));

    let Admission::Allowed(probe, Some(half)) = breaker.admit(s(31)) else {
        panic!("no probe")
    };
    assert_eq!(
        half,
        Transition {
            from: BreakerState::Open,
            to: BreakerState::HalfOpen
        }
    );
    assert!(
        matches!(breaker.admit(s(31)), Admission::Refused(_)),
        "one probe at a time"
    );
    assert_eq!(
        breaker.record(&probe, Outcome::Healthy, s(32)).unwrap().to,
        BreakerState::Closed
    );
    // The slate is clean: it takes five again.
    for _ in 0..4 {
        assert_eq!(call(&mut breaker, Outcome::Failed, s(33)), None);
    }
    assert!(call(&mut breaker, Outcome::Failed, s(33)).is_some());
}

#[test]
fn a_failed_probe_opens_it_for_another_full_time() {
    let mut breaker = Breaker::new(BreakerSettings {
        consecutive_failures: 1,
        ..Default::default()
    });
    call(&mut breaker, Outcome::Failed, s(0));
    assert_eq!(
        call(&mut breaker, Outcome::Failed, s(30)).unwrap().to,
        BreakerState::Open
    );
    assert_eq!(breaker.admit(s(59)), Admission::Refused(s(1)));
    assert!(matches!(breaker.admit(s(60)), Admission::Allowed(..)));
}

#[test]
fn an_abandoned_probe_makes_room_for_the_next() {
    let mut breaker = Breaker::new(BreakerSettings {
        consecutive_failures: 1,
        ..Default::default()
    });
    call(&mut breaker, Outcome::Failed, s(0));
    assert_eq!(call(&mut breaker, Outcome::Abandoned, s(30)), None);
    assert!(matches!(breaker.admit(s(30)), Admission::Allowed(..)));
}

#[test]
fn a_late_report_from_before_the_change_counts_for_nothing() {
    let mut breaker = Breaker::new(BreakerSettings {
        consecutive_failures: 1,
        ..Default::default()
    });
    let Admission::Allowed(slow, _) = breaker.admit(s(0)) else {
        panic!("refused")
    };
    call(&mut breaker, Outcome::Failed, s(0));
    assert_eq!(breaker.record(&slow, Outcome::Healthy, s(1)), None);
    assert_eq!(breaker.state(), BreakerState::Open);
}

#[test]
fn the_rate_opens_it_only_with_enough_calls_within_the_window() {
    let settings = BreakerSettings {
        consecutive_failures: 0,
        failure_rate: 0.5,
        minimum_calls: 4,
        window: s(10),
        open_for: s(30),
    };
    let mut breaker = Breaker::new(settings.clone());
    for (at, outcome, opens) in [
        (0, Outcome::Failed, false),
        (1, Outcome::Healthy, false),
        (2, Outcome::Healthy, false),
        (3, Outcome::Failed, true),
    ] {
        assert_eq!(call(&mut breaker, outcome, s(at)).is_some(), opens, "at {at}");
    }
    let mut breaker = Breaker::new(settings);
    for at in [0, 20, 40, 60, 80] {
        assert_eq!(
            call(&mut breaker, Outcome::Failed, s(at)),
            None,
            "too few within the window"
        );
    }
}

/// What opens a closed breaker, in the plainest way to say it.
fn opens(settings: &BreakerSettings, calls: &[(Duration, bool)]) -> bool {
    let Some((now, true)) = calls.last().copied() else {
        return false;
    };
    let in_a_row = calls.iter().rev().take_while(|(_, failed)| *failed).count();
    let recent: Vec<bool> = calls
        .iter()
        .filter(|(at, _)| *at + settings.window >= now)
        .map(|(_, failed)| *failed)
        .collect();
    let failed = recent.iter().filter(|failed| **failed).count();
    let share = failed as f64 / recent.len() as f64;
    let by_run = settings.consecutive_failures > 0 && in_a_row >= settings.consecutive_failures as usize;
    by_run || (recent.len() >= settings.minimum_calls as usize && share >= settings.failure_rate)
}

proptest! {
    /// Against any interleaving of calls: at most one probe runs, nothing is let through while open,
    /// and once the server is healthy one probe after the waiting time closes the breaker.
    #[test]
    fn it_never_floods_and_always_recovers(
        steps in proptest::collection::vec((0u64..20, 0u8..4, 0usize..8), 1..200)
    ) {
        let settings = BreakerSettings { consecutive_failures: 3, ..Default::default() };
        let open_for = settings.open_for;
        let mut breaker = Breaker::new(settings);
        let mut now = Duration::ZERO;
        let mut running: Vec<(Permit, BreakerState)> = Vec::new();
        let mut opened_at = None;
        for (advance, action, which) in steps {
            now += s(advance);
            let before = breaker.state();
            if action == 0 || running.is_empty() {
                match breaker.admit(now) {
                    Admission::Allowed(permit, _) => {
                        if before == BreakerState::Open {
                            prop_assert!(now >= opened_at.unwrap_or(now) + open_for);
                        }
                        running.push((permit, breaker.state()));
                    }
                    Admission::Refused(wait) => {
                        prop_assert!(before != BreakerState::Closed);
                        prop_assert!(wait > Duration::ZERO && wait <= open_for);
                    }
                }
            } else {
                let (permit, _) = running.swap_remove(which % running.len());
                let outcome = [Outcome::Healthy, Outcome::Failed, Outcome::Abandoned][action as usize - 1];
                if let Some(change) = breaker.record(&permit, outcome, now) {
                    prop_assert_ne!(change.from, change.to);
                    opened_at = (change.to == BreakerState::Open).then_some(now);
                }
            }
            let probes = running.iter().filter(|(permit, state)| {
                *state == BreakerState::HalfOpen && permit.generation == breaker.generation
            }).count();
            prop_assert!(probes <= 1);
        }
        for (permit, _) in running {
            breaker.record(&permit, Outcome::Abandoned, now);
        }
        now += open_for;
        call(&mut breaker, Outcome::Healthy, now);
        prop_assert_eq!(breaker.state(), BreakerState::Closed);
    }

    /// It opens exactly when one of its two conditions says so, whatever they are set to.
    #[test]
    fn it_opens_when_a_condition_holds_and_not_before(
        consecutive_failures in 0u32..6,
        failure_rate in prop_oneof![Just(0.25), Just(0.5), Just(0.75), Just(2.0)],
        minimum_calls in 1u32..12,
        calls in proptest::collection::vec((0u64..15, any::<bool>()), 1..80)
    ) {
        let settings = BreakerSettings {
            consecutive_failures,
            failure_rate,
            minimum_calls,
            ..BreakerSettings::default()
        };
        let mut breaker = Breaker::new(settings.clone());
        let mut made = Vec::new();
        let mut now = Duration::ZERO;
        for (advance, failed) in calls {
            now += s(advance);
            made.push((now, failed));
            let outcome = if failed { Outcome::Failed } else { Outcome::Healthy };
            let change = call(&mut breaker, outcome, now);
            prop_assert_eq!(change.is_some(), opens(&settings, &made), "{:?}", made);
            if change.is_some() {
                break;
            }
        }
    }
}
