//! The Wasm host as this controller uses it: spec words in, bindings out.

use super::rehearsal::rehearse;
use super::source::{Fetched, Refusal};
use super::{Entry, Facts, Host};
use crate::runtime::chain;
use autoscaler_api::scaling_policy::{Fallback, PolicyKind, PolicyMode, ScalingPolicySpec};
use autoscaler_core::decision::Kind;
use autoscaler_core::model::{LabelOperator, LabelRequirement, LabelSelector};
use autoscaler_policy::record::Records;
use autoscaler_policy::{Binding, CompiledPolicy, Engine, GroupFilter, LastGood, Limits, PolicySet};
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::time::Instant;

/// The interface that this host speaks; every component that it loads was built for it.
const INTERFACE: &str = "0.1.0";

/// Compiles components and swaps bindings.
pub(super) struct PolicyHost {
    engine: Engine,
    set: Arc<PolicySet>,
    /// What a component is rehearsed with.
    records: Arc<Records>,
}

/// A component with what its ScalingPolicy set for it when it was loaded.
#[derive(Clone, Debug)]
pub(super) struct Loaded {
    pub(super) policy: Arc<CompiledPolicy>,
    pub(super) config: String,
    pub(super) limits: Limits,
}

impl PolicyHost {
    pub(super) fn new(engine: Engine, set: Arc<PolicySet>, records: Arc<Records>) -> Self {
        Self { engine, set, records }
    }

    /// A component of the binary: it is the one that decides where no ScalingPolicy does.
    fn built_in(&self, name: &str) -> Result<Arc<CompiledPolicy>, Refusal> {
        let unknown = || {
            let known: Vec<&str> = Kind::ALL.into_iter().map(Kind::as_str).collect();
            let message = format!(
                "spec.source.builtIn: there is no {name}; there are {}",
                known.join(", ")
            );
            Refusal::new("UnknownBuiltIn", message)
        };
        let kind = Kind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == name)
            .ok_or_else(unknown)?;
        let last = self.set.active(kind).pop();
        last.map(|binding| binding.policy.clone()).ok_or_else(unknown)
    }
}

impl Host for PolicyHost {
    type Policy = Loaded;

    fn load(&self, fetched: &Fetched, spec: &ScalingPolicySpec) -> Result<(Loaded, Facts), Refusal> {
        let begun = Instant::now();
        let (policy, size) = match fetched {
            Fetched::BuiltIn(name) => (self.built_in(name)?, 0),
            Fetched::Component { bytes, .. } => {
                let compiled = self.engine.compile(bytes);
                let compiled = compiled.map_err(|error| {
                    Refusal::new(error.reason(), format!("spec.source: {}", chain(&error)))
                })?;
                (compiled, bytes.len())
            }
            Fetched::Unchanged => return Err(Refusal::new("InvalidSource", "there is nothing to load")),
        };
        let compile = begun.elapsed();
        let limits = limits(spec)?;
        let config = serde_json::to_string(spec.config.as_ref().unwrap_or(&serde_json::Map::new()))
            .map_err(|error| Refusal::new("InvalidConfig", format!("spec.config: {error}")))?;
        let kinds = spec.kinds.iter().map(|kind| core_kind(*kind));
        let kinds: BTreeSet<Kind> = kinds.filter(|kind| policy.description(*kind).is_some()).collect();
        for kind in &kinds {
            check_config(&policy, *kind, &config, &limits)?;
        }
        let facts = facts(&policy, spec, size, compile);
        let loaded = Loaded {
            policy,
            config,
            limits,
        };
        rehearse(&self.records, &self.set, &kinds, &loaded)?;
        Ok((loaded, facts))
    }

    fn install(
        &self,
        kind: PolicyKind,
        deciding: &[(&str, &Entry<Loaded>)],
        shadows: &[(&str, &Entry<Loaded>)],
    ) -> Result<(), Refusal> {
        let bindings = |entries: &[(&str, &Entry<Loaded>)]| -> Result<Vec<Binding>, Refusal> {
            entries.iter().map(|(name, entry)| binding(name, entry)).collect()
        };
        // Both before either: what cannot be bound must change nothing.
        let (deciding, shadows) = (bindings(deciding)?, bindings(shadows)?);
        self.set.swap(core_kind(kind), deciding);
        self.set.swap_shadows(core_kind(kind), shadows);
        Ok(())
    }
}

fn core_kind(kind: PolicyKind) -> Kind {
    match kind {
        PolicyKind::ScaleUp => Kind::ScaleUp,
        PolicyKind::NodeSelection => Kind::NodeSelection,
        PolicyKind::Rebalance => Kind::Rebalance,
    }
}

fn facts(
    policy: &CompiledPolicy,
    spec: &ScalingPolicySpec,
    size: usize,
    compile: std::time::Duration,
) -> Facts {
    let kinds = PolicyKind::ALL
        .into_iter()
        .filter(|kind| policy.description(core_kind(*kind)).is_some())
        .collect();
    // A component may describe itself differently for each kind; the first that the object uses speaks.
    let named = spec
        .kinds
        .iter()
        .find_map(|kind| policy.description(core_kind(*kind)));
    let described = named.or_else(|| policy.kinds().next().and_then(|kind| policy.description(kind)));
    Facts {
        name: described
            .map(|description| description.name.clone())
            .unwrap_or_default(),
        version: described
            .map(|description| description.version.clone())
            .unwrap_or_default(),
        interface_version: INTERFACE.to_owned(),
        digest: policy.digest().to_owned(),
        size,
        kinds,
        signed_by: None,
        load: compile,
        compile,
    }
}

fn check_config(policy: &CompiledPolicy, kind: Kind, config: &str, limits: &Limits) -> Result<(), Refusal> {
    let diagnostics = policy.validate_config(kind, config, limits);
    let diagnostics =
        diagnostics.map_err(|error| Refusal::new(error.reason(), format!("spec.config: {error}")))?;
    if diagnostics.is_empty() {
        return Ok(());
    }
    let text = |diagnostic: &autoscaler_policy::Diagnostic| {
        let hint = if diagnostic.hint.is_empty() {
            String::new()
        } else {
            format!(" ({})", diagnostic.hint)
        };
        format!(
            "spec.config{}: {}{hint}",
            diagnostic.path.replace('/', "."),
            diagnostic.message
        )
    };
    let texts: Vec<String> = diagnostics.iter().map(text).collect();
    Err(Refusal::new("InvalidConfig", texts.join("; ")))
}

fn limits(spec: &ScalingPolicySpec) -> Result<Limits, Refusal> {
    let limits = spec.limits_or_default();
    let deadline = limits.deadline_or_default().value();
    let invalid = |error: &dyn std::error::Error| {
        Refusal::new("InvalidLimits", format!("spec.limits.deadline: {error}"))
    };
    // The schema lets no negative numbers in.
    let unsigned = |value: i64| u64::try_from(value).unwrap_or(0);
    Ok(Limits {
        fuel: unsigned(limits.fuel_or_default()),
        deadline: deadline.map_err(|error| invalid(&error))?,
        memory_bytes: unsigned(limits.memory_mib_or_default()) << 20,
        output_bytes: unsigned(limits.output_kib_or_default()) << 10,
    })
}

fn binding(name: &str, entry: &Entry<Loaded>) -> Result<Binding, Refusal> {
    let Loaded {
        policy,
        config,
        limits,
    } = entry.policy.clone();
    let good = |good: &Loaded| LastGood {
        policy: good.policy.clone(),
        config: good.config.clone(),
        limits: good.limits,
    };
    Ok(Binding {
        name: name.to_owned(),
        policy,
        config,
        limits,
        fallback: match entry.spec.fallback_or_default() {
            // Nobody stands in for what decides nothing.
            _ if entry.spec.mode_or_default() == PolicyMode::Shadow => autoscaler_policy::Fallback::Hold,
            Fallback::LastGood => autoscaler_policy::Fallback::LastGood,
            Fallback::BuiltIn => autoscaler_policy::Fallback::BuiltIn,
            Fallback::Hold => autoscaler_policy::Fallback::Hold,
        },
        last_good: entry.previous.as_ref().map(good),
        groups: match &entry.spec.node_group_selector {
            Some(selector) => GroupFilter::Labels(label_selector(selector)?),
            None => GroupFilter::All,
        },
        share: entry.spec.canary_share(),
        tally: entry.tally.clone(),
    })
}

fn label_selector(selector: &meta::LabelSelector) -> Result<LabelSelector, Refusal> {
    let requirement = |requirement: &meta::LabelSelectorRequirement| {
        let operator = match requirement.operator.as_str() {
            "In" => LabelOperator::In,
            "NotIn" => LabelOperator::NotIn,
            "Exists" => LabelOperator::Exists,
            "DoesNotExist" => LabelOperator::DoesNotExist,
            other => {
                let message = format!(
                    "spec.nodeGroupSelector: {other} is no operator; there are In, NotIn, Exists, DoesNotExist"
                );
                return Err(Refusal::new("InvalidSelector", message));
            }
        };
        let values = requirement.values.clone().unwrap_or_default();
        Ok(LabelRequirement {
            key: requirement.key.clone(),
            operator,
            values,
        })
    };
    Ok(LabelSelector {
        match_labels: selector.match_labels.clone().unwrap_or_default(),
        match_expressions: selector
            .match_expressions
            .iter()
            .flatten()
            .map(requirement)
            .collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
