//! The command line as types.

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
    /// Run a fake VPSie, to try the controller without an account.
    FakeVpsie(FakeVpsie),
    /// Tell which pending pod fits on which node, and which rule refuses where not.
    Fit(Fit),
    /// List machines without their VPSieNode, and VPSieNodes without their machine.
    Orphans(Orphans),
    /// Undo a rebalance operation that is under way.
    Rollback(Rollback),
    /// Print the custom resource definitions as YAML.
    Crds,
    /// Work with policies.
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
    /// Where /metrics, /healthz and /readyz are served; `:8080` means every address.
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
    /// Load a component as the controller does, and print what it says of itself.
    Check(PolicyCheck),
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
            &["fit"],
            &["fit", "--from-dump"],
        ] {
            assert_eq!(parse(arguments).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
    }
}
