//! The binary as its users meet it: output, exit codes, and what goes where.

#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vpsie-autoscaler"));
    for variable in [
        "LOG_LEVEL",
        "LOG_FORMAT",
        "KUBECONFIG",
        "POD_NAME",
        "POD_NAMESPACE",
        "VPSIE_API_URL",
        "VPSIE_SETTINGS",
    ] {
        command.env_remove(variable);
    }
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = binary().args(arguments).output().unwrap();
    (
        status.code().unwrap(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

#[test]
fn help_and_version_are_data_and_wrong_usage_is_not() {
    for (arguments, code, on_stdout, on_stderr) in [
        (
            &["--help"][..],
            0,
            "Exit codes: 0 done, 1 failed, 2 wrong usage.",
            "",
        ),
        (
            &["--version"],
            0,
            concat!("vpsie-autoscaler ", env!("CARGO_PKG_VERSION")),
            "",
        ),
        (&["run", "--help"], 0, "--rebalance-interval", ""),
        (&[], 2, "", "Usage:"),
        (&["walk"], 2, "", "unrecognized subcommand 'walk'"),
        (
            &["run", "--sync-period", "10m"],
            2,
            "",
            "unexpected argument '--sync-period'",
        ),
        (&["run", "--provider-poll", "soon"], 2, "", "--provider-poll"),
        (
            &["run", "--kubeconfig", "no/such/file"],
            1,
            "",
            "reading no/such/file",
        ),
        (
            &["run", "--vpsie-settings", "no/such/file"],
            1,
            "",
            "--vpsie-settings no/such/file: reading it",
        ),
        (
            &["explain", "pod/web", "--address", "http://127.0.0.1:1"],
            1,
            "",
            "asking the controller at http://127.0.0.1:1",
        ),
        (
            &["explain", "pod/web", "--address", "here"],
            1,
            "",
            "--address here: it is written like http://127.0.0.1:8080",
        ),
        (
            &["explain", "web"],
            2,
            "",
            "pod/NAME, node/NAME or nodegroup/NAME",
        ),
        (
            &["fake-vpsie", "--config", "no/such/file"],
            1,
            "",
            "reading no/such/file",
        ),
        (
            &["fit", "--from-dump", "no/such/file"],
            1,
            "",
            "reading no/such/file",
        ),
        (
            &["policy", "check", "no/such/file.wasm"],
            1,
            "",
            "reading no/such/file.wasm",
        ),
    ] {
        let (found, stdout, stderr) = run(arguments);
        assert_eq!(found, code, "{arguments:?}: {stderr}");
        assert!(stdout.contains(on_stdout), "{arguments:?}: {stdout}");
        assert!(stderr.contains(on_stderr), "{arguments:?}: {stderr}");
        assert_eq!(stdout.is_empty(), on_stdout.is_empty(), "{arguments:?}: {stdout}");
    }
}

#[test]
fn crds_are_the_files_that_are_shipped() {
    let (code, stdout, stderr) = run(&["crds"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crds");
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|file| file.file_name().is_some_and(|name| name != "kustomization.yaml"));
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(stdout.contains(&format!("---\n{text}")), "{}", file.display());
    }
}

#[test]
fn the_demo_prints_one_object_and_the_same_one_for_the_same_seed() {
    let (code, first, stderr) = run(&["demo", "--json", "--seed", "7"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    let (_, second, _) = run(&["demo", "--json", "--seed", "7"]);
    let masked = |text: &str| -> serde_json::Value {
        let mut summary: serde_json::Value = serde_json::from_str(text).unwrap();
        for decision in summary["decisions"].as_array_mut().unwrap() {
            assert!(decision["duration_us"].as_u64().is_some());
            decision["duration_us"] = 0.into();
        }
        summary
    };
    let summary = masked(&first);
    assert_eq!(summary.to_string(), masked(&second).to_string());
    assert_eq!(summary["seed"], 7);
    assert_eq!(summary["pods"]["pending"], 4);
    assert_eq!(summary["vms"]["leaked"], 0);
    for kind in ["scale-up", "node-selection", "rebalance"] {
        let decided = summary["decisions"]
            .as_array()
            .unwrap()
            .iter()
            .find(|decision| decision["kind"] == kind);
        let policy = &decided.unwrap_or_else(|| panic!("no {kind}"))["policy"];
        assert!(
            policy["digest"].as_str().unwrap().starts_with("sha256:"),
            "{policy}"
        );
        assert!(!policy["name"].as_str().unwrap().is_empty());
    }
}

#[test]
fn the_demo_tells_a_story() {
    let (code, story, stderr) = run(&["demo"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for part in [
        "[+00:05.0] The load comes",
        "decision scale-up by",
        "VPSie: ",
        "decision rebalance by",
        "\nmachines   ",
    ] {
        assert!(story.contains(part), "{part:?} is missing in:\n{story}");
    }
}

/// A child that does not outlive its test, even when that fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The whole answer to one GET, head included.
fn get(url: &str, path: &str, header: &str) -> String {
    let address = url.strip_prefix("http://").unwrap();
    let mut connection = TcpStream::connect(address).unwrap();
    write!(
        connection,
        "GET {path} HTTP/1.0\r\nHost: {address}\r\n{header}\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_fake_says_where_it_is_and_what_to_apply() {
    let mut command = binary();
    command
        .args(["fake-vpsie", "--log-level", "warn"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = Running(command.spawn().unwrap());
    let mut output = BufReader::new(child.0.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let url = line.trim();
    let mut manifests = String::new();
    while !manifests.contains("resourceIdentifier") {
        assert_ne!(output.read_line(&mut manifests).unwrap(), 0, "{manifests}");
    }
    let clusters = get(url, "/v2/k8s/cluster/all", "Vpsie-Auth: demo-token");
    assert!(clusters.contains("HEL-Kubernetes-49ab"), "{clusters}");
    let refused = get(url, "/v2/k8s/cluster/all", "Vpsie-Auth: another");
    assert!(refused.contains(" 401 "), "{refused}");
    for part in [
        "kind: Secret",
        "token: demo-token",
        &format!("url: {url}"),
        "kind: NodeGroup",
    ] {
        assert!(manifests.contains(part), "{part:?} is missing in:\n{manifests}");
    }
}
