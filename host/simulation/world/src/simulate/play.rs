//! One play: the objects, then what happens, with a look at the cluster at a fixed step.

use super::file::{Entry, ScenarioFile, Variant};
use super::objects;
use super::report::{Column, Sample};
use crate::scenario::Scenario;
use crate::{Error, World};
use autoscaler_api::{ConditionStatus, ScalingPolicy};
use kube::Api;
use serde_json::json;
use std::time::Duration;

/// Looks in a play, and the shortest step between two.
const LOOKS: u32 = 1440;
const LEAST_STEP: Duration = Duration::from_secs(5);
/// So long a policy may take until it decides.
const TAKEN_WITHIN: Duration = Duration::from_secs(60);

pub(super) async fn play(file: &ScenarioFile, variant: &Variant, seed: u64) -> Result<Column, Error> {
    let mut scenario = Scenario {
        cloud: file.cloud.clone(),
        ..Scenario::default()
    };
    if let Some(start) = file.start {
        scenario.start = start;
    }
    let world = World::start(&scenario, seed, None).await?;
    let column = run(&world, file, variant).await;
    world.stop().await;
    column
}

async fn run(world: &World, file: &ScenarioFile, variant: &Variant) -> Result<Column, Error> {
    for object in variant
        .objects
        .iter()
        .filter(|object| object["kind"] == "ScalingPolicy")
    {
        objects::apply(world, object).await?;
    }
    if let Some(policy) = &variant.policy {
        taken(world, policy).await?;
    }
    for object in variant
        .objects
        .iter()
        .filter(|object| object["kind"] != "ScalingPolicy")
    {
        objects::apply(world, object).await?;
    }
    let begin = world.elapsed();
    let step = (file.duration / LOOKS).max(LEAST_STEP);
    let mut events = file.events().into_iter().peekable();
    let mut samples = Vec::new();
    let mut next_look = Duration::ZERO;
    loop {
        let passed = world.elapsed() - begin;
        while let Some((at, entry)) = events.next_if(|(at, _)| *at <= passed) {
            happen(world, entry, at).await?;
        }
        if passed >= next_look {
            samples.push(look(world, passed));
            next_look = passed + step;
        }
        if passed >= file.duration {
            break;
        }
        let next = events.peek().map_or(next_look, |(at, _)| next_look.min(*at));
        world
            .advance(next.min(file.duration).saturating_sub(passed))
            .await;
    }
    Column::of(world, variant.name.clone(), step, samples).await
}

/// Waits until the policy decides. A comparison with one that does not would be one of the built-in with itself.
async fn taken(world: &World, policy: &str) -> Result<(), Error> {
    let api = Api::<ScalingPolicy>::all(world.client.clone());
    let begin = world.elapsed();
    loop {
        let read = api
            .get(policy)
            .await
            .map_err(Error::kubernetes("reading the ScalingPolicy"))?;
        let conditions = read.status.map(|status| status.conditions).unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
        match ready {
            Some(condition) if condition.status == ConditionStatus::True => return Ok(()),
            Some(condition) if world.elapsed() - begin > TAKEN_WITHIN => {
                return Err(Error::PolicyNotTaken {
                    message: condition.message.clone().unwrap_or_default(),
                });
            }
            None if world.elapsed() - begin > TAKEN_WITHIN => {
                return Err(Error::PolicyNotTaken {
                    message: "nothing was heard of it".to_owned(),
                });
            }
            _ => world.advance(Duration::from_millis(250)).await,
        }
    }
}

async fn happen(world: &World, entry: &Entry, at: Duration) -> Result<(), Error> {
    if let Some(object) = &entry.apply {
        objects::apply(world, object).await?;
    }
    if let Some(object) = &entry.delete {
        objects::delete(world, object).await?;
    }
    if let Some(scale) = &entry.scale {
        let patch = json!({"spec": {"replicas": scale.replicas}});
        objects::change(world, &scale.namespace, &scale.deployment, &patch).await?;
    }
    if let Some(wave) = &entry.wave {
        let patch = json!({"spec": {"replicas": wave.replicas(at - entry.at)}});
        objects::change(world, &wave.namespace, &wave.deployment, &patch).await?;
    }
    if let Some(target) = &entry.release {
        let release = format!("{} s", at.as_secs());
        let patch = json!({"spec": {"template": {"metadata": {"annotations": {"release": release}}}}});
        objects::change(world, &target.namespace, &target.deployment, &patch).await?;
    }
    if let Some(fault) = &entry.fault {
        world.cloud.inject(fault.clone());
    }
    Ok(())
}

fn look(world: &World, passed: Duration) -> Sample {
    let pods = world.view.pod_counts(None);
    Sample {
        seconds: passed.as_secs(),
        running: pods.running,
        pending: pods.pending,
        nodes: world.view.ready_nodes(),
        hourly: crate::summary::rounded(world.cloud.inventory().price_hourly),
    }
}
