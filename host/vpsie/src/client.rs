//! The client: one method per call of the API. How a call goes is the business of `call`.

use std::sync::{Arc, PoisonError};

use serde_json::{Value, json};
use tokio::sync::watch;

use crate::auth::{Credentials, CredentialsStatus};
use crate::breaker::BreakerState;
use crate::call::Inner;
use crate::decode::{DecodeError, is_nothing};
use crate::endpoint::{self, Endpoint};
use crate::error::Error;
use crate::family::Family;
use crate::ids::{ClusterId, DatacenterId, GroupNumber, GroupUuid, NodeUuid, OfferId};
use crate::model::{
    AddNodeReply, AttachableVm, Cluster, ClusterDetail, CreateGroupReply, Datacenter, Offer, ProviderGroup,
    RemoveNodeReply,
};
use crate::observe::Observer;
use crate::settings::Settings;
use crate::transport::Transport;
use crate::{Now, catalogue, wire};

/// Client of one VPSie account. Clones share everything: token, breaker, rate limit.
#[derive(Clone)]
pub struct Client {
    pub(crate) inner: Arc<Inner>,
}

impl Client {
    /// A client without credentials: give it some with [`Client::set_credentials`].
    pub fn new(
        settings: Settings,
        transport: Arc<dyn Transport>,
        now: Now,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, Error> {
        Ok(Self {
            inner: Inner::new(settings, transport, now, observer)?,
        })
    }

    /// Replaces (or with `None` removes) the credentials. Calls begun after it use the new ones.
    pub fn set_credentials(&self, credentials: Option<Credentials>) {
        let status = self.inner.auth.replace(credentials);
        self.inner.observer.credentials(&status);
        self.inner.changed();
    }

    /// Replaces the base URL, as the `url` key of the secret does; see [`Settings::base_url`].
    pub fn set_base_url(&self, url: &str) -> Result<(), Error> {
        let base = Settings {
            base_url: url.to_owned(),
            ..Settings::default()
        }
        .base()?;
        *self.inner.base.write().unwrap_or_else(PoisonError::into_inner) = base;
        Ok(())
    }

    /// What is known about the credentials.
    pub fn credentials_status(&self) -> CredentialsStatus {
        self.inner.auth.status()
    }

    /// State of the circuit breaker of a part of the API.
    pub fn breaker_state(&self, family: Family) -> BreakerState {
        self.inner.guards.state(family)
    }

    /// The parts of the API whose circuit breaker is not closed.
    pub fn broken(&self) -> Vec<Family> {
        let closed = |family: &Family| self.breaker_state(*family) == BreakerState::Closed;
        Family::ALL.into_iter().filter(|family| !closed(family)).collect()
    }

    /// Counts changes of the breakers and of what is known of the credentials, for those who wait for one.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// The settings it was made with.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Makes sure that the credentials work, exchanging them for a token where that is needed. With a
    /// static token nothing is sent: only a call shows whether VPSie accepts it.
    pub async fn authenticate(&self) -> Result<(), Error> {
        self.inner.authorise(&endpoint::AUTHENTICATE).await.map(drop)
    }

    /// The managed Kubernetes clusters of the account.
    pub async fn list_clusters(&self) -> Result<Vec<Cluster>, Error> {
        self.read(
            &endpoint::LIST_CLUSTERS,
            "/k8s/cluster/all".to_owned(),
            None,
            wire::clusters,
        )
        .await
    }

    /// A cluster with its nodes.
    pub async fn get_cluster(&self, cluster: &ClusterId) -> Result<ClusterDetail, Error> {
        let endpoint = &endpoint::GET_CLUSTER;
        let path = format!("/k8s/cluster/byId/{}", segment(cluster.as_str()));
        let reply = self.inner.call(endpoint, &path, None).await?;
        let data = reply.data();
        if is_nothing(data) || data.as_array().is_some_and(Vec::is_empty) {
            let message = format!("there is no cluster {cluster}");
            let error = Error::NotFound {
                doing: endpoint.doing,
                message,
            };
            self.inner
                .observer
                .error(endpoint.method_name(), error.error_type());
            return Err(error);
        }
        let detail = wire::cluster_detail(data, &self.inner.settings.roles);
        detail.map_err(|source| self.inner.unreadable(endpoint, source))
    }

    /// The node groups of a cluster, by number.
    pub async fn list_groups(&self, cluster: &ClusterId) -> Result<Vec<ProviderGroup>, Error> {
        let path = format!("/k8s/node/groups/byClusterId/{}", segment(cluster.as_str()));
        self.read(&endpoint::LIST_GROUPS, path, None, wire::groups).await
    }

    /// Creates a node group. A second group of the same size is a [`Error::Conflict`].
    pub async fn create_group(
        &self,
        cluster: &ClusterId,
        name: &str,
        size: OfferId,
    ) -> Result<CreateGroupReply, Error> {
        let body = json!({ "clusterIdentifier": cluster, "groupName": name, "KubeSizeID": size });
        let data = self
            .change(&endpoint::CREATE_GROUP, "/k8s/cluster/add/group", Some(body))
            .await?;
        Ok(CreateGroupReply {
            number: wire::new_group_number(&data),
        })
    }

    /// Deletes a node group; `reason` must not be empty, `note` may be.
    pub async fn delete_group(&self, group: &GroupUuid, reason: &str, note: &str) -> Result<(), Error> {
        let path = format!("/k8s/cluster/delete/group/{}", segment(group.as_str()));
        // Some deletions fail on the server without this object.
        let body = json!({ "deleteStatistic": { "reason": reason, "note": note } });
        self.change(&endpoint::DELETE_GROUP, &path, Some(body))
            .await
            .map(drop)
    }

    /// The sizes of nodes that can be bought in a datacenter, by id.
    pub async fn list_offers(&self, datacenter: &DatacenterId) -> Result<Vec<Offer>, Error> {
        let body = json!({ "dcIdentifier": datacenter });
        self.read(
            &endpoint::LIST_OFFERS,
            "/k8s/offers".to_owned(),
            Some(body),
            catalogue::offers,
        )
        .await
    }

    /// Orders one node for a group. The server chooses its name and usually does not tell it.
    pub async fn add_node(&self, cluster: &ClusterId, group: GroupNumber) -> Result<AddNodeReply, Error> {
        let path = format!(
            "/k8s/cluster/byId/{}/add/slave/group/{group}",
            segment(cluster.as_str())
        );
        let data = self.change(&endpoint::ADD_NODE, &path, None).await?;
        Ok(AddNodeReply {
            hint: wire::node_ref(&data),
        })
    }

    /// Removes one node. It is gone only when [`Client::get_cluster`] no longer shows it.
    pub async fn remove_node(&self, cluster: &ClusterId, node: &NodeUuid) -> Result<RemoveNodeReply, Error> {
        let path = format!("/k8s/cluster/byId/{}/delete/slave", segment(cluster.as_str()));
        match self
            .change(&endpoint::REMOVE_NODE, &path, Some(json!({ "identifier": node })))
            .await
        {
            Ok(_) => Ok(RemoveNodeReply::Accepted),
            Err(Error::NotFound { .. }) => Ok(RemoveNodeReply::AlreadyGone),
            Err(error) => Err(error),
        }
    }

    /// Every machine of the account, nodes of managed clusters included, by host name.
    pub async fn list_attachable_vms(&self) -> Result<Vec<AttachableVm>, Error> {
        self.read(
            &endpoint::LIST_ATTACHABLE,
            "/storages/vms".to_owned(),
            None,
            catalogue::attachable,
        )
        .await
    }

    /// The datacenters, by id.
    pub async fn list_datacenters(&self) -> Result<Vec<Datacenter>, Error> {
        let path = "/datacenter?offset=0&limit=1000".to_owned();
        self.read(&endpoint::LIST_DATACENTERS, path, None, catalogue::datacenters)
            .await
    }

    pub(crate) async fn read<T>(
        &self,
        endpoint: &Endpoint,
        path: String,
        body: Option<Value>,
        decode: fn(&Value) -> Result<T, DecodeError>,
    ) -> Result<T, Error> {
        let reply = self.inner.call(endpoint, &path, body).await?;
        decode(reply.data()).map_err(|source| self.inner.unreadable(endpoint, source))
    }

    pub(crate) async fn change(
        &self,
        endpoint: &Endpoint,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Error> {
        let reply = self.inner.call(endpoint, path, body).await?;
        // "No error, and the result is false" can mean either; what was ordered may be on its way.
        if reply.data() == &Value::Bool(false) {
            let error = Error::OutcomeUnknown {
                doing: endpoint.doing,
                status: Some(200),
                message: "the reply is neither a success nor an error".to_owned(),
                source: None,
            };
            self.inner
                .observer
                .error(endpoint.method_name(), error.error_type());
            return Err(error);
        }
        Ok(reply.data().clone())
    }
}

/// Percent-encodes what is not surely harmless within a path segment or a form value.
pub(crate) fn segment(text: &str) -> String {
    text.bytes()
        .fold(String::with_capacity(text.len()), |mut encoded, byte| {
            if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
                encoded.push(char::from(byte));
            } else {
                encoded.push_str(&format!("%{byte:02X}"));
            }
            encoded
        })
}
