//! Zone and region labels of volumes, from before volumes had node affinity. They still hold.

use autoscaler_core::model::{LabelOperator, LabelRequirement, NodeSelector, NodeSelectorTerm};
use k8s_openapi::api::core::v1::PersistentVolume;
use kube::ResourceExt;

const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";
/// Labels that say where something is, with the name that each has today.
const LABELS: [(&str, &str); 4] = [
    ("failure-domain.beta.kubernetes.io/zone", ZONE),
    ("failure-domain.beta.kubernetes.io/region", REGION),
    (ZONE, ZONE),
    (REGION, REGION),
];
/// Between the zones of a volume that is reachable from several.
const BETWEEN: &str = "__";

/// What the labels of a volume ask of nodes. Nodes that say nothing of their place will do.
pub(super) fn of_volume(volume: &PersistentVolume) -> Vec<NodeSelector> {
    let labels = volume.labels();
    let asked = LABELS
        .iter()
        .filter_map(|label| Some((label, labels.get(label.0)?)));
    asked
        .filter_map(|((key, today), value)| {
            let zones: Vec<String> = value.split(BETWEEN).map(|zone| zone.trim().to_owned()).collect();
            // A list with a gap cannot be read; the scheduler leaves it out.
            if zones.iter().any(String::is_empty) {
                return None;
            }
            let mut terms = vec![
                term(LABELS.map(|(label, _)| absent(label)).to_vec()),
                term(vec![one_of(key, &zones)]),
            ];
            if key != today {
                terms.push(term(vec![absent(key), one_of(today, &zones)]));
            }
            Some(NodeSelector { terms })
        })
        .collect()
}

fn term(match_expressions: Vec<LabelRequirement>) -> NodeSelectorTerm {
    NodeSelectorTerm {
        match_expressions,
        match_fields: Vec::new(),
    }
}

fn absent(key: &str) -> LabelRequirement {
    LabelRequirement {
        key: key.to_owned(),
        operator: LabelOperator::DoesNotExist,
        values: Vec::new(),
    }
}

fn one_of(key: &str, values: &[String]) -> LabelRequirement {
    LabelRequirement {
        key: key.to_owned(),
        operator: LabelOperator::In,
        values: values.to_vec(),
    }
}
