//! The rows of clusters, groups and nodes as servers of different versions send them, and their reading into
//! [`crate::model`].
//!
//! Alternatives of a field are fields of their own here: a row may well carry both spellings.

use serde::Deserialize;
use serde_json::Value;

use crate::decode::{self, DecodeError};
use crate::ids::{ClusterId, DatacenterId, GroupNumber, GroupUuid, NodeUuid, OfferId};
use crate::model::{Cluster, ClusterDetail, NodeRef, NodeRole, ProviderGroup, ProviderNode};
use crate::settings::RoleSettings;
use crate::{lenient, roles};

#[derive(Deserialize)]
struct ClusterRow {
    #[serde(deserialize_with = "lenient::text")]
    identifier: String,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    cluster_name: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    name: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_amount")]
    count: Option<u64>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    kube_version: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    created_on: Option<String>,
}

impl ClusterRow {
    fn read(self) -> Cluster {
        Cluster {
            id: ClusterId::new(self.identifier),
            name: self.cluster_name.or(self.name).unwrap_or_default(),
            count: self.count.map(small),
            kubernetes_version: self.kube_version,
            created_on: self.created_on,
        }
    }
}

#[derive(Deserialize)]
struct NodeRow {
    #[serde(default, deserialize_with = "lenient::maybe_number")]
    id: Option<i64>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    identifier: Option<String>,
    #[serde(deserialize_with = "lenient::text")]
    hostname: String,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    default_ip: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    ip: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    private_ip: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    node_type: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    role: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    status: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_amount")]
    cpu: Option<u64>,
    #[serde(default, deserialize_with = "lenient::maybe_amount")]
    ram: Option<u64>,
    #[serde(default, deserialize_with = "lenient::maybe_amount")]
    disk: Option<u64>,
    #[serde(default, deserialize_with = "lenient::maybe_amount")]
    ssd: Option<u64>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    created_on: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_flag")]
    is_deleted: Option<bool>,
}

impl NodeRow {
    fn read(self, of_array: Option<NodeRole>, settings: &RoleSettings) -> ProviderNode {
        ProviderNode {
            role: roles::role(
                self.role.as_deref(),
                of_array,
                self.node_type.as_deref(),
                &self.hostname,
                settings,
            ),
            id: self.id,
            identifier: self.identifier.map(NodeUuid::new),
            hostname: self.hostname,
            address: self.default_ip.or(self.ip),
            private_address: self.private_ip,
            status: self.status,
            cpu: self.cpu.map(small),
            memory_mib: self.ram,
            disk_gib: self.disk.or(self.ssd),
            created_on: self.created_on,
        }
    }
}

#[derive(Deserialize)]
struct GroupRow {
    #[serde(deserialize_with = "lenient::number")]
    id: i64,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    identifier: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    group_name: Option<String>,
    #[serde(deserialize_with = "lenient::number")]
    boxsize_id: i64,
    #[serde(default, deserialize_with = "lenient::maybe_amount")]
    nodes_count: Option<u64>,
    #[serde(default, deserialize_with = "lenient::maybe_amount")]
    cpu: Option<u64>,
    #[serde(default, deserialize_with = "lenient::maybe_amount")]
    ram: Option<u64>,
    #[serde(default, deserialize_with = "lenient::maybe_amount")]
    ssd: Option<u64>,
    #[serde(default, rename = "dcIdentifier", deserialize_with = "lenient::maybe_text")]
    datacenter: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_flag")]
    is_deleted: Option<bool>,
}

#[derive(Deserialize)]
struct NodeRefRow {
    #[serde(default, deserialize_with = "lenient::maybe_number")]
    id: Option<i64>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    identifier: Option<String>,
    #[serde(default, deserialize_with = "lenient::maybe_text")]
    hostname: Option<String>,
}

pub(crate) fn small(amount: u64) -> u32 {
    u32::try_from(amount).unwrap_or(u32::MAX)
}

pub(crate) fn clusters(data: &Value) -> Result<Vec<Cluster>, DecodeError> {
    Ok(decode::list::<ClusterRow>(data)?
        .into_iter()
        .map(ClusterRow::read)
        .collect())
}

/// Reads a cluster's detail. The caller has made sure that there is one.
pub(crate) fn cluster_detail(data: &Value, roles: &RoleSettings) -> Result<ClusterDetail, DecodeError> {
    let data = match data {
        Value::Array(rows) if rows.len() == 1 => &rows[0],
        other => other,
    };
    let cluster = decode::value::<ClusterRow>(data, "data")?.read();
    let arrays: &[(&str, Option<NodeRole>)] = if data.get("nodes").is_some_and(Value::is_array) {
        &[("nodes", None)]
    } else {
        &[
            ("masters", Some(NodeRole::ControlPlane)),
            ("slaves", Some(NodeRole::Worker)),
        ]
    };
    let mut nodes = Vec::new();
    let mut found = false;
    for (name, role) in arrays {
        let Some(rows) = data.get(*name).and_then(Value::as_array) else {
            continue;
        };
        found = true;
        for (index, row) in rows.iter().enumerate() {
            let row = decode::value::<NodeRow>(row, &format!("data.{name}[{index}]"))?;
            if row.is_deleted != Some(true) {
                nodes.push(row.read(*role, roles));
            }
        }
    }
    // Taking a missing list for an empty one would make every node of the cluster look deleted.
    if !found && cluster.count != Some(0) {
        return Err(DecodeError::new(
            "data.nodes",
            "is missing although the cluster is not said to be empty",
        ));
    }
    nodes.sort_by_cached_key(|node| (node.name_key(), node.id));
    Ok(ClusterDetail { cluster, nodes })
}

pub(crate) fn groups(data: &Value) -> Result<Vec<ProviderGroup>, DecodeError> {
    let rows = decode::list::<GroupRow>(data)?;
    let mut groups: Vec<_> = rows
        .into_iter()
        .filter(|row| row.is_deleted != Some(true))
        .map(|row| ProviderGroup {
            number: GroupNumber(row.id),
            uuid: row.identifier.map(GroupUuid::new),
            name: row.group_name.unwrap_or_default(),
            size: OfferId(row.boxsize_id),
            nodes_count: row.nodes_count.map(small),
            cpu: row.cpu.map(small),
            memory_mib: row.ram,
            disk_gib: row.ssd,
            datacenter: row.datacenter.map(DatacenterId::new),
        })
        .collect();
    groups.sort_by_key(|group| group.number);
    Ok(groups)
}

/// What a reply to `add/slave` tells about the node, which is usually nothing.
pub(crate) fn node_ref(data: &Value) -> Option<NodeRef> {
    let row: NodeRefRow = data.is_object().then(|| decode::value(data, "data").ok())??;
    let known = row.id.is_some_and(|id| id > 0) || row.identifier.is_some() || row.hostname.is_some();
    known.then(|| NodeRef {
        id: row.id.filter(|id| *id > 0),
        identifier: row.identifier.map(NodeUuid::new),
        hostname: row.hostname,
    })
}

/// The number of a new group, where the reply tells it.
pub(crate) fn new_group_number(data: &Value) -> Option<GroupNumber> {
    ["groupId", "id"]
        .iter()
        .find_map(|key| data.get(key).and_then(lenient::integer))
        .filter(|number| *number > 0)
        .map(GroupNumber)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_cluster_without_a_list_of_nodes_is_not_an_empty_cluster() {
        let roles = RoleSettings::default();
        let nodes = |data: &Value| cluster_detail(data, &roles).map(|detail| detail.nodes.len());
        for (data, expected) in [
            (json!({"identifier": "c", "count": 0}), Ok(0)),
            (json!({"identifier": "c", "count": 2, "nodes": []}), Ok(0)),
            (json!([{"identifier": "c", "nodes": [{"hostname": "a"}]}]), Ok(1)),
            (
                json!({"identifier": "c", "masters": [{"hostname": "a"}], "slaves": [{"hostname": "b"}]}),
                Ok(2),
            ),
            (
                json!({"identifier": "c", "nodes": [{"hostname": "a", "is_deleted": 1}]}),
                Ok(0),
            ),
            (json!({"identifier": "c", "count": 2}), Err("data.nodes")),
            (
                json!({"identifier": "c", "count": 2, "nodes": null}),
                Err("data.nodes"),
            ),
            (
                json!({"identifier": "c", "nodes": [{"id": 1}]}),
                Err("data.nodes[0]"),
            ),
            (json!({"nodes": []}), Err("data")),
        ] {
            assert_eq!(
                nodes(&data).map_err(|error| error.path),
                expected.map_err(str::to_owned),
                "{data}"
            );
        }
    }

    #[test]
    fn a_hint_is_taken_only_where_there_is_one() {
        for (data, expected) in [
            (json!(true), None),
            (json!(null), None),
            (json!({"id": 0}), None),
            (json!({"id": 7}), Some((Some(7), None))),
            (json!({"id": 0, "identifier": "u"}), Some((None, Some("u")))),
        ] {
            let hint = node_ref(&data);
            let hint = hint
                .as_ref()
                .map(|hint| (hint.id, hint.identifier.as_ref().map(NodeUuid::as_str)));
            assert_eq!(hint, expected, "{data}");
        }
    }
}
