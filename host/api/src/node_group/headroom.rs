//! Room that a group keeps free for pods that are not there yet.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::common::quantity_schema;

/// Room that is kept free: for `pods` of a size, or `percent` of each node.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.pods) != has(self.percent)")
        .message("headroom is either so many pods of a size (pods, cpu, memory) or a percent of each node"),
    validation = Rule::new("!has(self.pods) || has(self.percent) || has(self.cpu) || has(self.memory)")
        .message("headroom.pods needs their size: cpu, memory, or both")
        .field_path(".pods"),
    validation = Rule::new("!has(self.percent) || has(self.pods) || !(has(self.cpu) || has(self.memory))")
        .message("headroom.percent has no size: leave cpu and memory out")
        .field_path(".percent")
)]
pub struct Headroom {
    /// So many pods of the size that `cpu` and `memory` say would find a place at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub pods: Option<i32>,
    /// Cpu of each of these pods, for example 500m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity_schema")]
    pub cpu: Option<Quantity>,
    /// Memory of each of these pods, for example 512Mi.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity_schema")]
    pub memory: Option<Quantity>,
    /// For each node of the group, this share of its smallest offering. An empty group keeps nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 50))]
    pub percent: Option<i32>,
}
