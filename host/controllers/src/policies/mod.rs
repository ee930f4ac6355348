//! ScalingPolicy objects: loads the component that each names, and puts it to work without a restart.
//!
//! A policy that cannot be loaded changes nothing: what decided before goes on, and the object says why.
//! Every replica loads every policy, so that a standby that takes over decides at once. One that fails too often
//! (`autoscaler_policy::Tally`) is not asked any more until somebody acknowledges that or changes the policy.

mod host;
mod proving;
mod rehearsal;
mod signature;
mod source;
mod status;
#[cfg(test)]
mod tests;
mod trip;

use crate::context::{Context, Now};
use crate::error::Error;
use crate::runtime::events::{EventType, Events};
use crate::runtime::metrics::Metrics;
use crate::runtime::queue::{Next, Queue};
use autoscaler_api::scaling_policy::{PolicyKind, PolicyMode, ScalingPolicy, ScalingPolicySpec};
use autoscaler_cluster::{Index, ObjectKey};
use autoscaler_policy::{Engine, Tally};
use host::PolicyHost;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use proving::Proven;
use signature::{Keys, Signer};
use source::{Blobs, Bounds, Fetched, Refusal, Sources};
use status::{Look, Outcome};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How often a ConfigMap, a file or the keys of signatures are read again: nobody tells when they change.
const READ_AGAIN: Duration = Duration::from_secs(15);
/// How often the usage is written into the status: every call changes it, and nobody reads it that often.
const USAGE_AGAIN: Duration = Duration::from_secs(30);
/// How often a policy that could not be loaded is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// What a component says of itself, and what loading it showed.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Facts {
    name: String,
    version: String,
    interface_version: String,
    /// `sha256:…`
    digest: String,
    /// Bytes.
    size: usize,
    /// Kinds of decisions that it makes.
    kinds: Vec<PolicyKind>,
    /// The name of the key.
    signed_by: Option<String>,
    /// From the beginning of the fetch until it was proven.
    load: Duration,
    compile: Duration,
}

/// A policy at work.
#[derive(Clone, Debug)]
struct Entry<P> {
    policy: P,
    facts: Facts,
    /// The hash of its bytes, where its source has bytes.
    sha256: Option<String>,
    signer: Option<Signer>,
    spec: ScalingPolicySpec,
    /// What was loaded before under the same name and did not trip.
    previous: Option<P>,
    tally: Arc<Tally>,
}

/// Where policies run: the Wasm host, or a double in tests.
trait Host: Send + Sync + 'static {
    /// A compiled component.
    type Policy: Clone + Send + Sync + 'static;

    /// Compiles a component and has it check its configuration. Takes its time: not for the runtime's threads.
    fn load(&self, fetched: &Fetched, spec: &ScalingPolicySpec) -> Result<(Self::Policy, Facts), Refusal>;

    /// From now on these policies decide, in this order; without any the built-in one does. The shadows are
    /// compared with what is decided.
    fn install(
        &self,
        kind: PolicyKind,
        deciding: &[(&str, &Entry<Self::Policy>)],
        shadows: &[(&str, &Entry<Self::Policy>)],
    ) -> Result<(), Refusal>;
}

/// The controller of ScalingPolicy objects.
pub struct Policies {
    /// Policies to look at.
    pub queue: Arc<Queue<ObjectKey>>,
    controller: Controller<PolicyHost>,
}

impl Policies {
    /// Nothing is done before the queue is worked off. Components are kept in `cache`, where there is one.
    pub fn new(context: &Context, engine: Engine, cache: Option<PathBuf>) -> Self {
        let sources = Sources {
            client: context.effects.clone(),
            blobs: Blobs::new(cache),
            bounds: Bounds::default(),
        };
        let queue = Arc::new(Queue::new());
        let wake = queue.clone();
        context
            .policies
            .on_trip(move |name| wake.add(ObjectKey::new("", name)));
        let controller = Controller {
            sources,
            client: context.effects.clone(),
            index: context.index.clone(),
            metrics: context.metrics.clone(),
            events: context.events.clone(),
            now: context.now.clone(),
            host: Arc::new(PolicyHost::new(
                engine,
                context.policies.clone(),
                context.records.clone(),
            )),
            entries: Mutex::new(BTreeMap::new()),
            told: Mutex::new(BTreeMap::new()),
        };
        Self { queue, controller }
    }

    /// Looks at one policy.
    pub async fn reconcile(&self, key: ObjectKey) -> Result<Next, Error> {
        self.controller.reconcile(&key.name).await
    }
}

struct Controller<H: Host> {
    sources: Sources,
    client: Client,
    index: Arc<Index>,
    metrics: Arc<Metrics>,
    events: Events,
    now: Now,
    host: Arc<H>,
    entries: Mutex<BTreeMap<String, Entry<H::Policy>>>,
    /// When the usage of each policy was last written.
    told: Mutex<BTreeMap<String, Instant>>,
}

impl<H: Host> Controller<H> {
    async fn reconcile(&self, name: &str) -> Result<Next, Error> {
        let object = self.index.policy(name);
        let Some(object) = object.filter(|object| object.metadata.deletion_timestamp.is_none()) else {
            if self.remove(name) {
                tracing::info!(
                    policy = name,
                    "the ScalingPolicy is gone; the built-in policy decides for it"
                );
            }
            self.told.lock().remove(name);
            self.metrics.policy_gone(name);
            return Ok(Next::Done);
        };
        let spec = &object.spec;
        if spec.mode_or_default() == PolicyMode::Off {
            self.remove(name);
            self.metrics.policy_loaded(name, false);
            self.metrics.policy_tripped(name, false);
            self.report(&object, Outcome::Off, None).await?;
            return Ok(Next::Done);
        }
        let before = self.entry(name);
        let result = self.bring_in(name, &object, before.as_ref()).await;
        self.follow_trip(name, &object);
        let present = self.entry(name);
        let (facts, tally) = match &present {
            Some(entry) => (Some(&entry.facts), Some(&*entry.tally)),
            None => (None, None),
        };
        self.metrics.policy_loaded(name, result.is_ok());
        self.tell_of_trip(&object, tally);
        match (&result, facts) {
            (Ok(()), Some(facts)) => {
                if before.is_none_or(|before| before.facts.digest != facts.digest) {
                    self.announce(&object, facts);
                }
                self.report(&object, Outcome::InUse(facts), tally).await?;
            }
            (Err(refusal), facts) => {
                tracing::warn!(
                    policy = name,
                    reason = refusal.reason,
                    "ScalingPolicy not loaded: {}",
                    refusal.message
                );
                let regarding = object.object_ref(&());
                self.events.publish(
                    &regarding,
                    EventType::Warning,
                    refusal.reason,
                    "LoadPolicy",
                    refusal.message.clone(),
                );
                self.report(&object, Outcome::Refused(refusal, facts), tally)
                    .await?;
                return Ok(Next::After(TRY_AGAIN));
            }
            // Loaded, and removed by another reconcile in between: that one has the last word.
            (Ok(()), None) => return Ok(Next::After(Duration::ZERO)),
        }
        let changes_silently =
            spec.source.config_map.is_some() || spec.source.file.is_some() || spec.signature.is_some();
        Ok(Next::After(if changes_silently {
            READ_AGAIN
        } else {
            USAGE_AGAIN
        }))
    }

    fn entry(&self, name: &str) -> Option<Entry<H::Policy>> {
        self.entries.lock().get(name).cloned()
    }

    /// Makes sure that the policy at work is the one that the object means.
    async fn bring_in(
        &self,
        name: &str,
        object: &ScalingPolicy,
        before: Option<&Entry<H::Policy>>,
    ) -> Result<(), Refusal> {
        let spec = &object.spec;
        let keys = Keys::read(&self.client, self.index.config().as_deref(), spec).await?;
        // Keys come and go, and with them what may decide.
        let trusted = |entry: &&Entry<H::Policy>| {
            let keys = keys.as_ref();
            entry.spec.source.built_in.is_some()
                || keys.is_none_or(|keys| keys.still_trust(entry.signer.as_ref()))
        };
        let same = before.filter(trusted).filter(|entry| entry.spec == *spec);
        if same.is_some() && spec.source.built_in.is_some() {
            return Ok(());
        }
        match self.prove(spec, same, keys.as_ref()).await {
            Ok(None) => Ok(()),
            Ok(Some(proven)) => self.put(name, object, proven, before),
            Err(refusal) => {
                match before {
                    Some(entry) if !trusted(&entry) => drop(self.remove(name)),
                    Some(_) => {}
                    None => {
                        if let Some(proven) = self.recall(object, keys.as_ref()).await {
                            self.put(name, object, proven, None)?;
                        }
                    }
                }
                Err(refusal)
            }
        }
    }

    /// Puts a proven component to work, or the one before back.
    fn put(
        &self,
        name: &str,
        object: &ScalingPolicy,
        proven: Proven<H::Policy>,
        before: Option<&Entry<H::Policy>>,
    ) -> Result<(), Refusal> {
        let Proven {
            policy,
            facts,
            sha256,
            signer,
        } = proven;
        let previous = match before {
            Some(before) if before.facts.digest == facts.digest || before.tally.trip().is_some() => {
                before.previous.clone()
            }
            Some(before) => Some(before.policy.clone()),
            None => None,
        };
        let entry = Entry {
            tally: Arc::new(trip::tally(object, &facts.digest)?),
            policy,
            facts,
            sha256,
            signer,
            spec: object.spec.clone(),
            previous,
        };
        let mut entries = self.entries.lock();
        entries.insert(name.to_owned(), entry);
        let installed = self.install(&entries);
        if installed.is_err() {
            match before {
                Some(before) => entries.insert(name.to_owned(), before.clone()),
                None => entries.remove(name),
            };
            self.install(&entries)?;
        }
        installed
    }

    fn remove(&self, name: &str) -> bool {
        let mut entries = self.entries.lock();
        let removed = entries.remove(name).is_some();
        if removed && let Err(refusal) = self.install(&entries) {
            tracing::error!(policy = name, reason = refusal.reason, "{}", refusal.message);
        }
        removed
    }

    /// Those with a selector come first: the others are for the groups that nobody selects. A canary comes before
    /// what it is to replace.
    fn install(&self, entries: &BTreeMap<String, Entry<H::Policy>>) -> Result<(), Refusal> {
        for kind in PolicyKind::ALL {
            let mut of_kind: Vec<(&str, &Entry<H::Policy>)> = entries
                .iter()
                .filter(|(_, entry)| entry.spec.kinds.contains(&kind))
                .map(|(name, entry)| (name.as_str(), entry))
                .collect();
            of_kind.sort_by_key(|(name, entry)| {
                let general = entry.spec.node_group_selector.is_none();
                (general, entry.spec.canary_share().is_none(), *name)
            });
            let is_shadow =
                |(_, entry): &(&str, &Entry<H::Policy>)| entry.spec.mode_or_default() == PolicyMode::Shadow;
            let (shadows, deciding): (Vec<_>, Vec<_>) = of_kind.into_iter().partition(is_shadow);
            self.host.install(kind, &deciding, &shadows)?;
            for (name, _) in deciding {
                self.metrics.policy_bound(kind.as_str(), name);
            }
            for (name, _) in shadows {
                self.metrics.shadow_bound(name);
            }
        }
        Ok(())
    }

    fn announce(&self, object: &ScalingPolicy, facts: &Facts) {
        let Facts {
            name,
            version,
            digest,
            ..
        } = facts;
        tracing::info!(
            policy = object.metadata.name,
            digest,
            "ScalingPolicy loaded: {name} {version}"
        );
        let does = match object.spec.mode_or_default() {
            PolicyMode::Shadow => "is compared with what decides",
            _ => "decides",
        };
        let note = format!("{name} {version} ({digest}) {does}");
        self.events.publish(
            &object.object_ref(&()),
            EventType::Normal,
            "PolicyLoaded",
            "LoadPolicy",
            note,
        );
    }

    async fn report(
        &self,
        object: &ScalingPolicy,
        outcome: Outcome<'_>,
        tally: Option<&Tally>,
    ) -> Result<(), Error> {
        let name = object.metadata.name.as_deref().unwrap_or_default();
        let now = Instant::now();
        let told = self.told.lock().get(name).copied();
        let usage_due = told.is_none_or(|told| now.duration_since(told) >= USAGE_AGAIN);
        let before = object.status.clone().unwrap_or_default();
        let look = Look {
            object,
            outcome,
            tally,
            usage_due,
        };
        let after = status::after(&before, &look, (self.now)());
        if after == before {
            return Ok(());
        }
        if (&after.usage, &after.shadow) != (&before.usage, &before.shadow) {
            self.told.lock().insert(name.to_owned(), now);
        }
        let patch = status::patch(&before, &after, object.metadata.resource_version.as_deref());
        let api = Api::<ScalingPolicy>::all(self.client.clone());
        let written = api
            .patch_status(name, &PatchParams::default(), &Patch::Merge(&patch))
            .await;
        match written.map_err(Error::kubernetes("writing the ScalingPolicy's status")) {
            // Another replica wrote the same, or the object went: the watch tells.
            Err(error) if error.is_conflict() || error.is_not_found() => Ok(()),
            other => other.map(drop),
        }
    }
}
