//! Somebody with the page in front of them: types its commands and reads what they show.

use super::page::{self, Page, Process, SYSTEM};
use super::troubles;
use crate::typing::{head, run};
use crate::world::{NAMESPACE, PACE, all_run, deployment, prepare, quick_cloud, selects, tier};
use anyhow::{Context, Result, ensure};
use autoscaler_api::autoscaler_config::Strategy;
use autoscaler_api::rebalance::{RebalanceKind, RebalanceSpec, RebalanceStatus};
use autoscaler_api::{Rebalance, VPSieNode};
use autoscaler_controllers::rebalance::{Arrival, Removal, Unit, plan};
use autoscaler_tests::stage::Stage;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Each has a group, a node and an app of its own, so that operations do not meet.
pub(super) const TIERS: [&str; 5] = ["north", "east", "south", "west", "middle"];
/// Pods of each tier's app; its node has room for one more.
pub(super) const PODS: usize = 2;
pub(super) const SMALL: (&str, i64) = ("k8s-2-4", 12);
pub(super) const LARGE: (&str, i64) = ("k8s-4-8", 13);
pub(super) const PATIENCE: Duration = Duration::from_secs(90);
/// Something else that an expectation counts on may be written a moment later.
const MOMENT: Duration = Duration::from_secs(10);

/// Settings of the rebalancer that scenes differ in.
#[derive(Clone, Copy)]
pub(super) struct Settings {
    pub(super) rolls_back: bool,
    pub(super) drain: &'static str,
    pub(super) health: &'static str,
    pub(super) interval: &'static str,
}

/// The names that stand for those of the page.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) tier: &'static str,
    pub(super) operation: String,
    pub(super) node: String,
    pub(super) vpsie_node: String,
    pub(super) new: String,
    /// A pod, with its namespace as kubectl takes it.
    pub(super) pod: String,
}

impl Names {
    pub(super) fn fill(&self, text: &str) -> String {
        text.replace("NAMESPACE", SYSTEM)
            .replace("NEW-NODE", &self.new)
            .replace("OLD-RECORD", &self.vpsie_node)
            .replace("NODE", &self.node)
            .replace("NAME", &self.operation)
            .replace("TIER", self.tier)
    }
}

/// What a command shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shows<'a> {
    /// Part of the command; with `$` behind it, its end.
    pub(super) command: &'a str,
    /// What it prints, with the page's words for names.
    pub(super) words: &'a [&'a str],
    /// It ends in an error.
    pub(super) refused: bool,
}

impl Shows<'_> {
    fn is_of(&self, command: &str) -> bool {
        match self.command.strip_suffix('$') {
            Some(end) => command.ends_with(end),
            None => command.contains(self.command),
        }
    }
}

/// A command with this in it prints these words.
pub(super) const fn shows<'a>(command: &'a str, words: &'a [&'a str]) -> Shows<'a> {
    let refused = false;
    Shows {
        command,
        words,
        refused,
    }
}

/// A command with this in it is refused with these words.
pub(super) const fn refused<'a>(command: &'a str, words: &'a [&'a str]) -> Shows<'a> {
    let refused = true;
    Shows {
        command,
        words,
        refused,
    }
}

pub(super) struct Desk {
    pub(super) stage: Stage,
    pub(super) page: Page,
    pub(super) operations: Api<Rebalance>,
    process: Process,
    /// What was typed, and whether anybody looked at what it printed.
    typed: BTreeMap<String, bool>,
    times: usize,
    /// How each operation ended.
    pub(super) told: Vec<String>,
}

impl Desk {
    pub(super) async fn set(page: Page) -> Result<Self> {
        let mut stage = Stage::set(quick_cloud()).await?;
        stage.secret("demo-token").await?;
        prepare(&stage, false).await?;
        nothing_goes_by_itself(&stage).await?;
        troubles::foreign_nodes(&stage).await?;
        for name in TIERS {
            stage.apply(&tier(name, &[SMALL.0, LARGE.0], 3)).await?;
        }
        // A refused size stays on show for longer than somebody needs to look at it.
        let pace = PACE.map(|flag| match flag {
            "--purchase-backoff=5s" => "--purchase-backoff=60s",
            flag => flag,
        });
        stage.start_controller(&pace).await?;
        for name in TIERS {
            stage
                .apply(&deployment(name, PODS, "600m", selects(name)))
                .await?;
        }
        troubles::absent(&stage).await?;
        all_run(&stage, &TIERS.map(|tier| (tier, PODS)), PATIENCE).await?;
        let operations = Api::namespaced(stage.client.clone(), SYSTEM);
        let process = Process {
            address: stage.address()?.to_owned(),
            log: stage.log_path().display().to_string(),
            program: stage.command_line("COMMAND").await?,
        };
        Ok(Self {
            stage,
            process,
            page,
            operations,
            typed: BTreeMap::new(),
            times: 0,
            told: Vec::new(),
        })
    }

    pub(super) async fn settings(&self, settings: Settings) -> Result<()> {
        self.stage
            .apply(&json!({
                "apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "AutoscalerConfig",
                "metadata": {"name": "default"},
                "spec": {"rebalancer": {
                    "enabled": false, "paused": false, "maxConcurrent": TIERS.len(),
                    "rollbackOnFailure": settings.rolls_back, "drainTimeout": settings.drain,
                    "healthTimeout": settings.health, "healthCheckInterval": settings.interval,
                }},
            }))
            .await
    }

    /// The node of a tier is to make way for a new one.
    pub(super) async fn begin(
        &self,
        operation: &str,
        tiers: &[&'static str],
        new: (&str, i64),
    ) -> Result<Names> {
        let mut all = Vec::new();
        let mut units = Vec::new();
        for tier in tiers {
            let names = self.names(operation, tier).await?;
            units.push(Unit {
                arrivals: vec![Arrival {
                    vpsie_node: names.new.clone(),
                    group: (*tier).to_owned(),
                    offering: new.0.to_owned(),
                    size: new.1,
                }],
                removals: vec![Removal {
                    node: names.node.clone(),
                    vpsie_node: names.vpsie_node.clone(),
                    group: None,
                    offering: None,
                    reason: "the runbook needs an operation".to_owned(),
                }],
            });
            all.push(names);
        }
        let plan = plan(RebalanceKind::Drift, Strategy::Rolling, &units);
        let mut object = Rebalance::new(operation, RebalanceSpec { plan });
        object.metadata.namespace = Some(SYSTEM.to_owned());
        self.operations.create(&PostParams::default(), &object).await?;
        all.into_iter().next().context("an operation is about a tier")
    }

    /// The node of a tier that has most of its pods, the oldest of such, and what an operation of this name calls its new
    /// one.
    pub(super) async fn names(&self, operation: &str, tier: &'static str) -> Result<Names> {
        let pods: Api<Pod> = Api::namespaced(self.stage.client.clone(), NAMESPACE);
        let pods = pods
            .list(&ListParams::default().labels(&format!("app={tier}")))
            .await?;
        let carries = |record: &VPSieNode| {
            let here = |pod: &&Pod| {
                pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == record.node_name()
            };
            pods.iter().filter(here).count()
        };
        let records: Api<VPSieNode> = Api::namespaced(self.stage.client.clone(), SYSTEM);
        let records = records.list(&ListParams::default()).await?;
        let of_tier = records
            .iter()
            .filter(|record| record.spec.node_group_name == tier && record.node_name().is_some());
        let fullest = of_tier.min_by_key(|record| {
            (
                Reverse(carries(record)),
                record.creation_timestamp().map(|time| time.0),
            )
        });
        let fullest = fullest.with_context(|| format!("{tier} has no VPSieNode"))?;
        Ok(Names {
            tier,
            operation: operation.to_owned(),
            node: fullest.node_name().unwrap_or_default().to_owned(),
            vpsie_node: fullest.name_any(),
            new: format!("{operation}-{tier}"),
            pod: troubles::waiting_pod(&self.stage, tier).await?,
        })
    }

    pub(super) async fn status(&self, operation: &str) -> Result<RebalanceStatus> {
        Ok(self.operations.get(operation).await?.status.unwrap_or_default())
    }

    /// Waits until the status of an operation is as wanted.
    pub(super) async fn until(
        &self,
        what: &str,
        operation: &str,
        wanted: impl Fn(&RebalanceStatus) -> bool,
    ) -> Result<RebalanceStatus> {
        self.stage
            .until(what, PATIENCE, || async {
                let status = self.status(operation).await?;
                Ok((!wanted(&status)).then(|| format!("{operation}: {status:?}")))
            })
            .await?;
        self.status(operation).await
    }

    /// Waits until a budget blocks the operation's drain.
    pub(super) async fn blocked(&self, names: &Names) -> Result<()> {
        let blocked = |status: &RebalanceStatus| {
            let mut steps = status.steps.iter();
            steps.any(|step| {
                step.message
                    .as_deref()
                    .is_some_and(|text| text.starts_with("blocked:"))
            })
        };
        self.until("the drain is blocked", &names.operation, blocked)
            .await
            .map(drop)
    }

    /// Types commands; each must work and show what is expected of it.
    pub(super) async fn types(
        &mut self,
        commands: &[String],
        names: &Names,
        expected: &[&[Shows<'_>]],
    ) -> Result<()> {
        let mut used = BTreeSet::new();
        let expected: Vec<Shows<'_>> = expected.concat();
        for command in commands {
            let theirs: Vec<&Shows<'_>> = expected.iter().filter(|shows| shows.is_of(command)).collect();
            used.extend(theirs.iter().map(|shows| shows.command));
            self.times += 1;
            let line = page::here(command, names, &self.process);
            let began = std::time::Instant::now();
            let said = loop {
                match once(&self.stage, &line, names, &theirs).await {
                    Ok(said) => break said,
                    // Events and metrics follow what they tell of.
                    Err(_) if page::looks(command) && began.elapsed() < MOMENT => {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                    Err(error) => return Err(error.context(format!("{command}\n  as {line}"))),
                }
            };
            println!("$ {}\n{}", names.fill(command), head(&said));
            let shown = theirs.iter().any(|shows| !shows.words.is_empty());
            *self.typed.entry(command.clone()).or_default() |= shown;
        }
        let all: BTreeSet<&str> = expected.iter().map(|shows| shows.command).collect();
        let idle: Vec<_> = all.difference(&used).collect();
        ensure!(idle.is_empty(), "nothing typed has {idle:?}");
        Ok(())
    }

    pub(super) fn tell(&self) {
        println!("| operation | ended as | because of | verified |\n|---|---|---|---|");
        for line in &self.told {
            println!("{line}");
        }
        let (commands, times) = (self.typed.len(), self.times);
        println!("{commands} commands of both runbooks typed, {times} times");
    }

    /// No command is left that nobody has typed and looked at.
    pub(super) fn all_was_shown(&self) -> Result<()> {
        let all = self.page.all();
        let left = all.iter().filter(|line| self.typed.get(*line) != Some(&true));
        let left: Vec<_> = left.collect();
        ensure!(
            left.is_empty(),
            "typed by no scene, or shown to nobody: {left:#?}"
        );
        ensure!(all.len() > 40, "only {} commands were found", all.len());
        Ok(())
    }
}

/// Runs a line once, and compares what it prints.
async fn once(stage: &Stage, line: &str, names: &Names, expected: &[&Shows<'_>]) -> Result<String> {
    let output = run(stage, line).await?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    let said = format!("{}{complaint}", String::from_utf8_lossy(&output.stdout));
    let is_refused = expected.iter().any(|shows| shows.refused);
    // A pipe hides the end of its first command, but not what it complains of.
    let quiet = complaint.is_empty() || complaint.starts_with("No resources found");
    let finds_nothing =
        expected.is_empty() && line.contains("| grep") && quiet && output.status.code() == Some(1);
    ensure!(
        output.status.success() != is_refused || finds_nothing,
        "{}: {said}",
        output.status
    );
    for word in expected.iter().flat_map(|shows| shows.words) {
        let word = names.fill(word);
        ensure!(said.contains(&word), "it does not show {word:?}, but:\n{said}");
    }
    Ok(said)
}

async fn nothing_goes_by_itself(stage: &Stage) -> Result<()> {
    policy(stage, 86_400).await
}

/// Nodes go when they have had no pod for so long, and for no other reason.
pub(super) async fn policy(stage: &Stage, idle_seconds: u32) -> Result<()> {
    let config =
        json!({"idleSeconds": idle_seconds, "settleSeconds": 1, "underusedPermille": 0, "mostMerged": 0});
    stage
        .apply(&json!({
            "apiVersion": "autoscaler.vpsie.com/v1alpha1", "kind": "ScalingPolicy",
            "metadata": {"name": "quick-removal"},
            "spec": {
                "kinds": ["rebalance"], "mode": "Active", "source": {"builtIn": "rebalance"}, "config": config,
            },
        }))
        .await
}
