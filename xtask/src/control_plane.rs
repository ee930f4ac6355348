//! A real Kubernetes control plane, built by Go from published modules that `tests/control-plane` pins, and
//! kept in the cache: minutes once per machine, nothing afterwards.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::{cache, go, talk};

/// The modules under `tests/control-plane`, in the order in which they are built.
const MODULES: [&str; 3] = ["etcd", "kwok", "kubernetes"];
/// The names under which the `kubernetes` binary plays its parts.
const KUBERNETES: [&str; 4] = [
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubectl",
];

/// Where the executables of a control plane are.
#[derive(Debug, Clone)]
pub struct Binaries {
    built: PathBuf,
    assets: Option<PathBuf>,
}

impl Binaries {
    /// The folder of the executables that were built.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.built
    }

    /// An executable by its usual name. `KUBEBUILDER_ASSETS` wins where it has that executable: it is the
    /// usual way for a developer to bring an own etcd, kube-apiserver and kubectl.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        let brought = self
            .assets
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| path.is_file());
        brought.unwrap_or_else(|| self.built.join(name))
    }
}

/// Builds what the cache does not have yet.
pub fn build(workspace: &Path) -> Result<Binaries> {
    let modules = workspace.join("tests/control-plane");
    let kubernetes = kubernetes_version(&modules)?;
    let mut files = Vec::new();
    for module in MODULES {
        files.extend(go::FILES.map(|file| modules.join(module).join(file)));
    }
    let key = cache::key(&files, &[env::consts::OS, env::consts::ARCH])?;
    let built = cache::entry(&format!("control-plane/{key}"), |folder| {
        let go = go::command()?;
        let bin = folder.join("bin");
        fs::create_dir(&bin).context("creating the folder for the executables")?;
        talk::note("  building etcd, kwok and Kubernetes from source: minutes, once per machine");
        for module in MODULES {
            go::build(
                &go,
                &modules.join(module),
                &bin.join(module),
                &linker_flags(&kubernetes),
            )?;
        }
        for name in KUBERNETES {
            std::os::unix::fs::symlink("kubernetes", bin.join(name))
                .with_context(|| format!("linking {name} to the Kubernetes binary"))?;
        }
        Ok(())
    })?;
    let assets = env::var_os("KUBEBUILDER_ASSETS")
        .filter(|value| !value.is_empty())
        .map(PathBuf::from);
    Ok(Binaries {
        built: built.join("bin"),
        assets,
    })
}

/// Without these, Kubernetes reports a placeholder for its version, and clients that look at it misbehave.
fn linker_flags(kubernetes: &str) -> String {
    let mut numbers = kubernetes.trim_start_matches('v').split('.');
    let (major, minor) = (
        numbers.next().unwrap_or_default(),
        numbers.next().unwrap_or_default(),
    );
    let mut flags = String::new();
    for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        for (name, value) in [
            ("gitVersion", kubernetes),
            ("gitMajor", major),
            ("gitMinor", minor),
        ] {
            flags.push_str(&format!(" -X {package}.{name}={value}"));
        }
    }
    flags
}

/// The one place where the version is said is the module file.
fn kubernetes_version(modules: &Path) -> Result<String> {
    let path = modules.join("kubernetes/go.mod");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    text.lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes "))
        .map(|version| version.trim().to_owned())
        .with_context(|| format!("{} requires k8s.io/kubernetes", path.display()))
}
