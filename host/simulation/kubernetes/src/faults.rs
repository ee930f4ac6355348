//! Faults on demand: the next requests that match fail, are late, or lose their answer.

use std::time::Duration;

use crate::call::Verb;

/// What happens to a matching request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The request is refused without effect, with this HTTP code (409, 429, 500, 503 and 504 have their own reasons).
    Fail(u16),
    /// The request is carried out, but the answer is a 504.
    LoseAnswer,
    /// The request is carried out after this time.
    Delay(Duration),
}

/// A fault for the next `times` requests that match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which verb; any when `None`.
    pub verb: Option<Verb>,
    /// Which resource by plural name, or `plural/subresource`; any when `None`.
    pub resource: Option<String>,
    /// How many requests are hit.
    pub times: u32,
    /// What happens to them.
    pub effect: Effect,
}

/// The faults still to come.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// The effect on this request, if one is due; it counts as used.
    pub(crate) fn take(&mut self, verb: Verb, resource: &str) -> Option<Effect> {
        let index = self.0.iter().position(|fault| {
            fault.verb.is_none_or(|v| v == verb) && fault.resource.as_deref().is_none_or(|r| r == resource)
        })?;
        let fault = &mut self.0[index];
        let effect = fault.effect.clone();
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 {
            self.0.remove(index);
        }
        Some(effect)
    }
}

#[cfg(test)]
mod tests {
    use super::{Effect, Fault, Faults};
    use crate::call::Verb;

    #[test]
    fn a_fault_hits_as_often_as_asked_and_only_what_matches() {
        let mut faults = Faults::default();
        faults.add(Fault {
            verb: Some(Verb::Create),
            resource: Some("pods".to_owned()),
            times: 2,
            effect: Effect::Fail(500),
        });
        assert_eq!(faults.take(Verb::Get, "pods"), None);
        assert_eq!(faults.take(Verb::Create, "nodes"), None);
        assert_eq!(faults.take(Verb::Create, "pods"), Some(Effect::Fail(500)));
        assert_eq!(faults.take(Verb::Create, "pods"), Some(Effect::Fail(500)));
        assert_eq!(faults.take(Verb::Create, "pods"), None);
    }
}
