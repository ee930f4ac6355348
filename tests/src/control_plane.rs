//! A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-scheduler,
//! kube-controller-manager, and kwok as the kubelet of nodes annotated `kwok.x-k8s.io/node: fake`.
//!
//! Starting takes a few seconds, so the tests of one binary share one: [`ControlPlane::shared`]. Tests keep
//! out of each other's way by names; nothing is ever cleaned up, the whole stack is thrown away.

mod components;
mod credentials;
pub(crate) mod process;

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use k8s_openapi::api::{
    authentication::v1::{TokenRequest, TokenRequestSpec},
    core::v1::ServiceAccount,
};
use kube::{Api, Client, Config, api::PostParams, config::AuthInfo};
use serde_json::json;
use tempfile::TempDir;
use tokio::{sync::OnceCell, time::Instant};
use xtask::{control_plane::Binaries, workspace::Workspace};

use components::{Layout, Ports};
use credentials::Credentials;
use process::{Janitor, Process};

/// The annotation by which kwok takes a node for its own.
pub const KWOK_ANNOTATION: (&str, &str) = ("kwok.x-k8s.io/node", "fake");

/// A machine that compiles on all cores at the same time still gets a control plane within this.
const START_LIMIT: Duration = Duration::from_secs(120);
/// How often a component that is starting is looked at.
const LOOK: Duration = Duration::from_millis(25);
/// Tries with other ports, when another process took one in between.
const TRIES: usize = 3;

/// How a control plane differs from the usual one.
#[derive(Debug, Default, Clone)]
pub struct Options {
    /// The URL of a scheduler extender: it is handed exactly the nodes that passed the scheduler's own
    /// filters, all of them, for every pod.
    pub scheduler_extender: Option<String>,
    /// Only etcd, kube-apiserver and kube-scheduler, and no admission that counts on a controller: what is
    /// created stays as it was written, and what is deleted is gone at once.
    pub scheduler_only: bool,
}

/// A running control plane. Dropping it kills its processes and removes its folder; so does the death of this
/// process. With `VPSIE_AUTOSCALER_KEEP` set the folder (logs, data, kubeconfig files) stays.
#[derive(Debug)]
pub struct ControlPlane {
    processes: Vec<Process>,
    server: String,
    credentials: Credentials,
    binaries: Binaries,
    // The janitor before the folder: it has to see that there is nothing left to do.
    folder: PathBuf,
    _janitor: Option<Janitor>,
}

impl ControlPlane {
    /// Starts one and waits until it answers and the default service account exists.
    pub async fn start(options: Options) -> Result<Self> {
        let workspace = Workspace::find()?;
        let binaries = tokio::task::spawn_blocking(move || xtask::control_plane::build(&workspace.root))
            .await
            .context("building the control plane")??;
        for attempt in 1..=TRIES {
            match Self::start_once(&options, &binaries).await {
                Ok(started) => return Ok(started),
                Err(error) if attempt < TRIES && format!("{error:#}").contains("address already in use") => {}
                Err(error) => return Err(error.context("starting the control plane")),
            }
        }
        bail!("starting the control plane: every try found a port taken")
    }

    /// The one that all tests of this binary share, started by the first that asks.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_try_init(|| Self::start(Options::default())).await
    }

    async fn start_once(options: &Options, binaries: &Binaries) -> Result<Self> {
        let folder = TempDir::with_prefix("control-plane-")
            .context("creating the run's folder")?
            .keep();
        let keep = std::env::var_os("VPSIE_AUTOSCALER_KEEP").is_some();
        let janitor = if keep {
            None
        } else {
            Some(Janitor::start(&folder)?)
        };
        let credentials = Credentials::create(&folder)?;
        let ports = Ports::free()?;
        let layout = Layout {
            folder: &folder,
            ports: &ports,
            credentials: &credentials,
        };
        let start =
            |name: &str, arguments: &[String]| Process::start(&folder, &binaries.path(name), arguments);

        let etcd = start("etcd", &layout.etcd())?;
        let apiserver = start("kube-apiserver", &layout.apiserver(options.scheduler_only))?;
        let server = layout.server();
        credentials.kubeconfig(&folder.join("kubeconfig"), &server, credentials::ADMIN)?;
        let (scheduler_arguments, manager_arguments) = (
            layout.scheduler(options.scheduler_extender.as_deref())?,
            layout.controller_manager()?,
        );
        let stages = folder.join("stages.yaml");
        let kwok_arguments = layout.kwok(&stages)?;
        let published = Command::new(binaries.path("kwok"))
            .arg("print-stages")
            .output()
            .context("running kwok")?;
        std::fs::write(&stages, published.stdout).context("writing kwok's stages")?;

        let mut this = Self {
            processes: vec![etcd, apiserver],
            server,
            credentials,
            binaries: binaries.clone(),
            folder: folder.clone(),
            _janitor: janitor,
        };
        let client = this.client()?;
        let limit = Instant::now() + START_LIMIT;
        this.wait_until("kube-apiserver is ready", limit, async || {
            client
                .request_text(get("/readyz")?)
                .await
                .context("asking /readyz")
        })
        .await?;
        this.processes
            .push(start("kube-scheduler", &scheduler_arguments)?);
        if options.scheduler_only {
            return Ok(this);
        }
        for (name, arguments) in [
            ("kube-controller-manager", manager_arguments),
            ("kwok", kwok_arguments),
        ] {
            this.processes.push(start(name, &arguments)?);
        }
        let accounts: Api<ServiceAccount> = Api::namespaced(client, "default");
        this.wait_until("the default service account exists", limit, async || {
            accounts
                .get("default")
                .await
                .context("reading the default service account")
        })
        .await?;
        Ok(this)
    }

    async fn wait_until<T>(
        &mut self,
        what: &str,
        limit: Instant,
        look: impl AsyncFn() -> Result<T>,
    ) -> Result<T> {
        loop {
            let error = match look().await {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            for process in &mut self.processes {
                process.check()?;
            }
            if Instant::now() >= limit {
                return Err(error.context(format!("waiting until {what}:\n{}", self.log_tails())));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// The last lines that each component logged: what to look at when something did not happen.
    #[must_use]
    pub fn log_tails(&self) -> String {
        let tails = self.processes.iter().map(Process::log_tail);
        tails.collect::<Vec<_>>().join("\n")
    }

    /// The API server's URL.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// A kubeconfig file for the administrator.
    #[must_use]
    pub fn kubeconfig_path(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The kubectl of this control plane's version.
    #[must_use]
    pub fn kubectl_path(&self) -> PathBuf {
        self.binaries.path("kubectl")
    }

    /// The folder with the logs of the components.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A client for the administrator. It belongs to the runtime it was made in: every test makes its own.
    pub fn client(&self) -> Result<Client> {
        self.client_with(AuthInfo {
            token: Some(credentials::ADMIN.to_owned().into()),
            ..AuthInfo::default()
        })
    }

    /// A client for the administrator acting as a user of that name and groups, with that user's rights only.
    pub fn client_as(&self, user: &str, groups: &[&str]) -> Result<Client> {
        self.client_with(AuthInfo {
            token: Some(credentials::ADMIN.to_owned().into()),
            impersonate: Some(user.to_owned()),
            impersonate_groups: Some(groups.iter().map(|&group| group.to_owned()).collect()),
            ..AuthInfo::default()
        })
    }

    /// A client with a real token of a service account: its rights are exactly what RBAC gives it.
    pub async fn service_account_client(&self, namespace: &str, name: &str) -> Result<Client> {
        let token = self.service_account_token(namespace, name).await?;
        self.client_with(AuthInfo {
            token: Some(token.into()),
            ..AuthInfo::default()
        })
    }

    /// A kubeconfig file with a real token of a service account.
    pub async fn service_account_kubeconfig(&self, namespace: &str, name: &str) -> Result<PathBuf> {
        let token = self.service_account_token(namespace, name).await?;
        let path = self.folder.join(format!("{namespace}-{name}.kubeconfig"));
        self.credentials.kubeconfig(&path, &self.server, &token)
    }

    async fn service_account_token(&self, namespace: &str, name: &str) -> Result<String> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client()?, namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(3600),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("requesting a token for {namespace}/{name}"))?;
        Ok(answer
            .status
            .context("a token request is answered with a token")?
            .token)
    }

    /// Configuration for the administrator, for a test that wants to change it before it makes a client.
    pub fn config(&self) -> Result<Config> {
        let mut config = Config::new(self.server.parse().context("the server's URL")?);
        config.root_cert = Some(vec![self.credentials.authority_der.clone()]);
        config.auth_info.token = Some(credentials::ADMIN.to_owned().into());
        Ok(config)
    }

    fn client_with(&self, auth_info: AuthInfo) -> Result<Client> {
        let mut config = self.config()?;
        config.auth_info = auth_info;
        Client::try_from(config).context("creating a client for the test cluster")
    }

    /// Runs kubectl as the administrator, with `input` as its standard input, and returns what it printed.
    pub async fn kubectl(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut command = tokio::process::Command::new(self.kubectl_path());
        command
            .env_clear()
            .envs(process::environment(&self.folder))
            .env("KUBECONFIG", self.kubeconfig_path());
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().context("starting kubectl")?;
        if let Some(mut stdin) = child.stdin.take() {
            tokio::io::AsyncWriteExt::write_all(&mut stdin, input.as_bytes())
                .await
                .context("writing to kubectl")?;
        }
        let output = child.wait_with_output().await.context("waiting for kubectl")?;
        if !output.status.success() {
            bail!(
                "kubectl {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        String::from_utf8(output.stdout).context("reading what kubectl printed")
    }

    /// Creates a node which kwok makes Ready, with this capacity (such as `[("cpu", "4"), ("pods", "110")]`).
    pub async fn create_node(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        capacity: &[(&str, &str)],
    ) -> Result<()> {
        let labels: serde_json::Map<_, _> = labels.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
        let capacity: serde_json::Map<_, _> = capacity
            .iter()
            .map(|(k, v)| ((*k).to_owned(), json!(v)))
            .collect();
        let nodes: Api<k8s_openapi::api::core::v1::Node> = Api::all(self.client()?);
        let node = serde_json::from_value(json!({
            "metadata": { "name": name, "labels": labels, "annotations": { (KWOK_ANNOTATION.0): KWOK_ANNOTATION.1 } },
            // A node is created with its status, as a kubelet does; kwok keeps the capacity that it finds.
            "status": { "capacity": capacity, "allocatable": capacity },
        }))
        .context("describing a node")?;
        nodes
            .create(&PostParams::default(), &node)
            .await
            .with_context(|| format!("creating node {name}"))?;
        Ok(())
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        // All at once, so that none has the time to complain about another.
        for process in &mut self.processes {
            process.release();
        }
    }
}

fn get(path: &str) -> Result<http::Request<Vec<u8>>> {
    http::Request::get(path)
        .body(Vec::new())
        .context("building a request")
}
