//! Growth: pods that no node can hold → demand → purchases → a checked plan → VPSieNodes.

use super::ask::{self, Asked};
use super::deciders::Deciders;
use super::notices::{NOT_TRIGGERED, TRIGGERED};
use super::partition::{Partition, partitions};
use super::{LOOK_AGAIN, Outcome, Scaling, shadow};
use crate::context::Context;
use crate::futile::{Arrival, LIMIT as FUTILE_LIMIT};
use crate::observe::{ActionText, DecisionRecord, Failed};
use autoscaler_api::vpsie_node::Phase;
use autoscaler_cluster::ObjectKey;
use autoscaler_core::decision::{
    Action, Answer, Cause, Checked, Demand, Mix, Note, Plan, Question, Reason, Rejection, check_answer,
    check_growth, propose_growth, questions,
};
use autoscaler_core::model::{ClassId, GroupId, NodeId, Pod, PodId, Snapshot};
use autoscaler_core::packing::{Placement, WhatIf, place_pending};
use autoscaler_policy::record::{Round, Subject};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::Instant;

/// What a growth decision comes to, before anything is done.
pub(super) struct Growth {
    pub(super) placement: Placement,
    pub(super) plans: Vec<Plan<Checked>>,
    pub(super) records: Vec<DecisionRecord>,
    /// What was asked, for the record that is kept.
    rounds: Vec<Round>,
    /// Policies that failed where nobody else may decide.
    pub(super) held: Vec<Failed>,
    /// Waiting pods that get a new node.
    placed: Vec<(PodId, NodeId)>,
    /// Waiting pods for which nothing is bought, because it did not help before.
    blocked: Vec<PodId>,
    /// What policies said of classes that get nothing.
    rejections: BTreeMap<ClassId, String>,
}

impl Scaling {
    /// Decides for the pods that wait, if they or anything else changed.
    pub(super) async fn grow(&mut self) -> Outcome {
        if self.ctx.index.pod_counts().1 == 0 && !self.ctx.index.keeps_headroom() {
            self.last = None;
            if self.ctx.futile.lock().forget() {
                self.ctx.futile.changed();
            }
            self.ctx.metrics.waiting_pods(0, 0);
            self.ctx.metrics.futile_pods(0);
            return Ok(());
        }
        let settings = self.settings();
        let snapshot = Arc::new(self.ctx.index.snapshot(&super::inputs(&self.ctx, &settings)));
        if self
            .last
            .as_ref()
            .is_some_and(|(at, last)| at.elapsed() < LOOK_AGAIN && same(last, &snapshot))
        {
            return Ok(());
        }
        self.last = Some((Instant::now(), snapshot.clone()));
        let futile = self.futile_pods(&snapshot);
        let deciders = Deciders::present(&self.ctx.policies);
        let mut growth = Self::compute(|| decide(&self.ctx, &deciders, &snapshot, &futile));
        let exists = |pod: &PodId| snapshot.pods[*pod as usize].exists();
        let unplaced = growth.placement.unplaced.iter().flat_map(|class| &class.pods);
        self.ctx.metrics.waiting_pods(
            snapshot.pods.iter().filter(|pod| pod.exists()).count(),
            unplaced.filter(|pod| exists(pod)).count(),
        );
        for record in &growth.records {
            ask::report(&self.ctx, &mut self.told, record);
        }
        let since = |pods: &[(PodId, NodeId)]| {
            let waits = pods
                .iter()
                .filter(|(pod, _)| exists(pod))
                .filter_map(|(pod, _)| snapshot.pods[*pod as usize].unschedulable_since_ms);
            waits
                .min()
                .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        };
        let waiting_since = since(&growth.placed);
        let mut created = Vec::new();
        let mut bought = Ok(());
        for plan in &growth.plans {
            match self.buy(&snapshot, plan, waiting_since).await {
                Ok(keys) => created.extend(keys),
                Err(error) => {
                    bought = Err(error);
                    break;
                }
            }
        }
        let rounds = std::mem::take(&mut growth.rounds);
        let aside = growth.blocked.clone();
        let nodes: Vec<ObjectKey> = created.iter().map(|(_, node)| node.clone()).collect();
        self.keep(
            Subject::Growth,
            &snapshot,
            aside,
            rounds,
            &nodes,
            bought.as_ref().err(),
        );
        bought?;
        if !created.is_empty() {
            self.note_bought(&snapshot, &growth, &created);
        }
        let answers = answers(&snapshot, &growth);
        self.notices.publish(&self.ctx, &snapshot, &answers);
        // Everything is done that was decided: a shadow may take its time.
        Self::compute(|| shadow::growth(&self.ctx, &deciders, &snapshot, &futile, &growth));
        if !nodes.is_empty() {
            self.echo(&nodes).await;
        }
        Ok(())
    }
}

impl Scaling {
    /// Remembers which pods of which group the new nodes are for.
    fn note_bought(&self, snapshot: &Snapshot, growth: &Growth, created: &[(ObjectKey, ObjectKey)]) {
        let mut pods: BTreeMap<ObjectKey, BTreeSet<String>> = BTreeMap::new();
        for (pod, node) in &growth.placed {
            let pod = &snapshot.pods[*pod as usize];
            let Some(template) = growth.placement.state().imagined(*node).filter(|_| pod.exists()) else {
                continue;
            };
            let group = &snapshot.groups[snapshot.templates[template as usize].group as usize];
            let uid = pod.uid.clone();
            pods.entry(ObjectKey::new(&group.namespace, &group.name))
                .or_default()
                .insert(uid);
        }
        let mut futile = self.ctx.futile.lock();
        for (group, pods) in pods {
            let own = created.iter().filter(|(of, _)| *of == group);
            let nodes = own.map(|(_, node)| node.clone()).collect();
            futile.ordered(group, pods, nodes);
        }
    }

    /// Waiting pods for which nodes came again and again without helping.
    fn futile_pods(&mut self, snapshot: &Snapshot) -> BTreeSet<PodId> {
        let waiting = || {
            (0..)
                .zip(&snapshot.pods)
                .filter(|(_, pod): &(PodId, &Pod)| pod.exists())
        };
        let uids: BTreeSet<&str> = waiting().map(|(_, pod)| pod.uid.as_str()).collect();
        let idle: BTreeMap<&str, bool> = snapshot
            .nodes
            .iter()
            .filter_map(|node| Some((node.vpsie_node.as_deref()?, node.idle_since_ms.is_some())))
            .collect();
        let arrival = |key: &ObjectKey| match self.ctx.index.vpsie_node(key).map(|node| node.phase()) {
            None | Some(Phase::Failed | Phase::Terminating | Phase::Deleting) => Arrival::Gone,
            Some(Phase::Ready) => match idle.get(key.to_string().as_str()) {
                Some(false) => Arrival::Used,
                _ => Arrival::Idle,
            },
            Some(_) => Arrival::Coming,
        };
        let mut futile = self.ctx.futile.lock();
        let news = futile.look(snapshot.now_ms, |pod| uids.contains(pod), arrival);
        let blocked: BTreeSet<PodId> = waiting()
            .filter(|(_, pod)| futile.blocks(&pod.uid, snapshot.now_ms).is_some())
            .map(|(id, _)| id)
            .collect();
        drop(futile);
        if news {
            self.ctx.futile.changed();
        }
        self.ctx.metrics.futile_pods(blocked.len());
        blocked
    }
}

/// Equal but for the time: an equal decision would follow.
fn same(one: &Snapshot, other: &Snapshot) -> bool {
    one.pods == other.pods
        && one.nodes == other.nodes
        && one.classes == other.classes
        && one.class_ids == other.class_ids
        && one.groups == other.groups
        && one.templates == other.templates
        && one.max_cluster_nodes == other.max_cluster_nodes
}

pub(super) fn decide(
    ctx: &Context,
    deciders: &Deciders,
    snapshot: &Arc<Snapshot>,
    futile: &BTreeSet<PodId>,
) -> Growth {
    let mut placement = place_pending(snapshot);
    let mut blocked = Vec::new();
    for unplaced in &mut placement.unplaced {
        blocked.extend(unplaced.pods.extract_if(.., |pod| futile.contains(pod)));
    }
    placement.unplaced.retain(|unplaced| !unplaced.pods.is_empty());
    let mut growth = Growth {
        placement,
        blocked,
        plans: Vec::new(),
        records: Vec::new(),
        rounds: Vec::new(),
        held: Vec::new(),
        placed: Vec::new(),
        rejections: BTreeMap::new(),
    };
    // Partitions decide one after the other; what one leaves flows to the next.
    for partition in partitions(ctx, deciders, snapshot) {
        if growth.placement.unplaced.is_empty() {
            break;
        }
        let mut round = ask::round(&partition.groups);
        if let Err(failed) = decide_partition(ctx, deciders, &partition, &mut growth, &mut round) {
            growth.held.extend(failed);
        }
        growth.rounds.push(round);
    }
    growth
}

/// # Errors
/// The policies that failed, where one holds the decision back.
fn decide_partition(
    ctx: &Context,
    deciders: &Deciders,
    partition: &Partition,
    growth: &mut Growth,
    round: &mut Round,
) -> Result<(), Vec<Failed>> {
    let allows = |group: GroupId| partition.groups.contains(&group);
    let questions = questions::growth(&growth.placement, &allows);
    let question = questions.scale_up();
    let oracle = WhatIf::new(&growth.placement, &question);
    let accept = |answer: &Answer| check_answer(&question, answer).map_err(|refusal| refusal.to_string());
    let asked = ask::ask(
        ctx,
        deciders,
        &partition.scale_up,
        &question,
        &oracle,
        &accept,
        round,
    )?;
    let Answer::ScaleUp(demand) = asked.answer.clone() else {
        return Ok(());
    };
    note_rejections(&question, &demand.rejections, growth);
    growth.records.push(demand_record(asked, &question, &demand));
    if demand.groups.is_empty() {
        return Ok(());
    }

    let question = questions.node_selection(demand.groups.clone());
    let oracle = WhatIf::new(&growth.placement, &question);
    let check = |answer: &Answer| match answer {
        Answer::NodeSelection(mix) => propose_growth(&question, mix)
            .and_then(|plan| check_growth(&growth.placement, plan, &allows))
            .map_err(|refusal| refusal.to_string()),
        _ => Err("the answer is of another kind".to_owned()),
    };
    let accept = |answer: &Answer| check(answer).map(drop);
    let policy = &partition.node_selection;
    let asked = ask::ask(ctx, deciders, policy, &question, &oracle, &accept, round)?;
    let Answer::NodeSelection(mix) = asked.answer.clone() else {
        return Ok(());
    };
    // It was accepted by the same check.
    let Ok(plan) = check(&asked.answer) else {
        return Ok(());
    };
    ask::passed(round, &plan);
    note_rejections(&question, &mix.rejections, growth);
    let record = mix_record(asked, &question, &growth.placement, &mix, &plan);
    growth.records.push(record);
    let placed = growth.placement.accept(&plan);
    growth.placed.extend(placed);
    growth.plans.push(plan);
    Ok(())
}

fn note_rejections(question: &Question, rejections: &[Rejection], growth: &mut Growth) {
    let (Question::ScaleUp { pending, .. } | Question::NodeSelection { pending, .. }) = question else {
        return;
    };
    for rejection in rejections.iter().filter(|rejection| rejection.group.is_none()) {
        if let Some(class) = pending.class_ids.get(rejection.class as usize) {
            growth.rejections.insert(*class, rejection.reason.text.clone());
        }
    }
}

fn rejected(question: &Question, rejections: &[Rejection]) -> Vec<Note> {
    let (Question::ScaleUp {
        pending, catalogue, ..
    }
    | Question::NodeSelection {
        pending, catalogue, ..
    }) = question
    else {
        return Vec::new();
    };
    let note = |rejection: &Rejection| {
        let class = pending.classes.get(rejection.class as usize)?.name.clone();
        let group = rejection
            .group
            .and_then(|group| catalogue.groups.get(group as usize));
        let subject = group.map_or(class.clone(), |group| format!("{class} in {}", group.name));
        Some(Note {
            subject,
            reason: rejection.reason.clone(),
        })
    };
    rejections.iter().filter_map(note).collect()
}

fn demand_record(asked: Asked, question: &Question, demand: &Demand) -> DecisionRecord {
    let Question::ScaleUp { catalogue, .. } = question else {
        return asked.record(Vec::new(), Vec::new(), Vec::new());
    };
    let actions = demand.groups.iter().map(|wish| {
        let pods: u32 = wish.pods.iter().map(|count| count.pods).sum();
        let group = catalogue
            .groups
            .get(wish.group as usize)
            .map_or("?", |group| group.name.as_str());
        ActionText {
            action: format!("grow {group} for {pods} pods"),
            reason: wish.reason.clone(),
        }
    });
    let actions = actions.collect();
    asked.record(actions, rejected(question, &demand.rejections), Vec::new())
}

fn mix_record(
    asked: Asked,
    question: &Question,
    placement: &Placement,
    mix: &Mix,
    plan: &Plan<Checked>,
) -> DecisionRecord {
    let snapshot = placement.snapshot();
    let actions = plan.actions().iter().filter_map(|action| {
        let Action::Buy {
            template,
            count,
            reason,
            ..
        } = action
        else {
            return None;
        };
        let template = &snapshot.templates[*template as usize];
        let group = &snapshot.groups[template.group as usize];
        let action = format!(
            "buy {count} × {} for {}/{}",
            template.offering, group.namespace, group.name
        );
        Some(ActionText {
            action,
            reason: reason.clone(),
        })
    });
    let actions = actions.collect();
    asked.record(
        actions,
        rejected(question, &mix.rejections),
        plan.notes().to_vec(),
    )
}

/// What each waiting pod is told.
fn answers(snapshot: &Snapshot, growth: &Growth) -> BTreeMap<PodId, (&'static str, String)> {
    let mut answers = BTreeMap::new();
    let placement = &growth.placement;
    for (pod, node) in &growth.placed {
        let Some(template) = placement.state().imagined(*node) else {
            continue;
        };
        let id = snapshot.templates[template as usize].group;
        let group = &snapshot.groups[id as usize];
        let after = group.current + placement.bought(id);
        let note = format!(
            "pod triggered scale-up of {}/{}: {} -> {after} nodes (max {})",
            group.namespace, group.name, group.current, group.max
        );
        answers.insert(*pod, (TRIGGERED, note));
    }
    for pod in &growth.blocked {
        let note = format!(
            "pod didn't trigger scale-up: {FUTILE_LIMIT} nodes or more were bought for it, stood idle, and it waits still; \
             what keeps it is not room (see its other events); reconcile-trigger on a node group asks for another try"
        );
        answers.insert(*pod, (NOT_TRIGGERED, note));
    }
    for left in &placement.unplaced {
        let why = match growth.rejections.get(&left.class) {
            // A policy sees that nothing may be bought; why that is so, only the host knows.
            Some(said) => [vec![said.clone()], held(snapshot, placement, left.class)]
                .concat()
                .join("; "),
            None => why_nowhere(snapshot, placement, left.class),
        };
        for pod in &left.pods {
            answers.insert(
                *pod,
                (NOT_TRIGGERED, format!("pod didn't trigger scale-up: {why}")),
            );
        }
    }
    for left in &placement.postponed {
        let note = format!(
            "pod didn't trigger scale-up yet: WorkLimit: {}",
            left.cause.text()
        );
        for pod in &left.pods {
            answers.insert(*pod, (NOT_TRIGGERED, note.clone()));
        }
    }
    answers
}

/// Groups that would take a class, were they not held, with what holds them.
fn held(snapshot: &Snapshot, placement: &Placement, class: ClassId) -> Vec<String> {
    const NAMED_GROUPS: usize = 3;
    let refusals = placement.refusals_by_template(class);
    let fits = |id: GroupId| {
        let mut templates = snapshot.templates.iter().zip(&refusals);
        templates.any(|(template, refusal)| template.group == id && refusal.is_none())
    };
    let held = (0..).zip(&snapshot.groups).filter_map(|(id, group)| {
        let (_, text) = group.held.as_ref().filter(|_| fits(id))?;
        Some(format!("{}/{}: {text}", group.namespace, group.name))
    });
    held.take(NAMED_GROUPS).collect()
}

/// Group by group, what keeps a class from it.
fn why_nowhere(snapshot: &Snapshot, placement: &Placement, class: ClassId) -> String {
    if snapshot.groups.is_empty() {
        return "there is no node group".to_owned();
    }
    let refusals = placement.refusals_by_template(class);
    let of_group = |id: GroupId| {
        let group = &snapshot.groups[id as usize];
        let causes: Vec<Option<Cause>> = snapshot
            .templates
            .iter()
            .zip(&refusals)
            .filter(|(template, _)| template.group == id)
            .map(|(_, refusal)| *refusal)
            .collect();
        let why = if causes.is_empty() {
            "VPSie offers none of its offerings".to_owned()
        } else if causes.contains(&None) {
            match &group.held {
                Some((_, text)) => text.clone(),
                None if group.current + placement.bought(id) >= group.max => {
                    format!("at maxNodes ({})", group.max)
                }
                None => "its offerings cannot be bought now".to_owned(),
            }
        } else {
            causes
                .iter()
                .flatten()
                .min()
                .map_or_else(String::new, |cause| cause.text().to_owned())
        };
        format!("{}/{}: {why}", group.namespace, group.name)
    };
    (0..snapshot.groups.len() as GroupId)
        .map(of_group)
        .collect::<Vec<_>>()
        .join("; ")
}

/// Keeps a reason short enough for an event.
pub(super) fn reason_text(reason: &Reason) -> String {
    format!("{}: {}", reason.code, reason.text)
}
