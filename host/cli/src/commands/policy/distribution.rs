//! `policy push` and `policy pull`: components to and from OCI registries.

use super::inspect::world;
use crate::arguments::{PolicyPull, PolicyPush, RegistryOptions};
use anyhow::{Context, bail};
use autoscaler_policy::Engine;
use autoscaler_registry::{
    Artifact, Bounds, Credentials, Error, Http, Pushed, Reference, Registry, Said, component_of, sha256,
};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// For one request: people's lines are slower than those of clusters, and they see that it goes on.
const PATIENCE: Duration = Duration::from_secs(300);

pub(super) fn push(options: &PolicyPush) -> anyhow::Result<()> {
    let file = options.file.display().to_string();
    let component = std::fs::read(&options.file).with_context(|| format!("reading {file}"))?;
    let artifact = Artifact::new(
        component.clone(),
        &said(&component).with_context(|| format!("loading {file}"))?,
    )?;
    let reference = parse(&options.reference)?;
    if reference.digest().is_ok() {
        bail!(
            "{}: leave the digest out; it follows from the component, and is printed",
            options.reference
        );
    }
    let Pushed { digest, uploaded } = with_registry(&options.registry, &reference, async |registry| {
        registry.push(&artifact, reference.tag()).await
    })
    .with_context(|| format!("pushing to {}", options.reference))?;
    match uploaded {
        0 => eprintln!("vpsie-autoscaler: the registry had it already"),
        _ => eprintln!("vpsie-autoscaler: pushed {file} ({} bytes)", component.len()),
    }
    super::super::print(&format!("{}\n", reference.pinned(&digest)))
}

pub(super) fn pull(options: &PolicyPull) -> anyhow::Result<()> {
    let reference = parse(&options.reference)?;
    let digest = reference.digest().with_context(|| options.reference.clone())?;
    let component = with_registry(&options.registry, &reference, async |registry| {
        let manifest = registry.manifest(digest).await?;
        registry.component(&component_of(&manifest)?).await
    })
    .with_context(|| format!("pulling {}", options.reference))?;
    let out = options.out.clone().unwrap_or_else(|| {
        let name = reference.repository().rsplit('/').next().unwrap_or("policy");
        PathBuf::from(format!("{name}.wasm"))
    });
    if out == Path::new("-") {
        let mut stdout = std::io::stdout().lock();
        return stdout.write_all(&component).context("writing to standard output");
    }
    std::fs::write(&out, &component).with_context(|| format!("writing {}", out.display()))?;
    let digest = sha256(&component);
    super::super::print(&format!(
        "{}: {} bytes, sha256:{digest}\n",
        out.display(),
        component.len()
    ))
}

/// What the component says of itself. One that the controller would not load is not pushed.
fn said(component: &[u8]) -> anyhow::Result<Said> {
    let policy = Engine::new()
        .context("starting the policy engine")?
        .compile(component)?;
    let described = policy.kinds().find_map(|kind| policy.description(kind));
    let (imports, exports) = world(component)?;
    Ok(Said {
        name: described.map(|said| said.name.clone()).unwrap_or_default(),
        version: described.map(|said| said.version.clone()).unwrap_or_default(),
        imports,
        exports,
    })
}

fn parse(reference: &str) -> anyhow::Result<Reference> {
    Reference::parse(reference).with_context(|| reference.to_owned())
}

fn with_registry<R>(
    options: &RegistryOptions,
    reference: &Reference,
    exchange: impl AsyncFnOnce(&mut Registry) -> Result<R, Error>,
) -> anyhow::Result<R> {
    if options.plain_http && !reference.is_local() {
        bail!(
            "--plain-http: {} is not on this machine; on the way there anybody could read and change what is sent",
            reference.registry()
        );
    }
    let credentials = credentials(options, reference)?;
    let http = Http::new(Bounds {
        time: PATIENCE,
        ..Bounds::default()
    })?;
    let mut registry = Registry::new(http, reference, options.plain_http, credentials)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime")?;
    runtime
        .block_on(exchange(&mut registry))
        .map_err(|error| match error {
            Error::Forbidden { given: false, .. } => {
                anyhow::anyhow!("{error}; give --username and --password-stdin, or log in with a tool that writes docker's configuration")
            }
            Error::Forbidden { given: true, .. } => {
                anyhow::anyhow!("{error}; look at name and password, and whether they may do this to the repository")
            }
            Error::Unreachable(_) if reference.is_local() && !options.plain_http => {
                anyhow::anyhow!("{error}; a registry without TLS on this machine takes --plain-http")
            }
            error => error.into(),
        })
}

/// From the command line, else from docker's configuration.
fn credentials(options: &RegistryOptions, reference: &Reference) -> anyhow::Result<Option<Credentials>> {
    if let Some(username) = &options.username {
        let mut password = String::new();
        std::io::stdin()
            .read_line(&mut password)
            .context("--password-stdin: reading standard input")?;
        let password = password.trim_end_matches(['\r', '\n']).to_owned();
        if password.is_empty() {
            bail!("--password-stdin: there is nothing on standard input");
        }
        return Ok(Some(Credentials::new(username, password.into())));
    }
    let Some(file) = docker_config() else {
        return Ok(None);
    };
    let config = match std::fs::read(&file) {
        Ok(config) => config,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("reading {}", file.display())),
    };
    Credentials::from_docker_config(&config, reference.registry(), reference.repository())
        .with_context(|| format!("looking for credentials in {}", file.display()))
}

fn docker_config() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let folder = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")))?;
    Some(folder.join("config.json"))
}
