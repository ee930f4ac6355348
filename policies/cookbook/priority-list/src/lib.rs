//! Priority list: node groups in an order that the user writes down, in the shape of Cluster Autoscaler's
//! `priorities` ConfigMap. A group that matches no expression comes last.

use policy_sdk::scale_up::{Demand, Snapshot};
use policy_sdk::{ClassCount, Description, Diagnostic, GroupDemand, PolicyError, Reason, Rejection, ScaleUp};
use regex_lite::Regex;
use serde::Deserialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;

struct PriorityList;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Config {
    priorities: BTreeMap<String, Vec<String>>,
}

impl Config {
    /// The expressions with their priorities, or what is wrong with them.
    fn compiled(&self) -> Result<Vec<(u32, Regex)>, Diagnostic> {
        let mut list = Vec::new();
        for (priority, expressions) in &self.priorities {
            let path = format!("/priorities/{priority}");
            let number = priority.parse().map_err(|_| {
                Diagnostic::new(
                    path.clone(),
                    format!("{priority:?} is no priority"),
                    "a whole number, 0 or more",
                )
            })?;
            for (at, expression) in expressions.iter().enumerate() {
                let regex = Regex::new(expression).map_err(|error| {
                    Diagnostic::new(format!("{path}/{at}"), error.to_string(), "a regular expression")
                })?;
                list.push((number, regex));
            }
        }
        Ok(list)
    }
}

impl ScaleUp for PriorityList {
    type Config = Config;

    fn describe() -> Description {
        Description::new(
            "priority-list",
            env!("CARGO_PKG_VERSION"),
            include_str!("../config.schema.json"),
        )
    }

    fn validate(config: &Config) -> Vec<Diagnostic> {
        config.compiled().err().into_iter().collect()
    }

    fn decide(snapshot: &Snapshot, config: &Config) -> Result<Demand, PolicyError> {
        let list = config
            .compiled()
            .map_err(|problem| PolicyError::BadConfig(problem.message))?;
        let priority = |name: &str| {
            let matching = list.iter().filter(|(_, regex)| regex.is_match(name));
            matching.map(|(priority, _)| *priority).max()
        };
        let mut groups: Vec<(Option<u32>, u32)> = (0..)
            .zip(&snapshot.catalogue.groups)
            .map(|(number, group)| (priority(&group.name), number))
            .collect();
        groups.sort_by_key(|(priority, number)| (Reverse(*priority), *number));

        // Nodes that earlier classes take of each group.
        let mut ordered: BTreeMap<u32, u32> = BTreeMap::new();
        let mut wishes: BTreeMap<u32, Vec<ClassCount>> = BTreeMap::new();
        let mut rejections = Vec::new();
        for (class, row) in (0..).zip(&snapshot.pending.classes) {
            let mut left = row.unplaced;
            for (_, group) in &groups {
                let templates = snapshot.catalogue.templates_of(*group);
                let most = templates
                    .filter(|(_, template)| template.is_available())
                    .map(|(number, template)| {
                        (snapshot.pending.pods_per_node(class, number), template.headroom)
                    })
                    .max();
                let taken = ordered.entry(*group).or_default();
                let Some((per_node @ 1.., headroom)) = most else {
                    continue;
                };
                let room = headroom.saturating_sub(*taken);
                let pods = left.min(per_node.saturating_mul(room));
                if pods > 0 {
                    *taken += pods.div_ceil(per_node);
                    left -= pods;
                    wishes.entry(*group).or_default().push(ClassCount { class, pods });
                }
            }
            if left > 0 {
                rejections.push(Rejection {
                    class,
                    group: None,
                    reason: Reason::new(
                        "ListExhausted",
                        format!("no group of the list has room for {left} of them"),
                    ),
                });
            }
        }
        let demand = |(group, pods)| GroupDemand {
            group,
            pods,
            reason: match priority(snapshot.catalogue.group_name(group)) {
                Some(priority) => Reason::new("Priority", format!("priority {priority}")),
                None => Reason::new("Unlisted", "it matches no expression of the list"),
            },
        };
        Ok(Demand {
            groups: wishes.into_iter().map(demand).collect(),
            rejections,
        })
    }
}

policy_sdk::export_scale_up!(PriorityList);
