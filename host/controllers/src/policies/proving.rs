//! Nothing unproven becomes active: the way of a component from its source to work.
//!
//! fetch → digest → signature → compile, interfaces, self-description, configuration, rehearsal (`Host::load`) → what the
//! object says of it. A stage that fails ends the way, and what decided before goes on. Whatever comes to be proven besides
//! is one more stage in [`Controller::prove`].

use super::signature::{Keys, Signer};
use super::source::{Fetched, Refusal};
use super::{Controller, Entry, Facts, Host};
use autoscaler_api::ScalingPolicy;
use autoscaler_api::scaling_policy::ScalingPolicySpec;
use std::sync::Arc;
use tokio::time::Instant;

/// A component that passed every stage.
pub(super) struct Proven<P> {
    pub(super) policy: P,
    pub(super) facts: Facts,
    /// The hash of its bytes, where its source has bytes.
    pub(super) sha256: Option<String>,
    pub(super) signer: Option<Signer>,
}

impl<H: Host> Controller<H> {
    /// None where the entry is what the source holds.
    pub(super) async fn prove(
        &self,
        spec: &ScalingPolicySpec,
        same: Option<&Entry<H::Policy>>,
        keys: Option<&Keys>,
    ) -> Result<Option<Proven<H::Policy>>, Refusal> {
        let begun = Instant::now();
        let have = same.and_then(|entry| entry.sha256.as_deref());
        let fetched = match self.sources.fetch(&spec.source, have).await? {
            Fetched::Unchanged => return Ok(None),
            fetched => fetched,
        };
        let mut proven = self.load(fetched, spec, keys).await?;
        check(spec, &proven.facts)?;
        proven.facts.load = begun.elapsed();
        Ok(Some(proven))
    }

    /// What the status says was in use last, from the cache: the last good one of a process that is no more.
    pub(super) async fn recall(
        &self,
        object: &ScalingPolicy,
        keys: Option<&Keys>,
    ) -> Option<Proven<H::Policy>> {
        let digest = object.status.as_ref()?.digest.as_deref()?;
        let sha256 = digest.strip_prefix("sha256:")?.to_owned();
        let bytes = self.sources.blobs.get(&sha256).await?;
        let mut proven = self
            .load(Fetched::Component { bytes, sha256 }, &object.spec, keys)
            .await
            .ok()?;
        kinds(&object.spec, &proven.facts).ok()?;
        // Whatever the source holds is to be looked at again.
        proven.sha256 = None;
        Some(proven)
    }

    async fn load(
        &self,
        fetched: Fetched,
        spec: &ScalingPolicySpec,
        keys: Option<&Keys>,
    ) -> Result<Proven<H::Policy>, Refusal> {
        let (mut sha256, mut signer) = (None, None);
        if let Fetched::Component { bytes, sha256: hash } = &fetched {
            sha256 = Some(hash.clone());
            if let Some(keys) = keys {
                signer = Some(keys.verify(bytes, spec.signature.as_deref())?);
            }
        }
        let (host, wanted, blobs) = (Arc::clone(&self.host), spec.clone(), self.sources.blobs.clone());
        let loading = tokio::task::spawn_blocking(move || {
            let loaded = host.load(&fetched, &wanted)?;
            if let Fetched::Component { bytes, sha256 } = &fetched {
                blobs.put(sha256, bytes);
            }
            Ok(loaded)
        });
        let loaded = loading.await.map_err(|error| {
            let text = format!("loading the component did not end: {error}; this is a bug of the autoscaler");
            Refusal::new("InvalidComponent", text)
        })?;
        let (policy, mut facts) = loaded?;
        facts.signed_by = signer.as_ref().map(|signer| signer.name.clone());
        Ok(Proven {
            policy,
            facts,
            sha256,
            signer,
        })
    }
}

/// Whether a component is what the object says it is.
fn check(spec: &ScalingPolicySpec, facts: &Facts) -> Result<(), Refusal> {
    kinds(spec, facts)?;
    if let Some(wanted) = spec.version.as_ref().filter(|wanted| **wanted != facts.version) {
        let message = format!(
            "spec.version is {wanted}, the component says {}; correct the one or load the other",
            facts.version
        );
        return Err(Refusal::new("VersionMismatch", message));
    }
    Ok(())
}

fn kinds(spec: &ScalingPolicySpec, facts: &Facts) -> Result<(), Refusal> {
    let Some(missing) = spec.kinds.iter().find(|kind| !facts.kinds.contains(kind)) else {
        return Ok(());
    };
    let made: Vec<&str> = facts.kinds.iter().map(|kind| kind.as_str()).collect();
    let message = format!(
        "spec.kinds: {} makes no {} decisions, only {}; leave that kind out, or export its interface",
        facts.name,
        missing.as_str(),
        made.join(", ")
    );
    Err(Refusal::new("KindNotExported", message))
}
