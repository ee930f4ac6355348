//! The command lines of the five programs.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::credentials::{self, Credentials};

/// Loopback ports that were free a moment ago.
#[derive(Debug)]
pub(super) struct Ports {
    pub(super) etcd_clients: u16,
    pub(super) etcd_peers: u16,
    pub(super) apiserver: u16,
    pub(super) kwok: u16,
}

impl Ports {
    /// Asks the kernel for ports. All are held until all are known, so they differ from each other; between
    /// here and their use another process may take one, which shows as a component that ends at once.
    pub(super) fn free() -> Result<Self> {
        let listeners: Vec<TcpListener> = (0..4)
            .map(|_| TcpListener::bind(("127.0.0.1", 0)))
            .collect::<std::io::Result<_>>()
            .context("asking for free ports")?;
        let mut ports = Vec::new();
        for listener in &listeners {
            ports.push(listener.local_addr().context("reading a free port")?.port());
        }
        Ok(Self {
            etcd_clients: ports[0],
            etcd_peers: ports[1],
            apiserver: ports[2],
            kwok: ports[3],
        })
    }
}

/// What all command lines share.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub(super) folder: &'a Path,
    pub(super) ports: &'a Ports,
    pub(super) credentials: &'a Credentials,
}

impl Layout<'_> {
    /// Where the API server is.
    pub(super) fn server(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.apiserver)
    }

    fn kubeconfig(&self, name: &str, token: &str) -> Result<String> {
        let path = self.folder.join(format!("{name}.kubeconfig"));
        Ok(text(&self.credentials.kubeconfig(
            &path,
            &self.server(),
            token,
        )?))
    }

    /// etcd without durability: the data die with the test.
    pub(super) fn etcd(&self) -> Vec<String> {
        let clients = format!("http://127.0.0.1:{}", self.ports.etcd_clients);
        let peers = format!("http://127.0.0.1:{}", self.ports.etcd_peers);
        flags(&[
            ("data-dir", text(&self.folder.join("etcd"))),
            ("listen-client-urls", clients.clone()),
            ("advertise-client-urls", clients),
            ("listen-peer-urls", peers.clone()),
            ("initial-advertise-peer-urls", peers.clone()),
            ("initial-cluster", format!("default={peers}")),
            ("heartbeat-interval", "10".into()),
            ("election-timeout", "100".into()),
            ("unsafe-no-fsync", "true".into()),
            ("log-level", "warn".into()),
        ])
    }

    /// `alone` leaves out the admission plugins whose work a controller takes back or goes on with.
    pub(super) fn apiserver(&self, alone: bool) -> Vec<String> {
        let of = self.credentials;
        let counts_on_controllers = "ServiceAccount,StorageObjectInUseProtection,TaintNodesByCondition";
        let left_out = if alone { counts_on_controllers } else { "" };
        flags(&[
            ("disable-admission-plugins", left_out.into()),
            (
                "etcd-servers",
                format!("http://127.0.0.1:{}", self.ports.etcd_clients),
            ),
            ("bind-address", "127.0.0.1".into()),
            ("advertise-address", "127.0.0.1".into()),
            ("secure-port", self.ports.apiserver.to_string()),
            ("endpoint-reconciler-type", "none".into()),
            ("service-cluster-ip-range", "10.96.0.0/16".into()),
            ("tls-cert-file", text(&of.serving_certificate)),
            ("tls-private-key-file", text(&of.serving_key)),
            ("service-account-issuer", "https://kubernetes.default.svc".into()),
            ("service-account-signing-key-file", text(&of.account_key)),
            ("service-account-key-file", text(&of.account_public_key)),
            ("token-auth-file", text(&of.tokens)),
            ("authorization-mode", "RBAC".into()),
            ("kubelet-preferred-address-types", "InternalIP".into()),
        ])
    }

    pub(super) fn controller_manager(&self) -> Result<Vec<String>> {
        Ok(flags(&[
            (
                "kubeconfig",
                self.kubeconfig("controller-manager", credentials::CONTROLLER_MANAGER)?,
            ),
            ("use-service-account-credentials", "true".into()),
            (
                "service-account-private-key-file",
                text(&self.credentials.account_key),
            ),
            ("root-ca-file", text(&self.credentials.authority)),
            ("leader-elect", "false".into()),
            ("secure-port", "0".into()),
            (
                "flex-volume-plugin-dir",
                text(&self.folder.join("volume-plugins")),
            ),
            ("kube-api-qps", "500".into()),
            ("kube-api-burst", "1000".into()),
        ]))
    }

    /// The scheduler as a cluster has it, except that a pod which failed is tried again after two seconds at
    /// the latest instead of ten, and that its client does not throttle itself.
    pub(super) fn scheduler(&self, extender: Option<&str>) -> Result<Vec<String>> {
        let mut configuration = serde_json::json!({
            "apiVersion": "kubescheduler.config.k8s.io/v1",
            "kind": "KubeSchedulerConfiguration",
            "leaderElection": { "leaderElect": false },
            "clientConnection": {
                "kubeconfig": self.kubeconfig("scheduler", credentials::SCHEDULER)?,
                "qps": 500,
                "burst": 1000,
            },
            "podInitialBackoffSeconds": 1,
            "podMaxBackoffSeconds": 2,
        });
        if let Some(url) = extender {
            configuration["percentageOfNodesToScore"] = 100.into();
            configuration["extenders"] = serde_json::json!([{
                "urlPrefix": url,
                "filterVerb": "filter",
                "nodeCacheCapable": true,
                "ignorable": false,
                "httpTimeout": "10s",
            }]);
        }
        let path = self.folder.join("scheduler.json");
        credentials::private_file(&path, &configuration.to_string())?;
        Ok(flags(&[("config", text(&path)), ("secure-port", "0".into())]))
    }

    /// kwok plays the kubelet of nodes that carry the annotation, and of no others.
    pub(super) fn kwok(&self, stages: &Path) -> Result<Vec<String>> {
        Ok(flags(&[
            ("kubeconfig", self.kubeconfig("kwok", credentials::KWOK)?),
            ("config", text(stages)),
            ("manage-all-nodes", "false".into()),
            (
                "manage-nodes-with-annotation-selector",
                "kwok.x-k8s.io/node=fake".into(),
            ),
            ("node-ip", "127.0.0.1".into()),
            ("node-port", self.ports.kwok.to_string()),
            ("server-address", format!("127.0.0.1:{}", self.ports.kwok)),
            ("cidr", "10.244.0.0/16".into()),
            ("node-lease-duration-seconds", "40".into()),
        ]))
    }
}

fn flags(pairs: &[(&str, String)]) -> Vec<String> {
    pairs
        .iter()
        .map(|(name, value)| format!("--{name}={value}"))
        .collect()
}

fn text(path: &Path) -> String {
    PathBuf::from(path).to_string_lossy().into_owned()
}
