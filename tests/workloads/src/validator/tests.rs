//! Plans that are right pass; the same plans, broken on purpose, are refused for the rule that was broken.

use super::*;
use crate::cluster::{Cluster, HOSTNAME, ZONE, class, labels, resources, selector};
use crate::diverse;
use autoscaler_core::decision::{Action, Plan, Reason, check_growth};
use autoscaler_core::model::{
    Attachments, Disk, DisruptionBudget, Health, HostPort, Movability, NodeSelector, NodeState,
    PodAffinityTerm, PodClass, PodKey, Resident, SpreadConstraint, Taint, TaintEffect, WhenUnsatisfiable,
};
use autoscaler_core::packing::place_pending;
use proptest::prelude::*;
use std::sync::Arc;

/// The packer's own answer to a drawn cluster: a spot node of 40 cores in each of two zones, an on-demand node in
/// the third, and a node of 4 cores for every pod that wants one of its own.
fn right(seed: u64, pods: u32) -> (Snapshot, Assignment) {
    let snapshot = Arc::new(diverse::drawn(seed, pods));
    let buy = |template: TemplateId, count| Action::Buy {
        template,
        count,
        fallbacks: Vec::new(),
        reason: Reason::new("Test", ""),
    };
    let wishes = [(5 * 39, 1), (5 * 39 + 1, 1), (5 * 39 + 4, 1), (5 * 3, pods / 5)];
    let mut placement = place_pending(&snapshot);
    let proposal = Plan::propose(wishes.map(|(template, count)| buy(template, count)).to_vec());
    let plan = check_growth(&placement, proposal, &|_| true).unwrap();
    let placed = placement.accept(&plan);
    let bought = wishes
        .iter()
        .flat_map(|(template, count)| vec![*template; *count as usize])
        .collect();
    let assignment = Assignment::growth(&snapshot, bought, &placed);
    (Snapshot::clone(&snapshot), assignment)
}

fn rules(snapshot: &Snapshot, plan: &Assignment) -> BTreeSet<Rule> {
    match validate(snapshot, plan) {
        Ok(_) => BTreeSet::new(),
        Err(breaches) => breaches.into_iter().map(|breach| breach.rule).collect(),
    }
}

/// The classes of pods of the plan.
fn classes<'a>(snapshot: &'a Snapshot, plan: &Assignment) -> Vec<&'a PodClass> {
    let class = |(pod, _): &(Who, Home)| &*snapshot.classes[pod.look_up(snapshot).unwrap().1 as usize];
    plan.homes.iter().map(class).collect()
}

/// Breaks the plan; false where this plan has nothing to break.
type Break = fn(&mut Snapshot, &mut Assignment) -> bool;

const BREAKS: [(Rule, Break); 9] = [
    (Rule::Nonsense, |_, plan| {
        let twice = plan.homes[0];
        plan.homes.push(twice);
        true
    }),
    (Rule::Nonsense, |_, plan| {
        plan.homes[0].1 = Home::New(plan.bought.len());
        true
    }),
    (Rule::Resources, |_, plan| {
        plan.homes.iter_mut().for_each(|(_, home)| *home = Home::New(3));
        true
    }),
    (Rule::Taints, |snapshot, plan| {
        for template in &plan.bought {
            snapshot.templates[*template as usize].taints = vec![Taint {
                key: "dedicated".to_owned(),
                value: String::new(),
                effect: TaintEffect::NoExecute,
            }];
        }
        true
    }),
    (Rule::NodeAffinity, |snapshot, plan| {
        let class = plan.homes[0].0.look_up(snapshot).unwrap().1 as usize;
        Arc::make_mut(&mut snapshot.classes[class]).node_selector = labels(&[("disk", "ssd")]);
        true
    }),
    (Rule::PodAntiAffinity, |snapshot, plan| {
        let apart: Vec<usize> = classes(snapshot, plan)
            .iter()
            .enumerate()
            .filter(|(_, class)| !class.pod_anti_affinity.is_empty())
            .map(|(at, _)| at)
            .collect();
        let [first, .., last] = apart.as_slice() else {
            return false;
        };
        plan.homes[*last].1 = plan.homes[*first].1;
        true
    }),
    (Rule::PodAffinity, |snapshot, plan| {
        // The last pod of a letter that another pod has, too, goes to a zone where that one is not.
        let classes = classes(snapshot, plan);
        let zone = |home: Home| match home {
            Home::New(at) => snapshot.templates[plan.bought[at] as usize].datacenter.clone(),
            Home::Existing(_) => String::new(),
        };
        let pair = (0..classes.len()).rev().find_map(|last| {
            let terms = &classes[last].pod_affinity;
            let first =
                (0..last).find(|first| !terms.is_empty() && classes[*first].pod_affinity == *terms)?;
            Some((first, last))
        });
        let Some((first, last)) = pair else { return false };
        let there = zone(plan.homes[first].1);
        let Some(elsewhere) = (0..3).find(|at| zone(Home::New(*at)) != there) else {
            return false;
        };
        plan.homes[last].1 = Home::New(elsewhere);
        true
    }),
    (Rule::Limits, |snapshot, plan| {
        snapshot.groups[0].max = u32::try_from(plan.bought.len() - 1).unwrap();
        true
    }),
    (Rule::Limits, |snapshot, plan| {
        snapshot.templates[plan.bought[0] as usize].backoff_until_ms = Some(snapshot.now_ms + 1);
        true
    }),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn broken_plans_are_refused(seed in any::<u64>(), pods in 20_u32..80) {
        let (snapshot, plan) = right(seed, pods);
        prop_assert_eq!(validate(&snapshot, &plan).map(|verdict| verdict.bought), Ok(plan.bought.len()));
        prop_assert!(plan.homes.len() > pods as usize / 2, "a plan about something");
        for (number, (rule, spoil)) in BREAKS.iter().enumerate() {
            let (mut snapshot, mut plan) = (snapshot.clone(), plan.clone());
            if spoil(&mut snapshot, &mut plan) {
                let found = rules(&snapshot, &plan);
                prop_assert!(found.contains(rule), "break {}: {:?} not in {:?}", number, rule, found);
            }
        }
    }
}

/// Two nodes in different zones, and one pod that has to go to the first.
fn pair(class: PodClass) -> (Cluster, Assignment) {
    let mut cluster = Cluster::new();
    let group = cluster.group("group", 10);
    for zone in ["a", "b"] {
        let template = cluster.template(group, "size", zone, resources(4_000, 1_000, 10), 100);
        let node = cluster.node(template) as usize;
        Arc::make_mut(&mut cluster.snapshot.nodes[node].attach_limits).insert("csi".to_owned(), 3);
    }
    let class = cluster.class(class);
    cluster.pod(class, None);
    let homes = vec![(Who::Waiting(0), Home::Existing(0))];
    let plan = Assignment {
        homes,
        ..Assignment::default()
    };
    (cluster, plan)
}

fn pod() -> PodClass {
    PodClass {
        labels: labels(&[("app", "web")]),
        ..class(1_000, 100)
    }
}

fn web(topology_key: &str) -> PodAffinityTerm {
    PodAffinityTerm {
        selector: Some(selector(&[("app", "web")])),
        topology_key: topology_key.to_owned(),
        namespaces: vec!["default".to_owned()],
        sought_everywhere: false,
    }
}

fn spread(max_skew: i32, min_domains: i32) -> PodClass {
    PodClass {
        topology_spread: vec![SpreadConstraint {
            max_skew,
            topology_key: ZONE.to_owned(),
            when_unsatisfiable: WhenUnsatisfiable::DoNotSchedule,
            selector: Some(selector(&[("app", "web")])),
            min_domains,
            honor_affinity: true,
            honor_taints: false,
        }],
        ..pod()
    }
}

fn claiming() -> PodClass {
    PodClass {
        exclusive_claims: vec!["data".to_owned()],
        ..pod()
    }
}

/// [`pair`]'s nodes take three volumes of the driver.
fn attaching(own: u32) -> PodClass {
    PodClass {
        attachments: vec![Attachments {
            driver: "csi".to_owned(),
            own,
            shared: Vec::new(),
        }],
        ..pod()
    }
}

fn mounting(read_only: bool) -> PodClass {
    PodClass {
        disks: vec![Disk {
            name: "disk".to_owned(),
            read_only,
        }],
        ..pod()
    }
}

#[test]
fn one_pod_on_one_node() {
    type Arrange = fn(&mut Cluster);
    let bound: Arrange = |cluster| {
        let class = cluster.class(pod());
        cluster.pod(class, Some(0));
    };
    let on_the_other: Arrange = |cluster| {
        let class = cluster.class(pod());
        cluster.pod(class, Some(1));
    };
    let port = |host_ip: &str| PodClass {
        host_ports: vec![HostPort {
            port: 80,
            protocol: "TCP".to_owned(),
            host_ip: host_ip.to_owned(),
        }],
        ..pod()
    };
    let cases: Vec<(PodClass, Arrange, &[Rule], &str)> = vec![
        (pod(), |_| {}, &[], "there is room"),
        (
            pod(),
            |cluster| cluster.snapshot.nodes[0].state = NodeState::Upcoming,
            &[],
            "it is coming",
        ),
        (
            pod(),
            |cluster| cluster.snapshot.nodes[0].state = NodeState::NotReady,
            &[Rule::Closed],
            "not ready",
        ),
        (
            pod(),
            |cluster| cluster.snapshot.nodes[0].state = NodeState::Leaving,
            &[Rule::Closed],
            "leaving",
        ),
        (
            pod(),
            |cluster| cluster.snapshot.nodes[0].unschedulable = true,
            &[Rule::Cordoned],
            "cordoned",
        ),
        (class(4_001, 0), |_| {}, &[Rule::Resources], "a little too large"),
        (class(4_000, 0), |_| {}, &[], "just large enough"),
        (class(4_000, 0), bound, &[Rule::Resources], "another is there"),
        (
            pod(),
            |cluster| cluster.snapshot.nodes[0].allocatable.pods = 0,
            &[Rule::Resources],
            "no pod more",
        ),
        (
            PodClass {
                volume_topology: vec![NodeSelector::default()],
                ..pod()
            },
            |_| {},
            &[Rule::Volumes],
            "a volume that nothing reaches",
        ),
        (claiming(), |_| {}, &[], "a claim that nobody uses"),
        (
            claiming(),
            |cluster| {
                let class = cluster.class(claiming());
                cluster.pod(class, Some(1));
            },
            &[Rule::Volumes],
            "a claim in use, wherever",
        ),
        (
            attaching(2),
            |cluster| {
                let class = cluster.class(attaching(1));
                cluster.pod(class, Some(0));
            },
            &[],
            "three volumes of three",
        ),
        (
            attaching(3),
            |cluster| {
                let class = cluster.class(attaching(1));
                cluster.pod(class, Some(0));
            },
            &[Rule::Volumes],
            "four volumes of three",
        ),
        (
            mounting(true),
            |cluster| {
                let class = cluster.class(mounting(true));
                cluster.pod(class, Some(0));
            },
            &[],
            "two readers of a disk",
        ),
        (
            mounting(true),
            |cluster| {
                let class = cluster.class(mounting(false));
                cluster.pod(class, Some(0));
            },
            &[Rule::Volumes],
            "a reader beside a writer",
        ),
        (port(""), |_| {}, &[], "a free port"),
        (
            port("10.0.0.1"),
            |cluster| {
                let class = PodClass {
                    host_ports: vec![HostPort {
                        port: 80,
                        protocol: "TCP".to_owned(),
                        host_ip: String::new(),
                    }],
                    ..pod()
                };
                let class = cluster.class(class);
                cluster.pod(class, Some(0));
            },
            &[Rule::HostPorts],
            "every address takes in each",
        ),
        (
            PodClass {
                pod_affinity: vec![web(ZONE)],
                ..pod()
            },
            |_| {},
            &[],
            "the first of its kind",
        ),
        (
            PodClass {
                pod_affinity: vec![web(ZONE)],
                ..pod()
            },
            bound,
            &[],
            "company",
        ),
        (
            PodClass {
                pod_affinity: vec![web(ZONE)],
                ..pod()
            },
            on_the_other,
            &[Rule::PodAffinity],
            "company in the other zone",
        ),
        (
            PodClass {
                pod_affinity: vec![web("rack")],
                ..pod()
            },
            |_| {},
            &[Rule::PodAffinity],
            "no such key",
        ),
        (
            PodClass {
                pod_anti_affinity: vec![web(HOSTNAME)],
                ..pod()
            },
            on_the_other,
            &[],
            "apart",
        ),
        (
            PodClass {
                pod_anti_affinity: vec![web(HOSTNAME)],
                ..pod()
            },
            bound,
            &[Rule::PodAntiAffinity],
            "not apart",
        ),
        (
            pod(),
            |cluster| {
                let class = cluster.class(PodClass {
                    pod_anti_affinity: vec![web(HOSTNAME)],
                    ..pod()
                });
                cluster.pod(class, Some(0));
            },
            &[Rule::PodAntiAffinity],
            "the other one minds",
        ),
        (spread(1, 0), |_| {}, &[], "the first"),
        (
            spread(1, 0),
            bound,
            &[Rule::TopologySpread],
            "the second in the same zone",
        ),
        (spread(1, 0), on_the_other, &[], "one each"),
        (spread(2, 0), bound, &[], "two are allowed"),
        (
            spread(1, 3),
            |cluster| {
                for node in [0, 1] {
                    let class = cluster.class(pod());
                    cluster.pod(class, Some(node));
                }
            },
            &[Rule::TopologySpread],
            "a third zone is missing and counts as empty",
        ),
    ];
    for (class, arrange, expected, why) in cases {
        let (mut cluster, plan) = pair(class);
        arrange(&mut cluster);
        let expected: BTreeSet<Rule> = expected.iter().copied().collect();
        assert_eq!(rules(&cluster.snapshot, &plan), expected, "{why}");
    }
}

/// The pod that waits runs on the first node instead.
fn only_resident(snapshot: &mut Snapshot, lasting: Movability) {
    snapshot.pods.clear();
    let pod = Resident {
        key: PodKey {
            namespace: "default".into(),
            name: "pod".into(),
        },
        class: 0,
        judgement: lasting.into(),
        health: Health::Ready,
    };
    snapshot.nodes[0].residents = Arc::new([Arc::new(pod)].into_iter().collect());
}

#[test]
fn removals() {
    type Arrange = fn(&mut Snapshot, &mut Assignment);
    let cases: Vec<(Arrange, &[Rule], &str)> = vec![
        (|_, _| {}, &[], "the pod moves to the other node"),
        (
            |_, plan| plan.homes.clear(),
            &[Rule::Lost],
            "the pod is forgotten",
        ),
        (
            |_, plan| plan.homes[0].1 = Home::Existing(0),
            &[Rule::Closed],
            "it stays on the removed node",
        ),
        (
            |snapshot, _| snapshot.groups[0].min = 2,
            &[Rule::Limits],
            "the group is at its minimum",
        ),
        (
            |snapshot, _| snapshot.groups[0].may_shrink = false,
            &[Rule::Limits],
            "the group may not shrink",
        ),
        (
            |snapshot, _| snapshot.removal_budget = 0,
            &[Rule::Limits],
            "no removal now",
        ),
        (
            |snapshot, _| snapshot.nodes[0].protected = Some(("Test".to_owned(), String::new())),
            &[Rule::Limits],
            "protected",
        ),
        (
            |snapshot, _| snapshot.nodes[0].group = None,
            &[Rule::Limits],
            "somebody else's",
        ),
        (
            |snapshot, _| only_resident(snapshot, Movability::Blocks("Test".to_owned(), String::new())),
            &[Rule::Lost],
            "the pod may not move",
        ),
        (
            |snapshot, plan| {
                only_resident(snapshot, Movability::Ignored);
                plan.homes.clear();
            },
            &[],
            "the pod does not matter",
        ),
        (
            |snapshot, _| {
                snapshot.budgets = vec![DisruptionBudget {
                    namespace: "default".to_owned(),
                    name: "web".to_owned(),
                    selector: Some(selector(&[("app", "web")])),
                    disruptions_allowed: 0,
                    spares_unready: false,
                }];
            },
            &[Rule::DisruptionBudget],
            "no disruption allowed",
        ),
        (
            |_, plan| plan.removed = BTreeSet::from([7]),
            &[Rule::Nonsense],
            "no such node",
        ),
    ];
    for (arrange, expected, why) in cases {
        let (cluster, mut plan) = pair(pod());
        let mut snapshot = cluster.snapshot;
        only_resident(&mut snapshot, Movability::Moves);
        plan.removed = BTreeSet::from([0]);
        plan.homes = vec![(Who::Running(0, 0), Home::Existing(1))];
        arrange(&mut snapshot, &mut plan);
        let expected: BTreeSet<Rule> = expected.iter().copied().collect();
        assert_eq!(rules(&snapshot, &plan), expected, "{why}");
    }
}

#[test]
fn a_right_plan_has_its_price() {
    let (snapshot, plan) = right(1, 40);
    let price: u64 = plan
        .bought
        .iter()
        .map(|template| snapshot.templates[*template as usize].hourly_micros)
        .sum();
    let verdict = validate(&snapshot, &plan).unwrap();
    assert_eq!(verdict.hourly_micros, i128::from(price));
    assert_eq!(verdict.waiting, 40 - plan.homes.len());
}
