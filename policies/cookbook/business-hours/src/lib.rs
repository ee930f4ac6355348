//! Business hours: outside of them only pods of a high priority get new nodes; the others wait until the morning.
//!
//! The time is that of the snapshot: the policy has no clock, and a recorded decision of last night can be replayed
//! at noon.

use policy_sdk::scale_up::{Demand, Snapshot};
use policy_sdk::{ClassCount, Description, Diagnostic, GroupDemand, PolicyError, Reason, Rejection, ScaleUp};
use serde::Deserialize;

struct BusinessHours;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Config {
    from: u32,
    to: u32,
    weekend: bool,
    utc_offset_minutes: i64,
    min_priority: i32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            from: 8,
            to: 18,
            weekend: false,
            utc_offset_minutes: 0,
            min_priority: 1000,
        }
    }
}

impl Config {
    fn is_open(&self, now_ms: u64) -> bool {
        let minutes = i64::try_from(now_ms / 60_000).unwrap_or(i64::MAX);
        let local = minutes.saturating_add(self.utc_offset_minutes);
        let hour = local.div_euclid(60).rem_euclid(24);
        // The first of January 1970 was a Thursday; Monday is 0.
        let day = (local.div_euclid(24 * 60) + 3).rem_euclid(7);
        (i64::from(self.from)..i64::from(self.to)).contains(&hour) && (self.weekend || day < 5)
    }
}

impl ScaleUp for BusinessHours {
    type Config = Config;

    fn describe() -> Description {
        Description::new(
            "business-hours",
            env!("CARGO_PKG_VERSION"),
            include_str!("../config.schema.json"),
        )
    }

    fn validate(config: &Config) -> Vec<Diagnostic> {
        if config.from < config.to && config.to <= 24 {
            return Vec::new();
        }
        let message = format!("from {} to {} is no part of a day", config.from, config.to);
        vec![Diagnostic::new(
            "/to",
            message,
            "an hour after `from`, at most 24",
        )]
    }

    fn decide(snapshot: &Snapshot, config: &Config) -> Result<Demand, PolicyError> {
        let open = config.is_open(snapshot.context.now_ms);
        let mut demand = Demand {
            groups: Vec::new(),
            rejections: Vec::new(),
        };
        for (class, row) in (0..).zip(&snapshot.pending.classes) {
            if !open && row.priority < config.min_priority {
                let text = format!(
                    "it waits for {}:00; priority {} would not",
                    config.from, config.min_priority
                );
                demand.rejections.push(Rejection {
                    class,
                    group: None,
                    reason: Reason::new("OutsideHours", text),
                });
                continue;
            }
            // The group whose cheapest node for such a pod costs least per pod.
            let templates = (0..).zip(&snapshot.catalogue.templates);
            let per_pod = |number: u32, hourly_micros: u64| {
                hourly_micros.checked_div(u64::from(snapshot.pending.pods_per_node(class, number)))
            };
            let best = templates
                .filter(|(_, template)| template.is_available())
                .filter_map(|(number, template)| {
                    Some((per_pod(number, template.hourly_micros)?, template.group))
                })
                .min();
            match best {
                Some((_, group)) => demand.groups.push(GroupDemand {
                    group,
                    pods: vec![ClassCount {
                        class,
                        pods: row.unplaced,
                    }],
                    reason: Reason::new(
                        if open { "InHours" } else { "HighPriority" },
                        "the cheapest group for it",
                    ),
                }),
                None => demand.rejections.push(Rejection {
                    class,
                    group: None,
                    reason: Reason::new("NoGroupFits", "no node group can hold it now"),
                }),
            }
        }
        Ok(demand)
    }
}

policy_sdk::export_scale_up!(BusinessHours);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours() {
        const HOUR: u64 = 3_600_000;
        // 2023-11-14 was a Tuesday.
        let tuesday = 19_675 * 24 * HOUR;
        let in_india = Config {
            utc_offset_minutes: 330,
            ..Config::default()
        };
        let weekend = Config {
            weekend: true,
            ..Config::default()
        };
        let usual = Config::default();
        for (config, at, expected, what) in [
            (&usual, tuesday + 8 * HOUR, true, "the first hour"),
            (&usual, tuesday + 8 * HOUR - 1, false, "just before it"),
            (&usual, tuesday + 18 * HOUR - 1, true, "the last moment"),
            (&usual, tuesday + 18 * HOUR, false, "the end"),
            (&usual, tuesday + 4 * 24 * HOUR + 12 * HOUR, false, "Saturday"),
            (
                &weekend,
                tuesday + 4 * 24 * HOUR + 12 * HOUR,
                true,
                "a Saturday that counts",
            ),
            (&in_india, tuesday + 3 * HOUR, true, "half past eight in India"),
            (&in_india, tuesday + 2 * HOUR, false, "half past seven in India"),
        ] {
            assert_eq!(config.is_open(at), expected, "{what}");
        }
    }
}
