//! ScalingPolicy objects: loads the component that each names, and puts it to work without a restart.
//!
//! A policy that cannot be loaded changes nothing: what decided before goes on, and the object says why.
//! Every replica loads every policy, so that a standby that takes over decides at once.

mod host;
mod source;
mod status;
#[cfg(test)]
mod tests;

use crate::context::{Context, Now};
use crate::error::Error;
use crate::runtime::events::{EventType, Events};
use crate::runtime::metrics::Metrics;
use crate::runtime::queue::{Next, Queue};
use autoscaler_api::scaling_policy::{PolicyKind, PolicyMode, ScalingPolicy, ScalingPolicySpec};
use autoscaler_cluster::{Index, ObjectKey};
use autoscaler_policy::Engine;
use host::PolicyHost;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use parking_lot::Mutex;
use source::{Fetched, Refusal, fetch};
use status::Outcome;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often a ConfigMap or a file is read again: nobody tells when they change.
const READ_AGAIN: Duration = Duration::from_secs(15);
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
    compile: Duration,
}

/// A policy at work.
#[derive(Clone, Debug)]
struct Entry<P> {
    policy: P,
    facts: Facts,
    /// The hash of its bytes, where its source has bytes.
    sha256: Option<String>,
    spec: ScalingPolicySpec,
    /// What was loaded before under the same name.
    previous: Option<P>,
}

/// Where policies run: the Wasm host, or a double in tests.
trait Host: Send + Sync + 'static {
    /// A compiled component.
    type Policy: Clone + Send + Sync + 'static;

    /// Compiles a component and has it check its configuration. Takes its time: not for the runtime's threads.
    fn load(&self, fetched: &Fetched, spec: &ScalingPolicySpec) -> Result<(Self::Policy, Facts), Refusal>;

    /// From now on these policies decide, in this order; without any the built-in one does.
    fn install(&self, kind: PolicyKind, entries: &[(&str, &Entry<Self::Policy>)]) -> Result<(), Refusal>;
}

/// The controller of ScalingPolicy objects.
pub struct Policies {
    /// Policies to look at.
    pub queue: Arc<Queue<ObjectKey>>,
    controller: Controller<PolicyHost>,
}

impl Policies {
    /// Nothing is done before the queue is worked off.
    pub fn new(context: &Context, engine: Engine) -> Self {
        let controller = Controller {
            client: context.effects.clone(),
            index: context.index.clone(),
            metrics: context.metrics.clone(),
            events: context.events.clone(),
            now: context.now.clone(),
            host: Arc::new(PolicyHost::new(engine, context.policies.clone())),
            entries: Mutex::new(BTreeMap::new()),
        };
        Self {
            queue: Arc::new(Queue::new()),
            controller,
        }
    }

    /// Looks at one policy.
    pub async fn reconcile(&self, key: ObjectKey) -> Result<Next, Error> {
        self.controller.reconcile(&key.name).await
    }
}

struct Controller<H: Host> {
    client: Client,
    index: Arc<Index>,
    metrics: Arc<Metrics>,
    events: Events,
    now: Now,
    host: Arc<H>,
    entries: Mutex<BTreeMap<String, Entry<H::Policy>>>,
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
            self.metrics.policy_gone(name);
            return Ok(Next::Done);
        };
        let spec = &object.spec;
        if spec.mode_or_default() == PolicyMode::Off {
            self.remove(name);
            self.metrics.policy_loaded(name, false);
            self.report(&object, Outcome::Off).await?;
            return Ok(Next::Done);
        }
        let before = self.entry(name);
        let result = self.load(name, spec, before.as_ref()).await;
        let present = self.entry(name);
        let facts = present.as_ref().map(|entry| &entry.facts);
        self.metrics.policy_loaded(name, result.is_ok());
        match (&result, facts) {
            (Ok(()), Some(facts)) => {
                if before.is_none_or(|before| before.facts.digest != facts.digest) {
                    self.announce(&object, facts);
                }
                self.report(&object, Outcome::InUse(facts)).await?;
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
                self.report(&object, Outcome::Refused(refusal, facts)).await?;
                return Ok(Next::After(TRY_AGAIN));
            }
            // Loaded, and removed by another reconcile in between: that one has the last word.
            (Ok(()), None) => return Ok(Next::After(Duration::ZERO)),
        }
        let changes_silently = spec.source.config_map.is_some() || spec.source.file.is_some();
        Ok(if changes_silently {
            Next::After(READ_AGAIN)
        } else {
            Next::Done
        })
    }

    fn entry(&self, name: &str) -> Option<Entry<H::Policy>> {
        self.entries.lock().get(name).cloned()
    }

    /// Makes sure that the policy at work is the one that `spec` means.
    async fn load(
        &self,
        name: &str,
        spec: &ScalingPolicySpec,
        before: Option<&Entry<H::Policy>>,
    ) -> Result<(), Refusal> {
        if spec.mode_or_default() == PolicyMode::Shadow {
            return Err(Refusal::new(
                "UnsupportedMode",
                "spec.mode: this version has no Shadow mode",
            ));
        }
        let same = before.filter(|entry| entry.spec == *spec);
        if same.is_some() && spec.source.built_in.is_some() {
            return Ok(());
        }
        let have = same.and_then(|entry| entry.sha256.as_deref());
        let fetched = fetch(&self.client, &spec.source, have).await?;
        let sha256 = match &fetched {
            Fetched::Unchanged => return Ok(()),
            Fetched::BuiltIn(_) => None,
            Fetched::Component { sha256, .. } => Some(sha256.clone()),
        };
        let (host, wanted) = (self.host.clone(), spec.clone());
        let loaded = tokio::task::spawn_blocking(move || host.load(&fetched, &wanted)).await;
        let (policy, facts) = loaded.map_err(|error| {
            Refusal::new(
                "InvalidComponent",
                format!("loading the component did not end: {error}"),
            )
        })??;
        check(spec, &facts)?;
        let previous = match before {
            Some(before) if before.facts.digest == facts.digest => before.previous.clone(),
            Some(before) => Some(before.policy.clone()),
            None => None,
        };
        let entry = Entry {
            policy,
            facts,
            sha256,
            spec: spec.clone(),
            previous,
        };
        self.put(name, entry, before)
    }

    /// Puts an entry to work, or the one before back.
    fn put(
        &self,
        name: &str,
        entry: Entry<H::Policy>,
        before: Option<&Entry<H::Policy>>,
    ) -> Result<(), Refusal> {
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

    /// Those with a selector come first: the others are for the groups that nobody selects.
    fn install(&self, entries: &BTreeMap<String, Entry<H::Policy>>) -> Result<(), Refusal> {
        for kind in PolicyKind::ALL {
            let mut decide: Vec<(&str, &Entry<H::Policy>)> = entries
                .iter()
                .filter(|(_, entry)| entry.spec.kinds.contains(&kind))
                .map(|(name, entry)| (name.as_str(), entry))
                .collect();
            decide.sort_by_key(|(name, entry)| (entry.spec.node_group_selector.is_none(), *name));
            self.host.install(kind, &decide)?;
            for (name, _) in decide {
                self.metrics.policy_bound(kind.as_str(), name);
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
        let note = format!("{name} {version} ({digest}) decides");
        self.events.publish(
            &object.object_ref(&()),
            EventType::Normal,
            "PolicyLoaded",
            "LoadPolicy",
            note,
        );
    }

    async fn report(&self, object: &ScalingPolicy, outcome: Outcome<'_>) -> Result<(), Error> {
        let before = object.status.clone().unwrap_or_default();
        let after = status::after(&before, outcome, object.metadata.generation, (self.now)());
        if after == before {
            return Ok(());
        }
        let patch = status::patch(&before, &after, object.metadata.resource_version.as_deref());
        let api = Api::<ScalingPolicy>::all(self.client.clone());
        let name = object.metadata.name.as_deref().unwrap_or_default();
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

/// Whether a component is what the object says it is.
fn check(spec: &ScalingPolicySpec, facts: &Facts) -> Result<(), Refusal> {
    if let Some(missing) = spec.kinds.iter().find(|kind| !facts.kinds.contains(kind)) {
        let message = format!(
            "spec.kinds: {} makes no {} decisions",
            facts.name,
            missing.as_str()
        );
        return Err(Refusal::new("KindNotExported", message));
    }
    if let Some(wanted) = spec.version.as_ref().filter(|wanted| **wanted != facts.version) {
        let message = format!("spec.version is {wanted}, the component says {}", facts.version);
        return Err(Refusal::new("VersionMismatch", message));
    }
    Ok(())
}
