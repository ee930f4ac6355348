//! What a drain does with pods that something would be lost with, where the operator has decided so.

use super::{Judgement, Movability};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// What is done with such pods when their node is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Treatment {
    /// They are evicted like others.
    Evict,
    /// They keep their node.
    Keep,
}

/// The rules of a node group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainRules {
    /// Pods with scratch space on the node's disk.
    pub empty_dir: Treatment,
    /// Pods with files of the node.
    pub host_path: Treatment,
    /// Pods that no controller would make again.
    pub bare_pods: Treatment,
}

impl Default for DrainRules {
    fn default() -> Self {
        Self {
            empty_dir: Treatment::Evict,
            host_path: Treatment::Keep,
            bare_pods: Treatment::Keep,
        }
    }
}

impl DrainRules {
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What would be lost with a pod, unless its author has said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    #[serde(default)]
    pub empty_dir: bool,
    #[serde(default)]
    pub host_path: bool,
    #[serde(default)]
    pub bare: bool,
}

impl Losses {
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

impl Judgement {
    /// What holds at this time under these rules.
    pub fn under(&self, rules: &DrainRules, now_ms: i64) -> Cow<'_, Movability> {
        let now = self.at(now_ms);
        let lasts = std::ptr::eq(now, &raw const self.lasting);
        if rules.is_default() || !lasts || self.losses.is_none() {
            return Cow::Borrowed(now);
        }
        let Losses {
            empty_dir,
            host_path,
            bare,
        } = self.losses;
        let keeps = |treatment| treatment == Treatment::Keep;
        let blocks = |text: &str| Movability::Blocks("LocalStorageRequested".to_owned(), text.to_owned());
        // As the defaults have it: the pod is bare, or has files of the node.
        if (bare && keeps(rules.bare_pods)) || (!bare && host_path && keeps(rules.host_path)) {
            return Cow::Borrowed(now);
        }
        Cow::Owned(if host_path && keeps(rules.host_path) {
            blocks("the pod keeps data of the node (hostPath), and drain.hostPath is Keep")
        } else if empty_dir && keeps(rules.empty_dir) {
            blocks("the pod has scratch data on the node (emptyDir), and drain.emptyDir is Keep")
        } else {
            Movability::Moves
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_decides_about_its_own_loss() {
        use Treatment::{Evict, Keep};
        let default = DrainRules::default();
        let rules = |empty_dir, host_path, bare_pods| DrainRules {
            empty_dir,
            host_path,
            bare_pods,
        };
        let losses = |empty_dir, host_path, bare| Losses {
            empty_dir,
            host_path,
            bare,
        };
        let (none, scratch) = (Losses::default(), losses(true, false, false));
        let (files, bare) = (losses(false, true, false), losses(false, false, true));
        let (local, storage) = ("NotReplicated", "LocalStorageRequested");
        let cases = [
            (none, default, "moves"),
            (none, rules(Keep, Keep, Keep), "moves"),
            (scratch, default, "moves"),
            (scratch, rules(Keep, Keep, Keep), storage),
            (scratch, rules(Keep, Evict, Evict), storage),
            (files, default, storage),
            (files, rules(Evict, Evict, Keep), "moves"),
            (files, rules(Keep, Evict, Keep), "moves"),
            (bare, default, local),
            (bare, rules(Evict, Keep, Evict), "moves"),
            (bare, rules(Keep, Evict, Keep), local),
            (losses(true, true, true), rules(Evict, Evict, Evict), "moves"),
            (losses(true, true, true), rules(Keep, Evict, Evict), storage),
            (losses(true, true, true), rules(Evict, Keep, Evict), storage),
            (losses(true, true, true), rules(Evict, Evict, Keep), local),
        ];
        for (losses, rules, expected) in cases {
            let blocks = |code: &str| Movability::Blocks(code.to_owned(), String::new());
            let lasting = match losses {
                Losses { bare: true, .. } => blocks(local),
                Losses { host_path: true, .. } => blocks(storage),
                _ => Movability::Moves,
            };
            let judgement = Judgement {
                lasting,
                until: Some(Box::new((10, blocks("Quiet")))),
                losses,
            };
            let word = |now_ms| match judgement.under(&rules, now_ms).into_owned() {
                Movability::Moves => "moves".to_owned(),
                Movability::Ignored => "ignored".to_owned(),
                Movability::Blocks(code, _) => code,
            };
            assert_eq!(word(10), expected, "{losses:?} under {rules:?}");
            // A pod that asked for quiet has it under any rule.
            assert_eq!(word(9), "Quiet");
        }
    }
}
