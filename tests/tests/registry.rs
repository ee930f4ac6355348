//! The author's desk against a real container registry: what is pushed is pulled again, byte by byte, by those who may.

use anyhow::{Context, Result, ensure};
use autoscaler_tests::registry::{Access, PASSWORD, Registry, USERNAME};
use autoscaler_tests::stage::binary;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Exit code, data and talk of `policy …`, in a home of its own.
struct Desk(TempDir);

struct Said {
    code: i32,
    data: String,
    talk: String,
}

impl Desk {
    fn new() -> Result<Self> {
        Ok(Self(TempDir::new().context("creating the desk's folder")?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn policy(&self, arguments: &[&str], input: &str) -> Result<Said> {
        let mut process = Command::new(binary()?)
            .arg("policy")
            .args(arguments)
            .current_dir(self.0.path())
            .env("HOME", self.0.path())
            .env_remove("DOCKER_CONFIG")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting the desk")?;
        if let Some(mut stdin) = process.stdin.take() {
            // One that reads no password may be gone already.
            let _ = stdin.write_all(input.as_bytes());
        }
        let output = process.wait_with_output().context("running the desk")?;
        Ok(Said {
            code: output.status.code().unwrap_or(-1),
            data: String::from_utf8_lossy(&output.stdout).into_owned(),
            talk: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn good(&self, arguments: &[&str], input: &str) -> Result<Said> {
        let said = self.policy(arguments, input)?;
        ensure!(said.code == 0, "{arguments:?}: {}", said.talk);
        Ok(said)
    }
}

fn component() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/policies/test/thousand.wasm")
}

#[tokio::test]
async fn what_is_pushed_is_pulled_again() -> Result<()> {
    let (registry, desk, file) = (
        Registry::start(Access::Everybody).await?,
        Desk::new()?,
        component(),
    );
    let (file, name) = (
        file.display().to_string(),
        format!("{}/team/thousand", registry.address()),
    );
    let tagged = format!("{name}:1.0");
    let first = desk.good(&["push", &file, &tagged, "--plain-http"], "")?;
    let pinned = first.data.trim();
    println!("{pinned}");
    ensure!(pinned.starts_with(&format!("{name}@sha256:")), "{pinned}");
    ensure!(first.talk.contains("pushed"), "{}", first.talk);

    // Again, under no tag and another: the same digest, and nothing is sent.
    for reference in [&tagged, &name, &format!("{name}:2.0")] {
        let again = desk.good(&["push", &file, reference, "--plain-http"], "")?;
        ensure!(again.data.trim() == pinned, "{reference}: {}", again.data);
        ensure!(
            again.talk.contains("the registry had it already"),
            "{}",
            again.talk
        );
    }

    let pulled = desk.good(&["pull", pinned, "--plain-http"], "")?;
    ensure!(pulled.data.starts_with("thousand.wasm: "), "{}", pulled.data);
    let (pushed, here) = (std::fs::read(&file)?, std::fs::read(desk.path("thousand.wasm"))?);
    ensure!(pushed == here, "{} bytes became {}", pushed.len(), here.len());
    desk.good(&["pull", pinned, "-o", "other.wasm", "--plain-http"], "")?;
    ensure!(
        std::fs::read(desk.path("other.wasm"))? == pushed,
        "another name, other bytes"
    );

    // The layer is changed where the registry keeps it.
    let layer = pulled.data.trim().rsplit("sha256:").next().context("a digest")?;
    let blobs = registry.data().join("docker/registry/v2/blobs/sha256");
    let blob = blobs.join(&layer[..2]).join(layer).join("data");
    let mut bytes = std::fs::read(&blob).with_context(|| format!("reading {}", blob.display()))?;
    if let Some(last) = bytes.last_mut() {
        *last ^= 1;
    }
    std::fs::write(&blob, bytes)?;
    let table = [
        (
            vec!["pull", pinned, "--plain-http"],
            "the layer that the registry sent has the digest sha256:",
        ),
        (
            vec!["pull", &tagged, "--plain-http"],
            "no digest; write registry.example/policy@sha256:…",
        ),
        (
            vec!["push", &file, pinned, "--plain-http"],
            "leave the digest out",
        ),
        (
            vec!["push", &file, "policy", "--plain-http"],
            "no registry; begin with its host",
        ),
        (
            vec!["push", &file, "registry.example/policy", "--plain-http"],
            "--plain-http: registry.example is not on this machine",
        ),
        (
            vec!["push", &file, &name],
            "a registry without TLS on this machine takes --plain-http",
        ),
    ];
    for (arguments, part) in table {
        let said = desk.policy(&arguments, "")?;
        ensure!(
            said.code == 1 && said.talk.contains(part),
            "{arguments:?}: {}",
            said.talk
        );
    }
    let nothing = format!("{name}@sha256:{}", "0".repeat(64));
    let said = desk.policy(&["pull", &nothing, "--plain-http"], "")?;
    ensure!(
        said.talk.contains("the server has nothing there (404)"),
        "{}",
        said.talk
    );
    std::fs::write(desk.path("broken.wasm"), "no component")?;
    let said = desk.policy(&["push", "broken.wasm", &name, "--plain-http"], "")?;
    ensure!(
        said.code == 1 && said.talk.contains("loading broken.wasm"),
        "{}",
        said.talk
    );
    Ok(())
}

#[tokio::test]
async fn a_private_registry_opens_to_name_and_password() -> Result<()> {
    let (registry, desk, file) = (Registry::start(Access::Ann).await?, Desk::new()?, component());
    let (file, name) = (
        file.display().to_string(),
        format!("{}/team/thousand", registry.address()),
    );
    let push = ["push", &*file, &*name, "--plain-http"];
    let as_ann = [&push[..], &["--username", USERNAME, "--password-stdin"]].concat();

    let said = desk.policy(&push, "")?;
    let wanted = "the server wants credentials (401); give --username and --password-stdin";
    ensure!(said.code == 1 && said.talk.contains(wanted), "{}", said.talk);
    let said = desk.policy(&as_ann, "another\n")?;
    let refused = "the server refuses these credentials (401)";
    ensure!(said.code == 1 && said.talk.contains(refused), "{}", said.talk);
    let said = desk.policy(&as_ann, "")?;
    ensure!(
        said.talk.contains("there is nothing on standard input"),
        "{}",
        said.talk
    );
    let pinned = desk.good(&as_ann, &format!("{PASSWORD}\n"))?.data;

    // As `docker login` writes it.
    let pull = ["pull", pinned.trim(), "--plain-http"];
    let said = desk.policy(&pull, "")?;
    ensure!(
        said.code == 1 && said.talk.contains("the server wants credentials"),
        "{}",
        said.talk
    );
    std::fs::create_dir(desk.path(".docker"))?;
    let config = |auth: &str| {
        format!(
            r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#,
            registry.address()
        )
    };
    std::fs::write(desk.path(".docker/config.json"), config("YW5uOmh1bnRlcjI="))?;
    desk.good(&pull, "")?;
    ensure!(
        std::fs::read(desk.path("thousand.wasm"))? == std::fs::read(&file)?,
        "other bytes"
    );
    let again = desk.good(&push, "")?;
    ensure!(again.data == pinned, "{} is not {pinned}", again.data);

    std::fs::write(desk.path(".docker/config.json"), config(PASSWORD))?;
    let said = desk.policy(&pull, "")?;
    ensure!(
        said.code == 1 && said.talk.contains("no base64 of name:password"),
        "{}",
        said.talk
    );
    ensure!(
        !said.talk.contains(PASSWORD),
        "the password is told: {}",
        said.talk
    );
    Ok(())
}
