//! Selectors as Kubernetes writes them: over labels, and over nodes.

use super::Labels;
use serde::{Deserialize, Serialize};

/// Operator of a requirement. `Gt` and `Lt` compare integers and exist for nodes only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum LabelOperator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
    Gt,
    Lt,
}

/// `key operator values`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LabelRequirement {
    pub key: String,
    pub operator: LabelOperator,
    #[serde(default)]
    pub values: Vec<String>,
}

impl LabelRequirement {
    /// Whether labels that give `value` to the key meet the requirement. A requirement that Kubernetes would
    /// not have let in (`In` without values, `Gt` without a number) is met by nothing.
    pub fn matches(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|known| known == value);
        match self.operator {
            LabelOperator::In => value.is_some_and(listed),
            LabelOperator::NotIn => !self.values.is_empty() && !value.is_some_and(listed),
            LabelOperator::Exists => self.values.is_empty() && value.is_some(),
            LabelOperator::DoesNotExist => self.values.is_empty() && value.is_none(),
            LabelOperator::Gt => self.compares(value, |value, bound| value > bound),
            LabelOperator::Lt => self.compares(value, |value, bound| value < bound),
        }
    }

    fn compares(&self, value: Option<&str>, holds: impl Fn(i64, i64) -> bool) -> bool {
        let ([bound], Some(value)) = (self.values.as_slice(), value) else {
            return false;
        };
        match (value.parse(), bound.parse()) {
            (Ok(value), Ok(bound)) => holds(value, bound),
            _ => false,
        }
    }
}

/// A label selector: all of it must hold. Empty selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LabelSelector {
    #[serde(default)]
    pub match_labels: Labels,
    #[serde(default)]
    pub match_expressions: Vec<LabelRequirement>,
}

impl LabelSelector {
    /// Whether it selects an object with these labels.
    pub fn matches(&self, labels: &Labels) -> bool {
        self.match_labels
            .iter()
            .all(|(key, value)| labels.get(key) == Some(value))
            && self
                .match_expressions
                .iter()
                .all(|requirement| requirement.matches(labels.get(&requirement.key).map(String::as_str)))
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.match_labels.is_empty() && self.match_expressions.is_empty()
    }
}

/// A requirement on a node's labels.
pub type NodeRequirement = LabelRequirement;

/// Required node affinity: one of the terms must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeSelector {
    pub terms: Vec<NodeSelectorTerm>,
}

impl NodeSelector {
    /// Whether a node with this name and these labels is selected.
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        self.terms.iter().any(|term| term.matches(name, labels))
    }
}

/// All requirements of a term must hold; a term without any holds for no node.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodeSelectorTerm {
    #[serde(default)]
    pub match_expressions: Vec<NodeRequirement>,
    /// Requirements on fields; Kubernetes knows `metadata.name` only.
    #[serde(default)]
    pub match_fields: Vec<NodeRequirement>,
}

impl NodeSelectorTerm {
    /// The one field that requirements may name.
    pub const NAME_FIELD: &'static str = "metadata.name";

    /// Whether a node with this name and these labels meets the term.
    pub fn matches(&self, name: &str, labels: &Labels) -> bool {
        (!self.match_expressions.is_empty() || !self.match_fields.is_empty())
            && self
                .match_expressions
                .iter()
                .all(|requirement| requirement.matches(labels.get(&requirement.key).map(String::as_str)))
            && self.match_fields.iter().all(|requirement| {
                requirement.key == Self::NAME_FIELD
                    && matches!(requirement.operator, LabelOperator::In | LabelOperator::NotIn)
                    && requirement.matches(Some(name))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::{LabelOperator::*, *};

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    fn requirement(key: &str, operator: LabelOperator, values: &[&str]) -> LabelRequirement {
        LabelRequirement {
            key: key.into(),
            operator,
            values: values.iter().map(|v| (*v).to_owned()).collect(),
        }
    }

    #[test]
    fn requirements() {
        let node = labels(&[("tier", "gold"), ("cores", "8"), ("empty", "")]);
        for (key, operator, values, expected) in [
            ("tier", In, vec!["gold", "silver"], true),
            ("tier", In, vec!["silver"], false),
            ("tier", In, vec![], false),
            ("other", In, vec!["gold"], false),
            ("empty", In, vec![""], true),
            ("tier", NotIn, vec!["gold"], false),
            ("tier", NotIn, vec!["silver"], true),
            ("tier", NotIn, vec![], false),
            ("other", NotIn, vec!["gold"], true),
            ("tier", Exists, vec![], true),
            ("empty", Exists, vec![], true),
            ("other", Exists, vec![], false),
            ("tier", Exists, vec!["gold"], false),
            ("other", DoesNotExist, vec![], true),
            ("tier", DoesNotExist, vec![], false),
            ("cores", Gt, vec!["7"], true),
            ("cores", Gt, vec!["8"], false),
            ("cores", Gt, vec!["seven"], false),
            ("cores", Gt, vec!["1", "2"], false),
            ("cores", Gt, vec![], false),
            ("cores", Lt, vec!["9"], true),
            ("cores", Lt, vec!["8"], false),
            ("tier", Lt, vec!["9"], false),
            ("other", Lt, vec!["9"], false),
        ] {
            let found = requirement(key, operator, &values).matches(node.get(key).map(String::as_str));
            assert_eq!(found, expected, "{key} {operator:?} {values:?}");
        }
    }

    #[test]
    fn label_selectors_join_both_parts() {
        let pod = labels(&[("app", "web"), ("tier", "gold")]);
        let both = |label: &str, value: &str| LabelSelector {
            match_labels: labels(&[("app", label)]),
            match_expressions: vec![requirement("tier", In, &[value])],
        };
        assert!(LabelSelector::default().matches(&pod), "empty selects everything");
        assert!(both("web", "gold").matches(&pod));
        assert!(!both("db", "gold").matches(&pod));
        assert!(!both("web", "silver").matches(&pod));
    }

    #[test]
    fn node_selector_terms_are_alternatives() {
        let node = labels(&[("zone", "a")]);
        let zone = |value| NodeSelectorTerm {
            match_expressions: vec![requirement("zone", In, &[value])],
            match_fields: vec![],
        };
        let name = |operator, key: &str, value| NodeSelectorTerm {
            match_expressions: vec![],
            match_fields: vec![requirement(key, operator, &[value])],
        };
        for (terms, expected, why) in [
            (vec![], false, "no term"),
            (vec![NodeSelectorTerm::default()], false, "an empty term"),
            (vec![zone("a")], true, "one that holds"),
            (vec![zone("b")], false, "one that does not"),
            (vec![zone("b"), zone("a")], true, "the second holds"),
            (
                vec![NodeSelectorTerm::default(), zone("a")],
                true,
                "beside an empty one",
            ),
            (vec![name(In, "metadata.name", "n1")], true, "by name"),
            (vec![name(NotIn, "metadata.name", "n1")], false, "not by name"),
            (vec![name(NotIn, "metadata.name", "n2")], true, "not another name"),
            (
                vec![name(In, "metadata.namespace", "n1")],
                false,
                "a field that does not exist",
            ),
            (
                vec![name(Exists, "metadata.name", "n1")],
                false,
                "an operator that fields do not have",
            ),
        ] {
            assert_eq!(NodeSelector { terms }.matches("n1", &node), expected, "{why}");
        }
    }
}
