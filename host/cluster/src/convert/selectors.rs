//! Selectors, of labels and of nodes.

use autoscaler_core::model::{
    LabelOperator, LabelRequirement, LabelSelector, Labels, NodeSelector, NodeSelectorTerm,
};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

/// A requirement. One with an operator that does not exist is met by nothing.
pub(super) fn requirement(key: &str, operator: &str, values: Option<&Vec<String>>) -> LabelRequirement {
    let values = || values.cloned().unwrap_or_default();
    let (operator, values) = match operator {
        "In" => (LabelOperator::In, values()),
        "NotIn" => (LabelOperator::NotIn, values()),
        "Exists" => (LabelOperator::Exists, values()),
        "DoesNotExist" => (LabelOperator::DoesNotExist, values()),
        "Gt" => (LabelOperator::Gt, values()),
        "Lt" => (LabelOperator::Lt, values()),
        _ => (LabelOperator::In, Vec::new()),
    };
    LabelRequirement {
        key: key.to_owned(),
        operator,
        values,
    }
}

pub(super) fn node_selector(selector: &core::NodeSelector) -> NodeSelector {
    let terms = selector.node_selector_terms.iter();
    NodeSelector {
        terms: terms.map(node_selector_term).collect(),
    }
}

pub(super) fn node_selector_term(term: &core::NodeSelectorTerm) -> NodeSelectorTerm {
    let requirements = |list: Option<&Vec<core::NodeSelectorRequirement>>| {
        list.into_iter()
            .flatten()
            .map(|r| requirement(&r.key, &r.operator, r.values.as_ref()))
            .collect()
    };
    NodeSelectorTerm {
        match_expressions: requirements(term.match_expressions.as_ref()),
        match_fields: requirements(term.match_fields.as_ref()),
    }
}

pub(crate) fn label_selector(selector: &meta::LabelSelector) -> LabelSelector {
    LabelSelector {
        match_labels: selector.match_labels.clone().unwrap_or_default(),
        match_expressions: selector
            .match_expressions
            .iter()
            .flatten()
            .map(|r| requirement(&r.key, &r.operator, r.values.as_ref()))
            .collect(),
    }
}

/// Folds `matchLabelKeys` (and its opposite) into a selector: the pod's own values are required.
pub(super) fn with_label_keys(
    selector: Option<&meta::LabelSelector>,
    matching: Option<&Vec<String>>,
    mismatching: Option<&Vec<String>>,
    labels: &Labels,
) -> Option<LabelSelector> {
    let mut selector = label_selector(selector?);
    let mut fold = |keys: Option<&Vec<String>>, operator: LabelOperator| {
        for key in keys.into_iter().flatten() {
            if let Some(value) = labels.get(key) {
                selector.match_expressions.push(LabelRequirement {
                    key: key.clone(),
                    operator,
                    values: vec![value.clone()],
                });
            }
        }
    };
    fold(matching, LabelOperator::In);
    fold(mismatching, LabelOperator::NotIn);
    Some(selector)
}
