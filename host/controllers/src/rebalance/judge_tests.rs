use super::*;
use autoscaler_api::autoscaler_config::Rebalancer;

const NODE: NodeView = NodeView {
    cordoned: true,
    marked: true,
    ours: true,
};
const VPSIE_NODE: VpsieNodeView = VpsieNodeView {
    leaving: false,
    marked: true,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000 + second).unwrap()
}

/// A drained node whose step began at 0, seen at `now`.
fn view(now: i64) -> View {
    let (node, vpsie_node) = (Some(NODE), Some(VPSIE_NODE));
    View {
        node,
        vpsie_node,
        pods: Vec::new(),
        waiting: Vec::new(),
        began: Some(at(0)),
        now: at(now),
    }
}

fn pod(name: &str, leaving: bool) -> PodView {
    PodView {
        namespace: "team".to_owned(),
        name: name.to_owned(),
        leaving,
        forbids: None,
    }
}

fn step(action: StepAction) -> PlannedStep {
    PlannedStep {
        id: "1".to_owned(),
        action,
        node: Some("n1".to_owned()),
        vpsie_node: Some("v1".to_owned()),
        node_group: None,
        offering_id: None,
        inverse: None,
        reason: None,
    }
}

/// The move in one word, and its text.
fn words(action: StepAction, view: &View) -> (&'static str, String) {
    match judge(&step(action), view, &Rebalancer::default().settings().unwrap()) {
        Move::Act(Act::Cordon) => ("cordon", String::new()),
        Move::Act(Act::Uncordon) => ("uncordon", String::new()),
        Move::Act(Act::Evict(pods)) => ("evict", named(&pods.iter().map(PodView::key).collect::<Vec<_>>())),
        Move::Act(Act::Delete) => ("delete", String::new()),
        Move::Settled(Verdict::Done(text)) => ("done", text),
        Move::Settled(Verdict::Wait(text, _)) => ("wait", text),
        Move::Settled(Verdict::Stop(trigger)) => ("stop", format!("{} {trigger}", trigger.reason())),
    }
}

#[test]
fn every_step_has_one_next_move_in_every_situation() {
    use StepAction::{Cordon, Drain, Remove, Uncordon, Verify};
    let full = |pods: Vec<PodView>, now| View { pods, ..view(now) };
    let uncordoned = Some(NodeView {
        cordoned: false,
        ..NODE
    });
    let cleared = Some(NodeView {
        marked: false,
        ..NODE
    });
    let foreign = Some(NodeView { ours: false, ..NODE });
    let leaving = Some(VpsieNodeView {
        leaving: true,
        ..VPSIE_NODE
    });
    let forbidden = PodView {
        forbids: Some("pod a carries a no".to_owned()),
        ..pod("a", false)
    };
    let waiting = |created, now| View {
        waiting: vec![("team/w".to_owned(), at(created))],
        ..view(now)
    };
    let table = [
        (
            Cordon,
            View {
                node: uncordoned,
                ..view(0)
            },
            "cordon",
            "",
        ),
        (
            Cordon,
            View {
                node: cleared,
                ..view(0)
            },
            "cordon",
            "",
        ),
        (
            Cordon,
            View {
                vpsie_node: Some(VpsieNodeView {
                    marked: false,
                    ..VPSIE_NODE
                }),
                ..view(0)
            },
            "cordon",
            "",
        ),
        (Cordon, view(0), "done", "cordoned"),
        (
            Cordon,
            View {
                node: None,
                ..view(0)
            },
            "done",
            "no Node",
        ),
        (Uncordon, view(0), "uncordon", ""),
        (
            Uncordon,
            View {
                node: foreign,
                ..view(0)
            },
            "done",
            "not cordoned by this operation",
        ),
        (
            Drain,
            full(vec![pod("a", true), pod("b", false)], 5),
            "evict",
            "team/b",
        ),
        (Drain, full(vec![pod("a", true)], 5), "wait", "leaving: team/a"),
        (Drain, full(vec![pod("a", true)], 299), "wait", "team/a"),
        (
            Drain,
            full(vec![pod("a", true)], 300),
            "stop",
            "DrainTimeout drain timeout of 300s exceeded on node n1: team/a",
        ),
        (Drain, full(vec![pod("a", false)], 300), "stop", "DrainTimeout"),
        (
            Drain,
            full(vec![forbidden], 5),
            "stop",
            "EvictionForbidden node n1 may not be drained: pod a carries a no",
        ),
        (
            Drain,
            View {
                node: uncordoned,
                ..full(vec![pod("a", false)], 5)
            },
            "stop",
            "UncordonedByOperator",
        ),
        (
            Drain,
            View {
                node: cleared,
                ..view(5)
            },
            "stop",
            "StateClearedByOperator",
        ),
        (
            Drain,
            View {
                node: None,
                ..view(5)
            },
            "done",
            "no Node",
        ),
        (
            Drain,
            View {
                vpsie_node: leaving,
                ..full(vec![pod("a", false)], 5)
            },
            "done",
            "drains by itself",
        ),
        (
            Drain,
            View {
                vpsie_node: None,
                ..view(5)
            },
            "done",
            "drains by itself",
        ),
        (Drain, view(900), "done", "drained"),
        (Drain, waiting(1, 30), "wait", "waiting for a place: team/w"),
        (
            Drain,
            waiting(1, 31),
            "stop",
            "PodWithoutPlace pod team/w finds no place",
        ),
        (Verify, waiting(1, 30), "wait", "team/w"),
        (Verify, view(5), "done", "no pod waits"),
        (Remove, view(5), "delete", ""),
        (
            Remove,
            View {
                node: None,
                ..view(5)
            },
            "delete",
            "",
        ),
        (
            Remove,
            View {
                vpsie_node: leaving,
                ..view(5)
            },
            "wait",
            "being removed",
        ),
        (
            Remove,
            View {
                vpsie_node: leaving,
                node: uncordoned,
                ..view(5)
            },
            "wait",
            "being removed",
        ),
        (
            Remove,
            View {
                vpsie_node: None,
                ..view(5)
            },
            "done",
            "gone",
        ),
        (
            Remove,
            View {
                node: uncordoned,
                ..view(5)
            },
            "stop",
            "UncordonedByOperator",
        ),
        (
            Remove,
            full(vec![pod("a", false)], 5),
            "stop",
            "NodeOccupied node n1 has got pods again: team/a",
        ),
        (Remove, waiting(1, 10), "wait", "waiting for a place"),
        (Remove, waiting(1, 40), "stop", "PodWithoutPlace"),
    ];
    for (row, (action, view, word, text)) in table.into_iter().enumerate() {
        let (got, said) = words(action, &view);
        assert_eq!(got, word, "row {row}, {action:?}: {said}");
        assert!(
            said.contains(text),
            "row {row}, {action:?}: {said:?} lacks {text:?}"
        );
    }
}

#[test]
fn long_lists_are_cut() {
    let names: Vec<String> = (0..9).map(|n| format!("p{n}")).collect();
    assert_eq!(named(&names[..3]), "p0, p1, p2");
    assert_eq!(named(&names), "p0, p1, p2 and 6 more");
}
