//! The routes of the API, below its version prefix.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::cloud::{Cloud, Group, No};
use crate::config::{Config, OfferConfig};
use crate::plain;
use crate::reply::Reply;
use crate::vm::{VmEvent, VmInfo, VmState};

/// Prefixes under which the same routes are served.
const PREFIXES: [&str; 3] = ["/apps/v2", "/api/v2", "/v2"];

/// The path below the prefix.
pub(crate) fn without_prefix(path: &str) -> Option<&str> {
    PREFIXES
        .iter()
        .find_map(|prefix| path.strip_prefix(prefix))
        .filter(|rest| rest.starts_with('/'))
}

/// What a carried-out request brings about.
pub(crate) struct Done {
    pub(crate) reply: Reply,
    pub(crate) events: Vec<VmEvent>,
}

impl From<Reply> for Done {
    fn from(reply: Reply) -> Self {
        Self {
            reply,
            events: Vec::new(),
        }
    }
}

/// Carries a request out. The caller has been let in.
pub(crate) fn carry_out(cloud: &mut Cloud, method: &str, path: &str, body: &Value, now: Timestamp) -> Done {
    let shape = cloud.config.shape;
    route(cloud, method, path, body, now).unwrap_or_else(|no| Reply::no(&no, &shape).into())
}

fn route(cloud: &mut Cloud, method: &str, path: &str, body: &Value, now: Timestamp) -> Result<Done, No> {
    let segments: Vec<&str> = path.trim_matches('/').split('/').collect();
    if let Some(answer) = plain::route(cloud, method, &segments, body, now) {
        return answer;
    }
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default();
    match (method, segments.as_slice()) {
        ("GET", ["k8s", "cluster", "all"]) => Ok(list(cloud.config.clusters.iter(), |cluster| {
            cluster_row(cloud, &cluster.identifier)
        })),
        ("GET", ["k8s", "cluster", "byId", cluster]) => {
            cloud.cluster(cluster).ok_or(No::NotFound)?;
            let mut row = cluster_row(cloud, cluster);
            row["nodes"] = cloud
                .listed(cluster)
                .map(|vm| node_row(&cloud.config, vm))
                .collect();
            Ok(Reply::data(&row).into())
        }
        ("GET", ["k8s", "node", "groups", "byClusterId", cluster]) => {
            cloud.cluster(cluster).ok_or(No::NotFound)?;
            let own = cloud.groups.values().filter(|group| group.cluster == *cluster);
            Ok(list(own, |group| group_row(cloud, group)))
        }
        ("POST", ["k8s", "cluster", "add", "group"]) => {
            let size = body.get("KubeSizeID").and_then(Value::as_i64);
            let size = size.ok_or_else(|| No::BadRequest("\"KubeSizeID\" must be a number".to_owned()))?;
            cloud.create_group(text("clusterIdentifier"), text("groupName"), size, now)?;
            Ok(Reply::data(&Value::Bool(true)).into())
        }
        ("DELETE", ["k8s", "cluster", "delete", "group", group]) => {
            if body
                .pointer("/deleteStatistic/reason")
                .and_then(Value::as_str)
                .unwrap_or_default()
                .is_empty()
            {
                return Err(No::Limit(
                    "Cannot read properties of undefined (reading 'reason')".to_owned(),
                ));
            }
            cloud.delete_group(group)?;
            Ok(Reply::data(&Value::Bool(true)).into())
        }
        ("POST", ["k8s", "cluster", "byId", cluster, "add", "slave", "group", group]) => {
            let group = group
                .parse()
                .map_err(|_| No::BadRequest("\"groupId\" must be a number".to_owned()))?;
            let vm = cloud.order(cluster, group, now)?;
            let data = if cloud.config.shape.add_node_names_node {
                json!({ "id": vm.id, "identifier": vm.identifier, "hostname": vm.hostname, "status": "pending" })
            } else {
                Value::Bool(true)
            };
            Ok(Done {
                reply: Reply::data(&data),
                events: vec![VmEvent::Accepted(vm)],
            })
        }
        ("DELETE", ["k8s", "cluster", "byId", cluster, "delete", "slave"]) => {
            remove(cloud, cluster, text("identifier"))
        }
        ("DELETE", ["k8s", "cluster", "byId", cluster, "reduce", "slave"]) => {
            let group = body.get("groupId").and_then(Value::as_i64);
            let group = group.ok_or_else(|| No::BadRequest("\"groupId\" must be a number".to_owned()))?;
            let victim = cloud.victim(cluster, group).ok_or(No::NotFound)?;
            remove(cloud, cluster, &victim)
        }
        ("POST", ["k8s", "offers"]) => {
            let place = text("dcIdentifier");
            if !cloud
                .config
                .datacenters
                .iter()
                .any(|datacenter| datacenter.identifier == place)
            {
                return Err(No::NotFound);
            }
            Ok(list(cloud.config.offers.iter(), |offer| {
                offer_row(&cloud.config, offer)
            }))
        }
        ("GET", ["storages", "vms"]) => {
            let nodes = cloud
                .config
                .clusters
                .iter()
                .flat_map(|cluster| cloud.listed(&cluster.identifier));
            let nodes =
                nodes.map(|vm| attachable_row(&vm.hostname, &vm.identifier, &vm.address, &vm.datacenter));
            let plain = cloud
                .vms()
                .filter(|vm| vm.plain.is_some() && vm.state != VmState::Accepted)
                .map(|vm| attachable_row(&vm.hostname, &vm.identifier, &vm.address, &vm.datacenter));
            Ok(list(
                machine_rows(cloud).into_iter().chain(nodes).chain(plain),
                |row| row,
            ))
        }
        ("GET", ["datacenter"]) => Ok(list(cloud.config.datacenters.iter(), |datacenter| {
            json!({
                "identifier": datacenter.identifier, "dc_name": datacenter.name, "country": datacenter.country,
                "state": "", "is_active": 1, "is_deleted": 0, "default_selected": 0, "is_private": 0,
            })
        })),
        _ => Ok(Reply::error(404, "Not found").into()),
    }
}

pub(crate) fn list<T>(items: impl Iterator<Item = T>, row: impl Fn(T) -> Value) -> Done {
    Reply::data(&items.map(row).collect()).into()
}

fn remove(cloud: &mut Cloud, cluster: &str, identifier: &str) -> Result<Done, No> {
    let removed = cloud.remove(cluster, identifier)?;
    let events = removed.into_iter().map(VmEvent::Deleting).collect();
    Ok(Done {
        reply: Reply::data(&Value::Bool(true)),
        events,
    })
}

fn cluster_row(cloud: &Cloud, identifier: &str) -> Value {
    let Some(cluster) = cloud.cluster(identifier) else {
        return Value::Null;
    };
    let count = |master| cloud.listed(identifier).filter(|vm| vm.master == master).count();
    json!({
        "cluster_name": cluster.name,
        "identifier": cluster.identifier,
        "count": count(true) + count(false),
        "managerCount": count(true),
        "slaveCount": count(false),
        "kube_version": cluster.kubernetes_version,
        "dcIdentifier": cluster.datacenter,
        "created_on": null,
    })
}

fn node_row(config: &Config, vm: &VmInfo) -> Value {
    let mut row = json!({
        "id": vm.id,
        "user_id": 7,
        "hostname": vm.hostname,
        "default_ip": vm.address,
        "private_ip": vm.private_address,
        "node_type": if vm.master { 1 } else { 2 },
        "node_id": 42,
        "created_on": vm.created_at.to_string(),
    });
    let mut add = |fields: Value| {
        if let (Value::Object(row), Value::Object(fields)) = (&mut row, fields) {
            row.extend(fields);
        }
    };
    if config.shape.node_identifier {
        add(json!({ "identifier": vm.identifier }));
    }
    if config.shape.node_sizes {
        add(json!({ "cpu": vm.size.cpu, "ram": vm.size.memory_mib, "disk": vm.size.disk_gib }));
    }
    if config.shape.node_role {
        let role = if vm.master { "master" } else { "worker" };
        add(json!({ "role": role, "status": format!("{:?}", vm.state).to_lowercase() }));
    }
    row
}

fn group_row(cloud: &Cloud, group: &Group) -> Value {
    let datacenter = cloud
        .cluster(&group.cluster)
        .map(|cluster| cluster.datacenter.clone());
    json!({
        "id": group.number,
        "identifier": group.identifier,
        "group_name": group.name,
        "boxsize_id": group.offer.id,
        "cpu": group.offer.cpu,
        "ram": group.offer.ram_mb,
        "ssd": group.offer.disk_gb,
        "nodes_count": cloud.nodes_count(group.number),
        "dcIdentifier": datacenter,
        "is_active": 1,
        "is_deleted": 0,
        "dropped_on": null,
        "created_on": group.created_at.to_string(),
    })
}

fn offer_row(config: &Config, offer: &OfferConfig) -> Value {
    let mut row = Map::new();
    let mut put = |key: &str, value: Value| {
        let value = match value {
            Value::Number(number) if config.shape.numbers_as_text => Value::from(number.to_string()),
            other => other,
        };
        row.insert(key.to_owned(), value);
    };
    put("id", offer.id.into());
    put("name", offer.name.clone().into());
    put("cpu", offer.cpu.into());
    put("ram", offer.ram_mb.into());
    put("disk", offer.disk_gb.into());
    put("price", offer.price_monthly.into());
    if config.shape.hourly_price {
        put("hourly_price", (offer.price_monthly / 730.0).into());
    }
    Value::Object(row)
}

/// Plain machines; nodes of managed clusters are not among them.
pub(crate) fn machine_rows(cloud: &Cloud) -> Vec<Value> {
    let machines = cloud.config.machines.iter().enumerate();
    machines
        .map(|(index, machine)| {
            let identifier = format!("00000000-0000-4000-8000-{:012}", index + 1);
            let address = format!("100.65.0.{}", index % 250 + 1);
            attachable_row(&machine.hostname, &identifier, &address, &machine.datacenter)
        })
        .collect()
}

fn attachable_row(hostname: &str, identifier: &str, address: &str, datacenter: &str) -> Value {
    json!({
        "hostname": hostname, "identifier": identifier, "default_ip": address, "private_ip": null,
        "dcIdentifier": datacenter, "state": "running", "type": "vm", "category": "linux",
    })
}
