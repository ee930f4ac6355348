//! What a seed stands for: a cloud with its manners, groups, and what happens when.

use super::fate::Dice;
use super::gate::Death;
use crate::Error;
use crate::scenario::{Scenario, Workload, config, node_group, vm_group};
use autoscaler_controllers::settings::Pace;
use fake_vpsie::config::{Config, ForeignNode, HostnameCase, OrderReply};
use serde_json::json;
use std::time::Duration;

/// Three of its pods fill a node of the small size.
pub(super) const WEB: Workload = Workload::new("web", 4, "600m", "256Mi");
/// A worker of the cluster that is not the autoscaler's.
pub(super) const STRANGER: &str = "HEL-Kubernetes-49ab-slave-by-hand";

/// Something that happens at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// The load changes.
    Scale(i32),
    /// An operator deletes one of the VPSieNodes.
    DeleteRecord,
    /// An operator asks every group to reconcile now.
    Trigger,
    /// Every process dies at a request to come, and is started again.
    Kill(Death),
    /// Every process stands still, and then goes on where it was.
    Pause(Duration),
    /// Every watch ends.
    DropWatches,
    /// Every watch ends, and the history with it.
    Compact,
    /// VPSie is off, or on again.
    Down(bool),
    /// VPSie's limit of workers.
    WorkerLimit(Option<u32>),
}

/// See the module's text.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How VPSie behaves.
    pub cloud: Config,
    /// Most nodes of the group `small`.
    pub max: i32,
    /// A second group, with nodes of this offering and at least one node.
    pub second: Option<&'static str>,
    /// Which groups are made of plain VMs: the first and the second.
    pub vms: (bool, bool),
    /// Processes of the autoscaler that stand by for each other.
    pub replicas: u32,
    /// How long things fail.
    pub storm: Duration,
    /// In the order of time.
    pub actions: Vec<(Duration, Action)>,
    /// Pods after the storm.
    pub in_the_end: i32,
    /// Whether the groups are deleted after the storm.
    pub groups_go: bool,
}

impl Plan {
    /// The plan of a seed.
    pub fn of(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let cloud = cloud(&mut dice);
        let max = i32::try_from(dice.between(2, 5)).unwrap_or(2);
        let second = match dice.below(4) {
            0 => Some("k8s-2-4"),
            1 => Some("k8s-4-8"),
            _ => None,
        };
        let storm = dice.seconds(240, 600);
        let mut actions: Vec<(Duration, Action)> = (0..dice.between(4, 12))
            .map(|_| {
                let at = storm.mul_f64(f64::from(dice.below(1000)) / 1000.0);
                (at, action(&mut dice))
            })
            .collect();
        // What begins must end.
        let ends: Vec<(Duration, Action)> = actions
            .iter()
            .filter_map(|(at, action)| match action {
                Action::Down(true) => Some((*at + dice.seconds(10, 180), Action::Down(false))),
                _ => None,
            })
            .filter(|(at, _)| *at < storm)
            .collect();
        actions.extend(ends);
        actions.sort_by_key(|(at, _)| *at);
        // Dice of their own, so that the other storms stay what they were.
        let mut more = Dice::new(seed ^ 0x5eed_0f0f);
        let mut cloud = cloud;
        cloud.delays.gap = more.seconds(0, 5);
        cloud.plain.join_token = Some("join-token".to_owned());
        cloud.plain.wrong_password_is_error = more.percent(50);
        cloud.plain.unique_hostnames = more.percent(20);
        cloud.plain.unique_processes = more.percent(20);
        cloud.plain.reply =
            [OrderReply::True, OrderReply::Empty, OrderReply::Identifier][more.below(3) as usize];
        let vms = (more.percent(30), more.percent(50));
        Self {
            cloud,
            max,
            second,
            vms,
            replicas: dice.between(1, 2),
            storm,
            actions,
            in_the_end: i32::try_from(dice.between(0, 6)).unwrap_or(0),
            groups_go: dice.percent(15),
        }
    }

    pub(super) fn scenario(&self) -> Result<Scenario, Error> {
        let group = |name: &str, max, offering: &str, min: i32, vms: bool| {
            let more = json!({"minNodes": min});
            let made = if vms {
                let plan = offering.replace("k8s", "vm");
                vm_group(&self.cloud, name, max, &[&plan], &more)
            } else {
                node_group(&self.cloud, name, max, &[offering], &more)
            };
            made.map_err(Error::Scenario)
        };
        let mut groups = vec![group("small", self.max, "k8s-2-4", 0, self.vms.0)?];
        if let Some(offering) = self.second {
            groups.push(group("second", 2, offering, 1, self.vms.1)?);
        }
        let settings = json!({
            "globalSettings": {"nodeReadyTimeoutSeconds": 300},
            "rebalancer": {"drainTimeout": "60s"},
        });
        Ok(Scenario {
            cloud: self.cloud.clone(),
            groups,
            config: Some(config(&settings).map_err(Error::Scenario)?),
            ..Scenario::default()
        })
    }

    /// Production's, but for what would only be waited for.
    pub(super) fn pace() -> Pace {
        Pace {
            rebalance_every: Duration::from_secs(30),
            backoff_max: Duration::from_secs(300),
            ..Pace::default()
        }
    }
}

fn cloud(dice: &mut Dice) -> Config {
    let mut cloud = Config::default();
    cloud.delays.reply = Duration::from_millis(u64::from(dice.below(300)));
    cloud.delays.appear = dice.seconds(1, 30);
    cloud.delays.join = dice.seconds(5, 60);
    cloud.delays.delete = dice.seconds(1, 40);
    let shape = &mut cloud.shape;
    shape.node_identifier = dice.percent(80);
    shape.node_sizes = dice.percent(70);
    shape.node_role = dice.percent(30);
    shape.count_at_order = dice.percent(50);
    shape.errors_in_ok = dice.percent(20);
    shape.add_node_names_node = dice.percent(20);
    shape.hostname_case =
        [HostnameCase::Mixed, HostnameCase::Lower, HostnameCase::Upper][dice.below(3) as usize];
    if dice.percent(50)
        && let Some(cluster) = cloud.clusters.first_mut()
    {
        cluster.nodes.push(ForeignNode {
            hostname: STRANGER.to_owned(),
            master: false,
            offer: 12,
        });
    }
    cloud
}

fn action(dice: &mut Dice) -> Action {
    match dice.below(100) {
        0..25 => Action::Scale(i32::try_from(dice.between(0, 12)).unwrap_or(0)),
        25..40 => Action::DeleteRecord,
        40..45 => Action::Trigger,
        45..70 => Action::Kill(Death {
            after: dice.below(12),
            applied: dice.percent(50),
        }),
        70..78 => Action::Pause(dice.seconds(1, 40)),
        78..84 => Action::DropWatches,
        84..89 => Action::Compact,
        89..95 => Action::Down(true),
        _ => Action::WorkerLimit(dice.percent(70).then(|| dice.between(1, 4))),
    }
}
