//! The command line as types.

mod distribution;
mod fuzz;

pub(crate) use distribution::{PolicyPull, PolicyPush, RegistryOptions};
pub(crate) use fuzz::PolicyFuzz;

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

const AFTER_HELP: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage.\n\
    Data goes to standard output, talk to standard error.";

/// Gives a Kubernetes cluster on VPSie the nodes it needs and no more.
#[derive(Debug, Parser)]
#[command(name = "vpsie-autoscaler", version, after_help = AFTER_HELP)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the controller against a cluster.
    Run(Box<Run>),
    /// Run the whole system in memory, tell the story, and sum up.
    Demo(Demo),
    /// Play a scenario from a file in memory, once for each policy that is to be compared.
    Simulate(Simulate),
    /// Run a fake VPSie, to try the controller without an account.
    FakeVpsie(FakeVpsie),
    /// Tell what the controller knows of a pod, a node or a node group, and what keeps it as it is.
    Explain(Explain),
    /// Tell which pending pod fits on which node, and which rule refuses where not.
    Fit(Fit),
    /// List machines without their VPSieNode, and VPSieNodes without their machine.
    Orphans(Orphans),
    /// Undo a rebalance operation that is under way.
    Rollback(Rollback),
    /// Print the custom resource definitions as YAML.
    Crds,
    /// Write, test and replay policies; no cluster is needed.
    #[command(subcommand)]
    Policy(Policy),
}

/// The controller's flags. Where a flag has an environment variable, the flag wins.
#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Kubeconfig file. Default: the pod's service account, else the usual places of kubectl.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Namespace of the Lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "kube-system")]
    pub(crate) namespace: String,
    /// Our name in the Lease. Default: POD_NAME, else host name and process id.
    #[arg(long, env = "POD_NAME")]
    pub(crate) identity: Option<String>,
    /// Where /metrics, /healthz, /readyz and /decisions are served; `:8080` means every address.
    #[arg(long, default_value = "0.0.0.0:8080", value_parser = listen_address)]
    pub(crate) metrics_addr: SocketAddr,
    /// Whether replicas agree through a Lease on which of them acts.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(crate) leader_election: bool,
    /// Secret with `token`, or `clientId` and `clientSecret`, and optionally `url`.
    #[arg(long, alias = "vpsie-secret-name", default_value = "vpsie-secret")]
    pub(crate) secret_name: String,
    /// Namespace of the secret.
    #[arg(long, alias = "vpsie-secret-namespace", default_value = "kube-system")]
    pub(crate) secret_namespace: String,
    /// Address of the VPSie API, for as long as the secret names none.
    #[arg(long, env = "VPSIE_API_URL")]
    pub(crate) vpsie_url: Option<String>,
    /// How VPSie is spoken to: limits, circuit breaker, paths, words of refusals; YAML or JSON, see
    /// docs/vpsie-settings.md. Default: what suits VPSie as it is.
    #[arg(long, env = "VPSIE_SETTINGS", value_name = "FILE")]
    pub(crate) vpsie_settings: Option<PathBuf>,
    /// Folder for the records of decisions, which `policy replay` reads. Default: they are kept in memory, until the
    /// process ends.
    #[arg(long, value_name = "DIR")]
    pub(crate) records_dir: Option<PathBuf>,
    /// How many bytes of records are kept; the oldest go first. 0 keeps none.
    #[arg(long, value_name = "QUANTITY", default_value = "32Mi", value_parser = bytes)]
    pub(crate) records_size: u64,
    /// Folder where the components of policies are kept, so that a restart needs no network for them.
    #[arg(long, env = "POLICY_CACHE", value_name = "FOLDER")]
    pub(crate) policy_cache: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) log: Log,
    #[command(flatten)]
    pub(crate) pace: Pace,
}

/// Which operation is undone.
#[derive(Debug, Args)]
pub(crate) struct Rollback {
    /// Name of the Rebalance; `kubectl get rebalances -A` lists them.
    pub(crate) name: String,
    /// Its namespace.
    #[arg(long, short, default_value = "kube-system")]
    pub(crate) namespace: String,
    /// Whether to wait until the operation is over.
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub(crate) wait: bool,
    /// Kubeconfig file. Default: the pod's service account, else the usual places of kubectl.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
}

/// What is logged, and how. Logs go to standard error.
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// error, warn, info, debug, trace; or directives such as `info,kube=debug`.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub(crate) log_level: String,
    /// One JSON object a line, or text.
    #[arg(long, env = "LOG_FORMAT", default_value = "json")]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Json,
    Text,
}

/// How fast the controllers go. The defaults suit production; tests want it faster.
#[derive(Debug, Args)]
#[command(next_help_heading = "Pace")]
pub(crate) struct Pace {
    /// Waiting pods are gathered until none came for this long.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) batch_idle: Option<Duration>,
    /// Waiting pods are gathered for at most this long.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) batch_max: Option<Duration>,
    /// How often the fleet is looked at for nodes that may go.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) rebalance_interval: Option<Duration>,
    /// How often VPSie is asked for machines that were ordered or given back.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) provider_poll: Option<Duration>,
    /// How long an order whose answer was lost is looked for before it is sent again.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) lost_answer_grace: Option<Duration>,
    /// How long offers and prices are believed.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) offers_ttl: Option<Duration>,
    /// Pause after a purchase that was refused; doubles with each further one.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) purchase_backoff: Option<Duration>,
    /// Longest pause after refused purchases.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) purchase_backoff_max: Option<Duration>,
    /// Every object is looked at again after this long, whatever happened.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) resync: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Print the summary as one JSON object, and nothing else.
    #[arg(long)]
    pub(crate) json: bool,
    /// The same seed gives the same story, measured durations aside.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Also log what the controllers log, at this level, to standard error.
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// What is there and what happens when, as YAML or JSON; see docs/simulate.md.
    #[arg(value_name = "SCENARIO")]
    pub(crate) scenario: PathBuf,
    /// A component to compare with, and a JSON file with its configuration; may be repeated.
    #[arg(long = "policy", value_name = "FILE.wasm[,CONFIG.json]")]
    pub(crate) policies: Vec<String>,
    /// The same seed gives the same report, measured durations aside.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Write the report as a page to this file, with pictures of what happened over time.
    #[arg(long, value_name = "FILE.html")]
    pub(crate) report: Option<PathBuf>,
    /// Print the report as one JSON object, with every look at the cluster.
    #[arg(long)]
    pub(crate) json: bool,
    /// Also log what the controllers log, at this level, to standard error.
    #[arg(long, value_name = "LEVEL")]
    pub(crate) log_level: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct FakeVpsie {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_parser = listen_address)]
    pub(crate) listen: SocketAddr,
    /// Let its machines join this cluster as Nodes, with KWOK as their kubelet.
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Clusters, offers, delays and manners, as YAML or JSON. Default: one cluster and five offers.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// What is logged, on standard error.
    #[arg(long, env = "LOG_LEVEL", default_value = "info")]
    pub(crate) log_level: String,
}

/// Asks a running controller, and changes nothing. In its pod:
/// `kubectl -n kube-system exec deploy/vpsie-autoscaler -- vpsie-autoscaler explain pod/NAME -n NAMESPACE`.
/// From elsewhere: after `kubectl -n kube-system port-forward deploy/vpsie-autoscaler 8080`. A replica that stands by
/// answers too, without what only the leader asks VPSie.
#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// `pod/NAME`, `node/NAME` or `nodegroup/NAME`, also `po/`, `no/` and `ng/`; a node that has yet to join has the name
    /// of its VPSieNode.
    #[arg(value_name = "WHAT", value_parser = subject)]
    pub(crate) subject: (SubjectKind, String),
    /// Namespace of the pod or node group.
    #[arg(short, long, default_value = "default")]
    pub(crate) namespace: String,
    /// Where the controller serves /metrics.
    #[arg(long, default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub(crate) address: String,
    /// Print one JSON object: `summary`, and `sections` with `title` and `facts` of `subject` and `text`.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SubjectKind {
    Pod,
    Node,
    NodeGroup,
}

/// Each pod that waits is held alone against the cluster as it is; no other waiting pod is placed. The answer is
/// that of kube-scheduler's filters: nodes that are not ready are judged by their taints.
#[derive(Debug, Args)]
pub(crate) struct Fit {
    /// What `kubectl get … -o json` or `-o yaml` printed, of nodes, pods, namespaces, persistentvolumeclaims,
    /// persistentvolumes, storageclasses, csinodes, csidrivers, csistoragecapacities, volumeattachments and
    /// runtimeclasses; `-` is standard input.
    #[arg(long, required = true, num_args = 1.., value_name = "FILE")]
    pub(crate) from_dump: Vec<PathBuf>,
    /// Print one JSON object: `feasible` has the nodes of each pod, `refused` the rule for each other node.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Asks Kubernetes and VPSie once, and changes nothing. What was just bought or given back may be among the answer:
/// the controller itself believes only what has stayed for two minutes.
#[derive(Debug, Args)]
pub(crate) struct Orphans {
    /// Kubeconfig file. Default: the pod's service account, else the usual places of kubectl.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Secret with the credentials of VPSie.
    #[arg(long, default_value = "vpsie-secret")]
    pub(crate) secret_name: String,
    /// Namespace of the secret.
    #[arg(long, default_value = "kube-system")]
    pub(crate) secret_namespace: String,
    /// Address of the VPSie API, where the secret names none.
    #[arg(long, env = "VPSIE_API_URL")]
    pub(crate) vpsie_url: Option<String>,
    /// Print a JSON array: kind, cluster, name and what of each.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Make a project that builds, with a case that holds.
    New(PolicyNew),
    /// Make a component of a project.
    Build(PolicyBuild),
    /// Load a component as the controller does, and print what it says of itself.
    Check(PolicyCheck),
    /// Print what is in a component: interfaces, imports, size, digest, options.
    Inspect(PolicyInspect),
    /// Decide once about a snapshot, and print the plan with its reasons and costs.
    Run(PolicyRun),
    /// Judge cases.
    Test(PolicyTest),
    /// Decide again what was recorded.
    Replay(PolicyReplay),
    /// Measure how long a policy takes, and how much of its limits.
    Bench(PolicyBench),
    /// Throw made-up clusters at a policy, and keep what breaks it.
    Fuzz(PolicyFuzz),
    /// Push a component to an OCI registry.
    Push(PolicyPush),
    /// Pull a component from an OCI registry.
    Pull(PolicyPull),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    Rust,
    Python,
    Javascript,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyKind {
    ScaleUp,
    NodeSelection,
    Rebalance,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Decision {
    Growth,
    Removal,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyNew {
    /// Folder of the project; its last part is the name.
    pub(crate) path: PathBuf,
    #[arg(long, default_value = "rust")]
    pub(crate) lang: Language,
    /// The question that the policy answers.
    #[arg(long, default_value = "scale-up")]
    pub(crate) kind: PolicyKind,
}

/// Runs the tools of the project's language (cargo, componentize-py, or componentize-js), and loads the component as the controller
/// does.
#[derive(Debug, Args)]
pub(crate) struct PolicyBuild {
    /// Folder of the project.
    #[arg(default_value = ".")]
    pub(crate) path: PathBuf,
    /// Where the component goes. Default: target/policy.wasm in the project.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Profile of cargo, for a project in Rust.
    #[arg(long, default_value = "release")]
    pub(crate) profile: String,
}

/// Who decides, on which terms. What no component answers, the built-in policy does.
#[derive(Debug, Args)]
pub(crate) struct DeskOptions {
    /// A component; it answers every kind of question that it exports.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Vec<PathBuf>,
    /// Configuration of the policy of a kind: `KIND=JSON`, or `KIND=@FILE`.
    #[arg(long, value_name = "KIND=JSON")]
    pub(crate) config: Vec<String>,
    #[command(flatten)]
    pub(crate) limits: LimitOptions,
}

/// The defaults are those of a ScalingPolicy.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitOptions {
    /// Fuel of a call.
    #[arg(long)]
    pub(crate) fuel: Option<u64>,
    /// Longest time of a call.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) deadline: Option<Duration>,
    /// Memory of a call.
    #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=256))]
    pub(crate) memory_mib: Option<u64>,
    /// What one crossing of the border may carry.
    #[arg(long, value_name = "KIB", value_parser = clap::value_parser!(u64).range(1..=1_048_576))]
    pub(crate) output_kib: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyInspect {
    /// The component.
    pub(crate) file: PathBuf,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyRun {
    /// A decision record; a case in YAML; or what `kubectl get … -o yaml` printed, with NodeGroups among it.
    pub(crate) snapshot: PathBuf,
    #[command(flatten)]
    pub(crate) desk: DeskOptions,
    /// Offerings as YAML, for what kubectl printed: `offerings: [{name: small, cpu: 2, price: 20}]`.
    #[arg(long, value_name = "FILE")]
    pub(crate) catalogue: Option<PathBuf>,
    /// What to decide. Default: that of the record; else growth where pods wait.
    #[arg(long)]
    pub(crate) decision: Option<Decision>,
    /// Write the decision as a record.
    #[arg(long, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Without --policy, target/policy.wasm of the present folder is judged, where there is one.
#[derive(Debug, Args)]
pub(crate) struct PolicyTest {
    /// Case folders, case files, or folders of them. Default: cases.
    pub(crate) cases: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) desk: DeskOptions,
    /// Build the project first, as `policy build` does, and load it once for both.
    #[arg(long, conflicts_with = "policy")]
    pub(crate) build: bool,
    /// Write expect.yaml of each folder as things are now, and keep its invariants.
    #[arg(long)]
    pub(crate) bless: bool,
    /// Write a JUnit report.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}

/// The policies of the record decide again: those in this program, and those that --policy gives. Their plans must be
/// the same, byte by byte. Where --policy gives another component for a kind, the difference is told.
#[derive(Debug, Args)]
pub(crate) struct PolicyReplay {
    /// Decision records.
    #[arg(required = true, value_name = "RECORD")]
    pub(crate) records: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) desk: DeskOptions,
    /// Fail where another policy comes to another plan.
    #[arg(long)]
    pub(crate) fail_on_difference: bool,
    /// Print a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Without --policy, target/policy.wasm of the present folder is measured, where there is one; else the built-in
/// policies.
#[derive(Debug, Args)]
pub(crate) struct PolicyBench {
    /// Snapshots, as for `run`.
    #[arg(required = true, value_name = "SNAPSHOT")]
    pub(crate) snapshots: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) desk: DeskOptions,
    /// Offerings, as for `run`.
    #[arg(long, value_name = "FILE")]
    pub(crate) catalogue: Option<PathBuf>,
    /// Calls of each policy.
    #[arg(long, default_value_t = 100)]
    pub(crate) runs: u32,
    /// Print a JSON array.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyCheck {
    /// The component.
    pub(crate) file: PathBuf,
    /// Configuration to have validated by the component, as JSON.
    #[arg(long, value_name = "JSON")]
    pub(crate) config: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    pub(crate) json: bool,
}

/// `:8080` is how Go programs write "every address".
fn listen_address(text: &str) -> Result<SocketAddr, String> {
    let full = if text.starts_with(':') {
        format!("0.0.0.0{text}")
    } else {
        text.to_owned()
    };
    full.parse()
        .map_err(|_| format!("{text:?} is not an address and port such as 127.0.0.1:8080"))
}

/// As kubectl writes what it acts on.
fn subject(text: &str) -> Result<(SubjectKind, String), String> {
    let named = text
        .split_once('/')
        .filter(|(_, name)| !name.is_empty() && !name.contains('/'));
    let found = named.and_then(|(kind, name)| {
        let kind = match kind {
            "pod" | "pods" | "po" => SubjectKind::Pod,
            "node" | "nodes" | "no" => SubjectKind::Node,
            "nodegroup" | "nodegroups" | "ng" | "ngs" => SubjectKind::NodeGroup,
            _ => return None,
        };
        Some((kind, name.to_owned()))
    });
    found.ok_or_else(|| "it is written pod/NAME, node/NAME or nodegroup/NAME".to_owned())
}

/// A Kubernetes quantity of bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let units = autoscaler_core::quantity::parse_units(text).map_err(|error| error.to_string())?;
    u64::try_from(units).map_err(|_| format!("{text:?} is negative"))
}

fn duration(text: &str) -> Result<Duration, String> {
    autoscaler_api::DurationString::from(text)
        .value()
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(std::iter::once("vpsie-autoscaler").chain(arguments.iter().copied()))
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn run_flags() {
        let arguments = [
            "run",
            "--metrics-addr",
            ":9090",
            "--leader-election=false",
            "--provider-poll",
            "500ms",
        ];
        let Command::Run(run) = parse(&arguments).unwrap().command else {
            panic!()
        };
        assert_eq!(run.metrics_addr.to_string(), "0.0.0.0:9090");
        assert!(!run.leader_election);
        assert_eq!(run.pace.provider_poll, Some(Duration::from_millis(500)));
        assert_eq!(run.pace.resync, None);
        let Command::Run(run) = parse(&["run", "--leader-election", "--vpsie-secret-name", "x"])
            .unwrap()
            .command
        else {
            panic!()
        };
        assert!(run.leader_election);
        assert_eq!(
            (run.secret_name.as_str(), run.secret_namespace.as_str()),
            ("x", "kube-system")
        );
    }

    #[test]
    fn wrong_usage() {
        for arguments in [
            &[][..],
            &["walk"],
            &["run", "--sync-period", "10m"],
            &["run", "--resync", "soon"],
            &["run", "--metrics-addr", "here"],
            &["demo", "--seed", "-1"],
            &["policy", "check"],
            &["explain"],
            &["explain", "web"],
            &["explain", "pod/"],
            &["explain", "pod/shop/web"],
            &["explain", "service/web"],
            &["policy", "replay"],
            &["policy", "push", "x.wasm"],
            &["policy", "push", "x.wasm", "r.example/x", "--username", "ann"],
            &["policy", "pull", "r.example/x", "--password-stdin"],
            &["policy", "fuzz", "--runs", "0"],
            &["policy", "fuzz", "--runs", "5", "--seconds", "5"],
            &["policy", "new", "x", "--lang", "cobol"],
            &["policy", "run", "x", "--memory-mib", "257"],
            &["fit"],
            &["fit", "--from-dump"],
        ] {
            assert_eq!(parse(arguments).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
    }
}
