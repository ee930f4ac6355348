//! A stage for end-to-end tests: a real control plane, a fake VPSie whose machines join it as KWOK nodes, and
//! the controller as a process of its own under exactly the rights that `deploy/` gives it.

use crate::control_plane::{ControlPlane, Options};
use anyhow::{Context, Result, bail};
use autoscaler_controllers::crash::{self, Step};
use autoscaler_simulation::joiner::Joiner;
use fake_vpsie::{Config, FakeVpsie};
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio_util::sync::CancellationToken;

/// A condition that a test waits for is looked at this often.
const LOOK: Duration = Duration::from_millis(100);

/// Stages at a time: what they do is mostly waiting, but many control planes at once would only wait for each other.
const STAGES: u32 = 2;
static TURNS: Semaphore = Semaphore::const_new(STAGES as usize);

/// Everything that one end-to-end test needs.
pub struct Stage {
    pub plane: ControlPlane,
    pub client: Client,
    pub cloud: Arc<FakeVpsie>,
    cloud_url: String,
    stop: CancellationToken,
    controller: Option<Controller>,
    _turn: SemaphorePermit<'static>,
}

struct Controller {
    process: Child,
    address: String,
}

impl Stage {
    /// A control plane with our definitions and rights, and a fake VPSie; no controller yet.
    pub async fn set(cloud: Config) -> Result<Self> {
        Self::set_beside(STAGES - 1, cloud).await
    }

    /// The same with no other stage at that time: for tests that measure how fast it reacts.
    pub async fn set_alone(cloud: Config) -> Result<Self> {
        Self::set_beside(0, cloud).await
    }

    async fn set_beside(others: u32, cloud: Config) -> Result<Self> {
        let turn = TURNS
            .acquire_many(STAGES - others)
            .await
            .context("waiting for a turn")?;
        let plane = ControlPlane::start(Options::default()).await?;
        let client = plane.client()?;
        install(&plane).await?;
        let cloud = FakeVpsie::new(cloud, Arc::new(jiff::Timestamp::now));
        let listener = TcpListener::bind("127.0.0.1:0")
            .await
            .context("binding the fake VPSie")?;
        let cloud_url = format!("http://{}", listener.local_addr().context("its address")?);
        tokio::spawn(cloud.clone().serve(listener));
        let stop = CancellationToken::new();
        let joiner = Joiner::new(&cloud, client.clone(), Arc::new(jiff::Timestamp::now)).with_kwok();
        tokio::spawn(joiner.run(stop.clone()));
        Ok(Self {
            plane,
            client,
            cloud,
            cloud_url,
            stop,
            controller: None,
            _turn: turn,
        })
    }

    /// Cancelled when the stage is taken down: what a test spawns ends with it.
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Writes `vpsie-secret`.
    pub async fn secret(&self, token: &str) -> Result<()> {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "vpsie-secret", "namespace": "kube-system"},
            "stringData": {
                "token": token, "url": format!("{}/apps/v2", self.cloud_url),
                "accountPassword": self.cloud.config().plain.account_password,
            },
        });
        self.apply(&secret).await
    }

    /// Applies an object as an operator would.
    pub async fn apply(&self, object: &Value) -> Result<()> {
        self.plane
            .kubectl(&["apply", "-f", "-"], &object.to_string())
            .await
            .map(drop)
    }

    /// Starts the controller with the service account's own kubeconfig.
    pub async fn start_controller(&mut self, flags: &[&str]) -> Result<()> {
        self.start_process(flags, None).await
    }

    /// Starts a controller that ends itself when it has done `step`.
    pub async fn start_controller_that_dies(&mut self, flags: &[&str], step: Step) -> Result<()> {
        self.start_process(flags, Some(step)).await
    }

    async fn start_process(&mut self, flags: &[&str], dies_at: Option<Step>) -> Result<()> {
        let kubeconfig = self
            .plane
            .service_account_kubeconfig("kube-system", "vpsie-autoscaler")
            .await?;
        let port = free_port()?;
        let address = format!("127.0.0.1:{port}");
        let log = File::create(self.log_path()).context("creating the controller's log")?;
        let process = Command::new(binary()?)
            .arg("run")
            .args(["--kubeconfig", kubeconfig.to_str().context("path")?])
            .args(["--metrics-addr", &address, "--log-format", "text"])
            .args(flags)
            .env("POD_NAME", "controller-0")
            .envs(dies_at.map(|step| (crash::VARIABLE, step.to_string())))
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("the controller's log")?)
            .stderr(log)
            .spawn()
            .context("starting the controller")?;
        self.controller = Some(Controller { process, address });
        Ok(())
    }

    /// What the program prints for a command that asks the cluster, under the controller's own rights.
    pub async fn output(&self, command: &str) -> Result<String> {
        let kubeconfig = self
            .plane
            .service_account_kubeconfig("kube-system", "vpsie-autoscaler")
            .await?;
        let output = tokio::process::Command::new(binary()?)
            .args([command, "--kubeconfig", kubeconfig.to_str().context("path")?])
            .output()
            .await
            .with_context(|| format!("running `{command}`"))?;
        if !output.status.success() {
            bail!("`{command}`: {}", String::from_utf8_lossy(&output.stderr));
        }
        String::from_utf8(output.stdout).context("reading its output")
    }

    /// What `vpsie-autoscaler explain` prints of a pod, node or node group.
    pub async fn explain(&self, what: &str, namespace: &str) -> Result<String> {
        let address = &self
            .controller
            .as_ref()
            .context("the controller does not run")?
            .address;
        let output = tokio::process::Command::new(binary()?)
            .args([
                "explain",
                what,
                "-n",
                namespace,
                "--address",
                &format!("http://{address}"),
            ])
            .output()
            .await
            .with_context(|| format!("running `explain {what}`"))?;
        if !output.status.success() {
            bail!("`explain {what}`: {}", String::from_utf8_lossy(&output.stderr));
        }
        String::from_utf8(output.stdout).context("reading its output")
    }

    /// SIGKILL: the process gets no chance to tidy up.
    pub fn kill_controller(&mut self) {
        if let Some(mut controller) = self.controller.take() {
            let _ = controller.process.kill();
            let _ = controller.process.wait();
            self.check_log();
        }
    }

    /// No secret stands in the log of any controller that any test has run.
    fn check_log(&self) {
        if std::thread::panicking() {
            return;
        }
        let config = self.cloud.config();
        let clients = config.access.clients.into_iter();
        let secrets = clients
            .map(|client| client.client_secret)
            .chain(config.access.tokens)
            .chain(config.plain.account_password)
            .chain(config.plain.join_token);
        let log = self.log();
        for secret in secrets.filter(|secret| !secret.is_empty()) {
            let line = log.lines().find(|line| line.contains(&secret));
            assert!(line.is_none(), "the log has the secret {secret}: {line:?}");
        }
    }

    /// Whether the controller's process lives.
    pub fn controller_lives(&mut self) -> bool {
        self.controller
            .as_mut()
            .is_some_and(|controller| matches!(controller.process.try_wait(), Ok(None)))
    }

    /// Where the fake VPSie listens.
    pub fn cloud_url(&self) -> &str {
        &self.cloud_url
    }

    /// Where the controller answers.
    pub fn address(&self) -> Result<&str> {
        let controller = self.controller.as_ref().context("the controller does not run")?;
        Ok(&controller.address)
    }

    /// A command of the program as a line for a shell, under the controller's own rights.
    pub async fn command_line(&self, command: &str) -> Result<String> {
        let kubeconfig = self
            .plane
            .service_account_kubeconfig("kube-system", "vpsie-autoscaler")
            .await?;
        Ok(format!(
            "{} {command} --kubeconfig {}",
            binary()?.display(),
            kubeconfig.display()
        ))
    }

    /// How `explain` is asked of this controller.
    pub fn explain_command(&self) -> Result<String> {
        Ok(format!(
            "{} explain --address http://{}",
            binary()?.display(),
            self.address()?
        ))
    }

    /// Where the controller's log is.
    pub fn log_path(&self) -> PathBuf {
        self.plane.folder().join("controller.log")
    }

    /// Everything that the controller has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Status and body of one of the controller's own addresses.
    pub async fn get(&self, path: &str) -> Result<(u16, String)> {
        let address = &self
            .controller
            .as_ref()
            .context("the controller does not run")?
            .address;
        let answer = reqwest::get(format!("http://{address}{path}"))
            .await
            .context("asking the controller")?;
        Ok((
            answer.status().as_u16(),
            answer.text().await.context("reading its answer")?,
        ))
    }

    /// The sum of all series of a metric whose text contains every one of `labels`.
    pub async fn metric(&self, name: &str, labels: &[&str]) -> Result<f64> {
        let (_, text) = self.get("/metrics").await?;
        let series = text.lines().filter(|line| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
                && labels.iter().all(|label| line.contains(label))
        });
        let values = series
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .collect::<Vec<_>>();
        if values.is_empty() {
            bail!("there is no series {name} with {labels:?}");
        }
        Ok(values.iter().sum())
    }

    /// Events about objects of a kind, as `reason: note` by object name.
    pub async fn events(&self, kind: &str, reason: &str) -> Result<Vec<(String, String)>> {
        let api: Api<Event> = Api::all(self.client.clone());
        let fields = format!("involvedObject.kind={kind},reason={reason}");
        let events = api.list(&ListParams::default().fields(&fields)).await?;
        let told = events.items.into_iter();
        Ok(told
            .map(|event| {
                (
                    event.involved_object.name.unwrap_or_default(),
                    event.message.unwrap_or_default(),
                )
            })
            .collect())
    }

    /// Waits until `look` has nothing to complain about; fails with its last complaint and the ends of all logs.
    pub async fn until<F, Fut>(&self, what: &str, limit: Duration, mut look: F) -> Result<Duration>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<Option<String>>>,
    {
        let start = Instant::now();
        loop {
            let complaint = match look().await {
                Ok(None) => return Ok(start.elapsed()),
                Ok(Some(complaint)) => complaint,
                Err(error) => format!("{error:#}"),
            };
            if start.elapsed() > limit {
                bail!(
                    "{what}: {complaint} after {limit:?}\ncontroller:\n{}\n{}",
                    tail(&self.log(), 60),
                    self.plane.log_tails()
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.kill_controller();
        self.stop.cancel();
    }
}

/// What `kubectl apply -k deploy` installs, without the Deployment: the test runs the process itself.
async fn install(plane: &ControlPlane) -> Result<()> {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let rendered = plane
        .kubectl(&["kustomize", deploy.to_str().context("path")?], "")
        .await?;
    let documents = rendered
        .split("\n---\n")
        .filter(|document| !document.lines().any(|line| line == "kind: Deployment"));
    let text = documents.collect::<Vec<_>>().join("\n---\n");
    plane
        .kubectl(&["apply", "--server-side", "-f", "-"], &text)
        .await?;
    plane
        .kubectl(
            &[
                "wait",
                "--for=condition=Established",
                "crd",
                "--all",
                "--timeout=60s",
            ],
            "",
        )
        .await
        .map(drop)
}

/// The controller's binary: `cargo test --workspace` has built it beside the tests.
pub fn binary() -> Result<PathBuf> {
    let test = std::env::current_exe().context("finding this test's own binary")?;
    let path = test
        .parent()
        .and_then(Path::parent)
        .context("the target folder")?
        .join("vpsie-autoscaler");
    if !path.exists() {
        bail!(
            "{} is missing: run `cargo build -p vpsie-autoscaler` or `cargo xtask test`",
            path.display()
        );
    }
    Ok(path)
}

fn free_port() -> Result<u16> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("finding a free port")?;
    Ok(listener.local_addr().context("its address")?.port())
}

fn tail(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
