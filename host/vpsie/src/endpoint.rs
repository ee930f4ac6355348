//! The routes of the API that this client calls, as data: what each does, whether it changes something,
//! and how urgent it is.

use http::Method;

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
    LIST_DATACENTERS: "datacenter_list", Catalogue, GET, false, List, "listing the VPSie datacenters";
}
