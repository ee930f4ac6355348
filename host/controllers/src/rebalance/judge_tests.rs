use super::*;
use autoscaler_api::autoscaler_config::Rebalancer;

const NODE: NodeView = NodeView {
    cordoned: true,
    labelled: true,
    tainted: true,
    ours: true,
    ready: true,
};

fn vpsie_node(phase: Phase) -> VpsieNodeView {
    VpsieNodeView {
        leaving: false,
        marked: true,
        phase,
        error: None,
        seen: Seen::default(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_000 + second).unwrap()
}

/// A drained node whose step began at 0, seen at `now`.
fn view(now: i64) -> View {
    let (node, vpsie_node) = (Some(NODE), Some(vpsie_node(Phase::Ready)));
    View {
        node,
        vpsie_node,
        pods: Vec::new(),
        waiting: Vec::new(),
        deadlocks: Vec::new(),
        no_room: None,
        attached: Vec::new(),
        unhealthy: Vec::new(),
        ordered: false,
        provision_timeout: Duration::from_secs(600),
        began: Some(at(0)),
        now: at(now),
    }
}

fn pod(name: &str, leaving: bool) -> PodView {
    PodView {
        namespace: "team".to_owned(),
        name: name.to_owned(),
        priority: 0,
        leaving,
        forbids: None,
        successor: None,
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
        kube_size_id: None,
        replaces: Vec::new(),
        batch: None,
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
        Move::Act(Act::Relieve(pods)) => (
            "relieve",
            named(&pods.iter().map(PodView::key).collect::<Vec<_>>()),
        ),
        Move::Act(Act::Delete(_)) => ("delete", String::new()),
        Move::Act(Act::Order) => ("order", String::new()),
        Move::Act(Act::Label) => ("label", String::new()),
        Move::Settled(Verdict::Done(text)) => ("done", text),
        Move::Settled(Verdict::Wait(text, _)) => ("wait", text),
        Move::Settled(Verdict::Stop(trigger)) => ("stop", format!("{} {trigger}", trigger.reason())),
    }
}

#[test]
fn every_step_has_one_next_move_in_every_situation() {
    use StepAction::{Cordon, Drain, Provision, Remove, Uncordon, Verify};
    let full = |pods: Vec<PodView>, now| View { pods, ..view(now) };
    let uncordoned = Some(NodeView {
        cordoned: false,
        ..NODE
    });
    let cleared = Some(NodeView {
        labelled: false,
        ..NODE
    });
    let foreign = Some(NodeView { ours: false, ..NODE });
    let leaving = Some(VpsieNodeView {
        leaving: true,
        ..vpsie_node(Phase::Ready)
    });
    let untouched = NodeView {
        cordoned: false,
        tainted: false,
        ours: false,
        ..NODE
    };
    let fresh = Some(untouched);
    let important = |name: &str, leaving| PodView {
        priority: 1000,
        ..pod(name, leaving)
    };
    let coming = |phase, node, now| View {
        vpsie_node: Some(vpsie_node(phase)),
        node,
        ordered: true,
        ..view(now)
    };
    let failed = VpsieNodeView {
        error: Some("quota exceeded".to_owned()),
        ..vpsie_node(Phase::Failed)
    };
    let mine = NodeView {
        labelled: false,
        ..untouched
    };
    let forbidden = PodView {
        forbids: Some("pod a carries a no".to_owned()),
        ..pod("a", false)
    };
    let relieved = |name: &str, successor| PodView {
        successor: Some(successor),
        ..pod(name, false)
    };
    let deployment = || "web".to_owned();
    let ask = || Successor::Ask {
        deployment: deployment(),
        version: None,
    };
    let rolls = || Successor::Coming {
        deployment: deployment(),
    };
    let drained = |pods| View { pods, ..view(3) };
    let waiting = |created, now| View {
        waiting: vec![("team/w".to_owned(), at(created))],
        ..view(now)
    };
    let table = [
        (
            Drain,
            drained(vec![pod("a", false), relieved("b", ask())]),
            "relieve",
            "team/b",
        ),
        (
            Drain,
            drained(vec![pod("a", false), relieved("b", rolls())]),
            "evict",
            "team/a",
        ),
        (
            Drain,
            drained(vec![pod("a", true), relieved("b", rolls())]),
            "wait",
            "their successors start elsewhere first: team/b",
        ),
        (
            Drain,
            drained(vec![relieved(
                "b",
                Successor::Refused {
                    why: "no rights".to_owned(),
                },
            )]),
            "wait",
            "blocked: team/b: no rights",
        ),
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
            "stop",
            "StateClearedByOperator",
        ),
        (
            Cordon,
            View {
                node: fresh,
                vpsie_node: Some(VpsieNodeView {
                    marked: false,
                    ..vpsie_node(Phase::Ready)
                }),
                ..view(0)
            },
            "stop",
            "StateClearedByOperator",
        ),
        (
            Cordon,
            View {
                node: fresh,
                deadlocks: vec!["budget web allows none".to_owned()],
                ..view(0)
            },
            "stop",
            "DisruptionBudgetDeadlock",
        ),
        (
            Cordon,
            View {
                node: fresh,
                no_room: Some("2 pods find no other place".to_owned()),
                ..view(0)
            },
            "stop",
            "NoPlaceForPods",
        ),
        (
            Cordon,
            View {
                node: fresh,
                ..full(vec![forbidden.clone()], 0)
            },
            "stop",
            "EvictionForbidden",
        ),
        (
            Provision,
            View {
                vpsie_node: None,
                ..view(0)
            },
            "order",
            "",
        ),
        (
            Provision,
            View {
                vpsie_node: None,
                ordered: true,
                ..view(0)
            },
            "stop",
            "ReplacementDeletedByOperator",
        ),
        (
            Provision,
            coming(Phase::Provisioning, None, 5),
            "wait",
            "Provisioning",
        ),
        (
            Provision,
            coming(Phase::Provisioning, None, 600),
            "stop",
            "ProvisioningFailed",
        ),
        (Provision, coming(Phase::Ready, Some(mine), 5), "label", ""),
        (Provision, coming(Phase::Ready, fresh, 5), "done", "Ready"),
        (
            Provision,
            View {
                vpsie_node: Some(failed),
                ..view(5)
            },
            "stop",
            "ProvisioningFailed provisioning of the replacement v1 failed: quota exceeded",
        ),
        (
            Provision,
            View {
                vpsie_node: leaving.clone(),
                ..view(5)
            },
            "stop",
            "ReplacementDeletedByOperator",
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
        (
            Drain,
            full(vec![pod("a", false)], 1),
            "wait",
            "waits for pods under way",
        ),
        (
            Drain,
            full(vec![important("dns", false), pod("a", false)], 5),
            "evict",
            "team/a",
        ),
        (
            Drain,
            full(vec![important("dns", false), pod("a", true)], 5),
            "wait",
            "leaving: ",
        ),
        (Drain, full(vec![important("dns", false)], 5), "evict", "team/dns"),
        (
            Drain,
            View {
                attached: vec!["disk".to_owned()],
                ..view(5)
            },
            "wait",
            "being detached: disk",
        ),
        (
            Drain,
            View {
                attached: vec!["disk".to_owned()],
                ..view(300)
            },
            "done",
            "drained",
        ),
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
                vpsie_node: leaving.clone(),
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
        (
            Verify,
            View {
                unhealthy: vec!["web has 1 of 2".to_owned()],
                ..view(5)
            },
            "wait",
            "become ready: web",
        ),
        (
            Verify,
            View {
                unhealthy: vec!["web has 1 of 2".to_owned()],
                ..view(300)
            },
            "stop",
            "WorkloadsUnhealthy",
        ),
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
                vpsie_node: leaving.clone(),
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
