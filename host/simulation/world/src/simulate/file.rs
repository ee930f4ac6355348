//! The file of a scenario: what is there at the beginning, and what happens when.

use super::objects;
use crate::Error;
use autoscaler_api::scaling_policy::PolicyKind;
use fake_vpsie::{Config, Fault};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// A scenario that repeats itself more often is a mistake.
const MOST_EVENTS: u128 = 100_000;

/// What is wrong with a scenario, and where.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Problem {
    /// As in `timeline[2].every`.
    pub field: String,
    pub problem: String,
}

impl Problem {
    pub(super) fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

/// A scenario as it is written down.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScenarioFile {
    /// Headline of the report.
    #[serde(default)]
    pub title: String,
    /// What the clock says at the beginning; without it, Monday the 4th of January 2027, 08:00 UTC.
    #[serde(default)]
    pub start: Option<Timestamp>,
    /// How long it is played.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub duration: Duration,
    /// The account at VPSie, as for `fake-vpsie --config`.
    #[serde(default)]
    pub cloud: Config,
    /// Kubernetes objects at the beginning.
    #[serde(default)]
    pub objects: Vec<Value>,
    /// What happens later.
    #[serde(default)]
    pub timeline: Vec<Entry>,
    /// What is compared. Without any, the scenario is played as it is.
    #[serde(default)]
    pub variants: Vec<VariantFile>,
}

/// The scenario with some of its objects replaced.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VariantFile {
    pub name: String,
    /// Each takes the place of the object of its kind and name, or is added.
    #[serde(default)]
    pub objects: Vec<Value>,
}

/// One thing that happens, once or again and again. Exactly one of the actions is there.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Entry {
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub at: Duration,
    #[serde(
        default,
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional"
    )]
    pub every: Option<Duration>,
    /// The object is created, or changed to this.
    #[serde(default)]
    pub apply: Option<Value>,
    /// The object of this kind, namespace and name is deleted.
    #[serde(default)]
    pub delete: Option<Value>,
    #[serde(default)]
    pub scale: Option<Scale>,
    #[serde(default)]
    pub wave: Option<Wave>,
    /// A Deployment gets a new version: all its pods are replaced.
    #[serde(default)]
    pub release: Option<Target>,
    /// VPSie misbehaves.
    #[serde(default)]
    pub fault: Option<Fault>,
}

/// A Deployment.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    pub deployment: String,
    #[serde(default = "default_namespace")]
    pub namespace: String,
}

/// A Deployment gets another size.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scale {
    pub deployment: String,
    #[serde(default = "default_namespace")]
    pub namespace: String,
    pub replicas: u32,
}

/// A Deployment's size swings between two sizes, beginning at the lower one.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Wave {
    pub deployment: String,
    #[serde(default = "default_namespace")]
    pub namespace: String,
    pub least: u32,
    pub most: u32,
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub period: Duration,
}

fn default_namespace() -> String {
    objects::DEFAULT_NAMESPACE.to_owned()
}

/// A component to compare with.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub name: String,
    pub file: PathBuf,
    /// What it decides; for the rest the built-in policies do.
    pub kinds: Vec<PolicyKind>,
    pub config: Option<Value>,
}

/// One way to play the scenario.
pub(super) struct Variant {
    pub(super) name: String,
    pub(super) objects: Vec<Value>,
    /// The ScalingPolicy that must be taken.
    pub(super) policy: Option<String>,
}

impl ScenarioFile {
    /// Reads a scenario from YAML or JSON.
    ///
    /// # Errors
    /// What the text is not, or the first field that cannot be, with the reason.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let file: Self =
            serde_saphyr::from_str(text).map_err(|error| Problem::new("scenario", error.to_string()))?;
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<(), Problem> {
        if self.duration.is_zero() {
            return Err(Problem::new("duration", "is 0 s; nothing would happen"));
        }
        for (at, object) in self.objects.iter().enumerate() {
            objects::check(object).map_err(|problem| Problem::new(format!("objects[{at}]"), problem))?;
        }
        for (at, variant) in self.variants.iter().enumerate() {
            for (index, object) in variant.objects.iter().enumerate() {
                objects::check(object)
                    .map_err(|problem| Problem::new(format!("variants[{at}].objects[{index}]"), problem))?;
            }
        }
        for (at, entry) in self.timeline.iter().enumerate() {
            entry.check(self.duration).map_err(|problem| {
                Problem::new(format!("timeline[{at}]{}", problem.field), problem.problem)
            })?;
        }
        Ok(())
    }

    /// What happens, in the order of time; of one moment, in the order of the file.
    pub(super) fn events(&self) -> Vec<(Duration, &Entry)> {
        let mut events: Vec<(Duration, &Entry)> = Vec::new();
        for entry in &self.timeline {
            let mut at = entry.at;
            while at < self.duration {
                events.push((at, entry));
                match entry.every {
                    Some(every) => at += every,
                    None => break,
                }
            }
        }
        events.sort_by_key(|(at, _)| *at);
        events
    }

    pub(super) fn plays(&self, candidates: &[Candidate]) -> Result<Vec<Variant>, Error> {
        let mut plays: Vec<Variant> = self
            .variants
            .iter()
            .map(|variant| Variant {
                name: variant.name.clone(),
                objects: replaced(&self.objects, &variant.objects),
                policy: None,
            })
            .collect();
        if plays.is_empty() {
            plays.push(Variant {
                name: "as it is".to_owned(),
                objects: self.objects.clone(),
                policy: None,
            });
        }
        for candidate in candidates {
            let file = std::path::absolute(&candidate.file).map_err(|source| Error::File {
                file: candidate.file.clone(),
                source,
            })?;
            // Another policy of the kind would contend with it.
            let others = self.objects.iter().filter(|object| {
                let kinds = object["spec"]["kinds"].as_array();
                let decides = |kind: &PolicyKind| {
                    kinds.is_some_and(|kinds| kinds.iter().any(|name| name == kind.as_str()))
                };
                object["kind"] != "ScalingPolicy" || !candidate.kinds.iter().any(decides)
            });
            let mut objects: Vec<Value> = others.cloned().collect();
            let mut policy = json!({
                "apiVersion": autoscaler_api::API_VERSION, "kind": "ScalingPolicy",
                "metadata": {"name": objects::CANDIDATE},
                "spec": {"kinds": candidate.kinds, "source": {"file": {"path": file}}},
            });
            if let Some(config) = &candidate.config {
                policy["spec"]["config"] = config.clone();
            }
            objects.push(policy);
            plays.push(Variant {
                name: candidate.name.clone(),
                objects,
                policy: Some(objects::CANDIDATE.to_owned()),
            });
        }
        Ok(plays)
    }
}

impl Entry {
    fn check(&self, duration: Duration) -> Result<(), Problem> {
        let actions = [
            self.apply.is_some(),
            self.delete.is_some(),
            self.scale.is_some(),
            self.wave.is_some(),
            self.release.is_some(),
            self.fault.is_some(),
        ];
        let found = actions.iter().filter(|there| **there).count();
        if found != 1 {
            let problem =
                format!("needs exactly one of apply, delete, scale, wave, release, fault; it has {found}");
            return Err(Problem::new("", problem));
        }
        if self.at >= duration {
            return Err(Problem::new(".at", "is after the end of the scenario"));
        }
        let too_often =
            |every: Duration| every.is_zero() || duration.as_nanos() / every.as_nanos() > MOST_EVENTS;
        if self.every.is_some_and(too_often) {
            let problem = format!("would happen more than {MOST_EVENTS} times; make it longer");
            return Err(Problem::new(".every", problem));
        }
        for (field, object) in [(".apply", &self.apply), (".delete", &self.delete)] {
            if let Some(object) = object {
                objects::check(object).map_err(|problem| Problem::new(field, problem))?;
            }
        }
        if let Some(wave) = &self.wave {
            if wave.period.is_zero() {
                return Err(Problem::new(".wave.period", "is 0 s"));
            }
            if wave.least > wave.most {
                return Err(Problem::new(
                    ".wave.least",
                    format!("{} is above most, {}", wave.least, wave.most),
                ));
            }
        }
        Ok(())
    }
}

impl Wave {
    /// How many pods there are, so long after it began.
    pub(super) fn replicas(&self, after: Duration) -> u32 {
        let angle = after.as_secs_f64() / self.period.as_secs_f64() * std::f64::consts::TAU;
        let swing = f64::from(self.most - self.least) * (1.0 - angle.cos()) / 2.0;
        self.least + swing.round() as u32
    }
}

fn replaced(objects: &[Value], by: &[Value]) -> Vec<Value> {
    let same = |a: &Value, b: &Value| objects::identity(a) == objects::identity(b);
    let kept = objects
        .iter()
        .filter(|object| !by.iter().any(|new| same(object, new)));
    kept.chain(by).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_is_named() {
        for (text, want) in [
            ("duration: 0s", "duration: is 0 s; nothing would happen"),
            (
                "{duration: 1h, timeline: [{at: 1m}]}",
                "timeline[0]: needs exactly one of apply, delete, scale, wave, release, fault; it has 0",
            ),
            (
                "{duration: 1h, timeline: [{at: 2h, release: {deployment: a}}]}",
                "timeline[0].at: is after the end of the scenario",
            ),
            (
                "{duration: 1h, timeline: [{at: 1m, every: 1ms, release: {deployment: a}}]}",
                "timeline[0].every: would happen more than 100000 times; make it longer",
            ),
            (
                "{duration: 1h, timeline: [{at: 0s, wave: {deployment: a, least: 3, most: 2, period: 1h}}]}",
                "timeline[0].wave.least: 3 is above most, 2",
            ),
            (
                "{duration: 1h, objects: [{kind: Job, metadata: {name: a}}]}",
                "objects[0]: kind Job is not simulated; these are: AutoscalerConfig, ConfigMap, DaemonSet, Deployment, \
                 Namespace, NodeGroup, Pod, PodDisruptionBudget, PriorityClass, ScalingPolicy, Secret",
            ),
            (
                "{duration: 1h, variants: [{name: a, objects: [{kind: Pod}]}]}",
                "variants[0].objects[0]: metadata.name is missing",
            ),
        ] {
            assert_eq!(ScenarioFile::parse(text).unwrap_err().to_string(), want, "{text}");
        }
        let unknown = ScenarioFile::parse("{duration: 1h, objekts: []}")
            .unwrap_err()
            .to_string();
        assert!(unknown.contains("objekts"), "{unknown}");
    }

    #[test]
    fn a_wave_swings() {
        let wave = Wave {
            deployment: "web".to_owned(),
            namespace: default_namespace(),
            least: 6,
            most: 36,
            period: Duration::from_secs(24 * 3600),
        };
        for (hours, want) in [(0, 6), (6, 21), (12, 36), (18, 21), (24, 6)] {
            assert_eq!(
                wave.replicas(Duration::from_secs(hours * 3600)),
                want,
                "after {hours} h"
            );
        }
    }

    #[test]
    fn events_come_in_order() {
        let file = ScenarioFile::parse(
            "{duration: 3h, timeline: [{at: 1h, every: 1h, release: {deployment: a}}, {at: 30m, release: {deployment: b}}]}",
        );
        let file = file.unwrap();
        let events: Vec<(u64, &str)> = file
            .events()
            .iter()
            .map(|(at, entry)| {
                (
                    at.as_secs() / 60,
                    entry.release.as_ref().unwrap().deployment.as_str(),
                )
            })
            .collect();
        assert_eq!(events, [(30, "b"), (60, "a"), (120, "a")]);
    }

    #[test]
    fn a_variant_replaces_objects_by_kind_and_name() {
        let text = "{duration: 1h,
            objects: [{kind: Pod, metadata: {name: a}, spec: {x: 1}}, {kind: Pod, metadata: {name: b}}],
            variants: [{name: v, objects: [{kind: Pod, metadata: {name: a}, spec: {x: 2}}]}]}";
        let file = ScenarioFile::parse(text).unwrap();
        let plays = file.plays(&[]).unwrap();
        let pods: Vec<_> = plays[0]
            .objects
            .iter()
            .map(|pod| (pod["metadata"]["name"].clone(), pod["spec"]["x"].clone()))
            .collect();
        assert_eq!(pods, [(json!("b"), json!(null)), (json!("a"), json!(2))]);
    }
}
