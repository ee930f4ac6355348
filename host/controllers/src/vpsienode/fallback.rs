//! The next choice of a plan: where VPSie refuses an order for certain, the record of the next-ranked offering is
//! made in the same step, before the refused one is given up. No decision has to be made anew for it.

use super::VpsieNodes;
use crate::error::Error;
use crate::health::Place;
use crate::nodegroup::{NewNode, new_vpsie_node};
use autoscaler_api::vpsie_node::CreationReason;
use autoscaler_api::{VPSieNode, labels};
use kube::ResourceExt;
use kube::api::PostParams;

impl VpsieNodes {
    /// Makes the record of the next choice that does not rest. Tells whether there was one.
    pub(super) async fn fall_back(
        &self,
        node: &VPSieNode,
        refusal: &vpsie_client::Error,
    ) -> Result<bool, Error> {
        use vpsie_client::Error::{Conflict, LimitReached, NotFound, Rejected};
        // What the account may not do at all, no other offering cures.
        let cured = matches!(
            refusal,
            LimitReached { .. } | Rejected { .. } | NotFound { .. } | Conflict { .. }
        );
        let Some(group) = self.group(node).filter(|_| cured) else {
            return Ok(false);
        };
        let mut choices = fallbacks(node).into_iter();
        let rests = |offering: &str| {
            let place = Place {
                offering: offering.to_owned(),
                ..Place::of(node)
            };
            self.ctx.catalogue.rests_until(&place).is_some()
        };
        let Some((offering, size)) = choices.find(|(offering, _)| !rests(offering)) else {
            return Ok(false);
        };
        let new = NewNode {
            // Follows from the refused one: a step that is repeated after a crash makes no second record.
            name: format!("{}-{size}", node.name_any()),
            offering,
            size,
            reason: node.spec.creation_reason.unwrap_or(CreationReason::Metrics),
            waiting_since: node
                .annotations()
                .get(super::WAITING_SINCE)
                .and_then(|text| text.parse().ok()),
            fallbacks: choices.collect(),
        };
        tracing::info!(
            refused = %node.name_any(), next = new.name, offering = new.offering,
            "provisioning: VPSie refused {}, the next offering of the plan is tried", node.spec.instance_type
        );
        let created = self
            .api(node)
            .create(&PostParams::default(), &new_vpsie_node(&group, new))
            .await;
        match created.map_err(Error::kubernetes("creating a VPSieNode")) {
            Err(error) if !error.is_conflict() => Err(error),
            _ => Ok(true),
        }
    }
}

/// The choices that are left, best first; an annotation that cannot be read leaves none.
fn fallbacks(node: &VPSieNode) -> Vec<(String, i64)> {
    let text = node.annotations().get(labels::FALLBACKS);
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_read_back_as_they_were_written() {
        let mut node = VPSieNode::new("a", Default::default());
        assert!(fallbacks(&node).is_empty());
        for (text, expected) in [
            (
                r#"[["k8s-4-8",13],["k8s-8-16",15]]"#,
                vec![("k8s-4-8".to_owned(), 13), ("k8s-8-16".to_owned(), 15)],
            ),
            ("k8s-4-8", vec![]),
            ("[]", vec![]),
        ] {
            node.annotations_mut()
                .insert(labels::FALLBACKS.to_owned(), text.to_owned());
            assert_eq!(fallbacks(&node), expected, "{text}");
        }
    }
}
