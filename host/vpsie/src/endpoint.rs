//! The routes of the API that this client calls, as data: what each does, whether it changes something,
//! and how urgent it is.

use http::Method;
use serde_json::Value;

use crate::client::segment;
use crate::family::Family;
use crate::rate_limit::Priority;

/// One route, without its identifiers.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// Stable name for metrics: never contains an identifier.
    pub(crate) name: &'static str,
    pub(crate) family: Family,
    pub(crate) method: Method,
    /// Begins the sentence of an error.
    pub(crate) doing: &'static str,
    /// Whether sending it twice could do something twice.
    pub(crate) mutating: bool,
    pub(crate) priority: Priority,
}

impl Endpoint {
    /// How its body is written: one route wants a form.
    pub(crate) fn encoding(&self) -> Encoding {
        match self.name {
            "plan_list" => Encoding::Form,
            _ => Encoding::Json,
        }
    }

    /// The HTTP verb, for metrics.
    pub(crate) fn method_name(&self) -> &'static str {
        match self.method {
            Method::GET => "GET",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::DELETE => "DELETE",
            _ => "OTHER",
        }
    }
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Form,
}

impl Encoding {
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }

    /// Writes a body; a form takes the members of an object that are texts.
    pub(crate) fn write(self, body: &Value) -> String {
        let fields = match (self, body) {
            (Self::Form, Value::Object(fields)) => fields,
            _ => return body.to_string(),
        };
        let pairs = fields.iter().filter_map(|(name, value)| {
            let value = value.as_str()?;
            Some(format!("{}={}", segment(name), segment(value)))
        });
        pairs.collect::<Vec<_>>().join("&")
    }
}

macro_rules! endpoints {
    ($($ident:ident: $name:literal, $family:ident, $method:ident, $mutating:literal, $priority:ident, $doing:literal;)*) => {
        $(pub(crate) const $ident: Endpoint = Endpoint {
            name: $name,
            family: Family::$family,
            method: Method::$method,
            doing: $doing,
            mutating: $mutating,
            priority: Priority::$priority,
        };)*
    };
}

// The token exchange is a POST that changes nothing, and everything waits for it: it goes first.
// Offers are read with a POST too.
endpoints! {
    AUTHENTICATE: "auth", Auth, POST, false, Delete, "exchanging the VPSie client id and secret for a token";
    LIST_CLUSTERS: "cluster_list", Kubernetes, GET, false, List, "listing the VPSie clusters";
    GET_CLUSTER: "cluster_detail", Kubernetes, GET, false, List, "reading the VPSie cluster";
    LIST_GROUPS: "group_list", Kubernetes, GET, false, List, "listing the cluster's VPSie node groups";
    CREATE_GROUP: "group_create", Kubernetes, POST, true, Create, "creating a VPSie node group";
    DELETE_GROUP: "group_delete", Kubernetes, DELETE, true, Delete, "deleting a VPSie node group";
    LIST_OFFERS: "offer_list", Kubernetes, POST, false, List, "listing the VPSie Kubernetes offers";
    ADD_NODE: "node_add", Kubernetes, POST, true, Create, "adding a VPSie node";
    REMOVE_NODE: "node_remove", Kubernetes, DELETE, true, Delete, "removing a VPSie node";
    LIST_ATTACHABLE: "vm_attachable_list", Storage, GET, false, List, "listing the VPSie machines";
    LIST_VMS: "vm_list", Vm, GET, false, List, "listing the VPSie VMs";
    LIST_PENDING_VMS: "vm_pending_list", Vm, GET, false, List, "listing the VPSie VMs that are being made";
    GET_VM: "vm_detail", Vm, GET, false, List, "reading the VPSie VM";
    CREATE_VM: "vm_create", Vm, POST, true, Create, "ordering a VPSie VM";
    DELETE_VM: "vm_delete", Vm, DELETE, true, Delete, "removing a VPSie VM";
    START_VM: "vm_start", Vm, POST, true, Create, "starting a VPSie VM";
    STOP_VM: "vm_stop", Vm, POST, true, Create, "stopping a VPSie VM";
    TAG_VM: "vm_tag", Vm, POST, true, Create, "tagging a VPSie VM";
    ATTACH_FIREWALL: "firewall_attach", Vm, POST, true, Create, "attaching a VPSie firewall group";
    LIST_PLAN_CATEGORIES: "plan_category_list", Plans, GET, false, List, "listing the categories of VPSie plans";
    LIST_PLANS: "plan_list", Catalogue, POST, false, List, "listing the VPSie plans";
    LIST_PROJECTS: "project_list", Catalogue, GET, false, List, "listing the VPSie projects";
    LIST_VPC_MEMBERS: "vpc_member_list", Catalogue, GET, false, List, "listing the VMs of a VPSie VPC";
    LIST_DATACENTERS: "datacenter_list", Catalogue, GET, false, List, "listing the VPSie datacenters";
}
