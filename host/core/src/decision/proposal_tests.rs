//! Nonsense in answers, each kind by its reason.

use super::questions_tests::cluster;
use super::{
    Answer, ClassCount, Demand, GroupDemand, Kept, Mix, Purchase, Reason, RebalanceAction, RebalanceProposal,
    RebalanceStep, Rejection, check_answer, check_demand, propose_growth, propose_removals, questions,
};
use crate::packing::place_pending;

fn reason() -> Reason {
    Reason::new("Test", "")
}

#[test]
fn demands() {
    let placement = place_pending(&cluster().shared());
    let question = questions::scale_up(&placement, &|_| true);
    let wish = |group, pods: &[(u32, u32)]| GroupDemand {
        group,
        pods: pods
            .iter()
            .map(|(class, pods)| ClassCount {
                class: *class,
                pods: *pods,
            })
            .collect(),
        reason: reason(),
    };
    let rejection = |class, group| Rejection {
        class,
        group,
        reason: reason(),
    };
    let coded = |code: &str| GroupDemand {
        reason: Reason::new(code, ""),
        ..wish(0, &[])
    };
    for (groups, rejections, expected, why) in [
        (vec![], vec![], "", "nothing"),
        (
            vec![wish(0, &[(0, 5)]), wish(1, &[])],
            vec![rejection(0, None), rejection(0, Some(1))],
            "",
            "in order",
        ),
        (
            vec![wish(2, &[])],
            vec![],
            "OutOfRange",
            "a group that does not exist",
        ),
        (
            vec![wish(0, &[(1, 1)])],
            vec![],
            "OutOfRange",
            "a class that does not exist",
        ),
        (
            vec![wish(0, &[]), wish(0, &[])],
            vec![],
            "Duplicate",
            "a group twice",
        ),
        (
            vec![wish(0, &[(0, 1), (0, 2)])],
            vec![],
            "Duplicate",
            "a class twice",
        ),
        (
            vec![wish(0, &[(0, u32::MAX)])],
            vec![],
            "Absurd",
            "more pods than there are in the world",
        ),
        (
            vec![],
            vec![rejection(1, None)],
            "OutOfRange",
            "a rejected class that does not exist",
        ),
        (
            vec![],
            vec![rejection(0, Some(2))],
            "OutOfRange",
            "a rejecting group that does not exist",
        ),
        (vec![coded("")], vec![], "BadReason", "no code"),
        (
            vec![coded("not a code")],
            vec![],
            "BadReason",
            "a text for a code",
        ),
        (vec![coded(&"A".repeat(65))], vec![], "BadReason", "a long code"),
    ] {
        let found = check_demand(&question, &Demand { groups, rejections })
            .err()
            .map_or("", |refusal| refusal.reason());
        assert_eq!(found, expected, "{why}");
    }
}

#[test]
fn mixes() {
    let placement = place_pending(&cluster().shared());
    let question = questions::growth(&placement, &|_| true).node_selection(Vec::new());
    let purchase = |template, count, fallbacks: &[u32]| Purchase {
        template,
        count,
        fallbacks: fallbacks.to_vec(),
        reason: reason(),
    };
    for (purchases, expected, why) in [
        (vec![], "", "nothing"),
        (
            vec![purchase(0, 1000, &[1]), purchase(0, 1, &[])],
            "",
            "too much is no nonsense",
        ),
        (
            vec![purchase(3, 1, &[])],
            "OutOfRange",
            "a template that does not exist",
        ),
        (
            vec![purchase(0, 1, &[3])],
            "OutOfRange",
            "a fall-back that does not exist",
        ),
        (
            vec![purchase(0, 1, &[2])],
            "ForeignFallback",
            "a fall-back of another group",
        ),
        (vec![purchase(0, 1, &[0])], "Duplicate", "its own fall-back"),
        (vec![purchase(0, 1, &[1, 1])], "Duplicate", "a fall-back twice"),
        (
            vec![purchase(0, u32::MAX, &[])],
            "Absurd",
            "more nodes than there are in the world",
        ),
        (
            vec![purchase(0, 1, &[]); 100_001],
            "Absurd",
            "more purchases than anybody reads",
        ),
    ] {
        let mix = Mix {
            purchases,
            rejections: Vec::new(),
        };
        let found = propose_growth(&question, &mix)
            .err()
            .map_or("", |refusal| refusal.reason());
        assert_eq!(found, expected, "{why}");
    }
}

#[test]
fn rebalance_proposals() {
    let mut cluster = cluster();
    cluster.managed("b-1", 2);
    let placement = place_pending(&cluster.shared());
    // Row 0 of this fleet is node 1 of the snapshot.
    let question = questions::rebalance(&placement, &|group| group == 1);
    let step = |row| RebalanceStep {
        action: RebalanceAction::Remove(row),
        batch: 3,
        reason: reason(),
    };
    let propose = |steps: Vec<RebalanceStep>, kept: Vec<Kept>| {
        propose_removals(&question, &RebalanceProposal { steps, kept })
    };
    let plan = propose(
        vec![step(0)],
        vec![Kept {
            node: 0,
            reason: reason(),
        }],
    )
    .unwrap();
    assert_eq!(
        plan.actions(),
        [super::Action::Remove {
            node: 1,
            batch: 3,
            reason: reason()
        }]
    );
    assert_eq!(propose(vec![step(1)], vec![]).unwrap_err().reason(), "OutOfRange");
    assert_eq!(
        propose(vec![step(0), step(0)], vec![]).unwrap_err().reason(),
        "Duplicate"
    );
    assert_eq!(
        propose(
            vec![],
            vec![Kept {
                node: 1,
                reason: reason()
            }]
        )
        .unwrap_err()
        .reason(),
        "OutOfRange"
    );
}

#[test]
fn an_answer_to_another_question() {
    let placement = place_pending(&cluster().shared());
    let answers = [
        Answer::ScaleUp(Demand::default()),
        Answer::NodeSelection(Mix::default()),
        Answer::Rebalance(RebalanceProposal::default()),
    ];
    let questions = [
        questions::scale_up(&placement, &|_| true),
        questions::growth(&placement, &|_| true).node_selection(Vec::new()),
        questions::rebalance(&placement, &|_| true),
    ];
    for (asked, question) in questions.iter().enumerate() {
        for (answered, answer) in answers.iter().enumerate() {
            let found = check_answer(question, answer)
                .err()
                .map(|refusal| refusal.reason());
            assert_eq!(found, (asked != answered).then_some("WrongKind"));
        }
    }
}
