//! The policies that a command line puts on the desk, with their configuration and limits.

use crate::arguments::{DeskOptions, LimitOptions};
use anyhow::{Context, bail};
use autoscaler_cases::{Config, Desk};
use autoscaler_core::decision::Kind;
use autoscaler_policy::Limits;
use std::path::Path;

/// Where `policy build` leaves a component, seen from the project.
pub(super) const BUILT: &str = "target/policy.wasm";
/// The profile of cargo that a project in Rust is built with.
const PROFILE: &str = "release";

pub(super) fn desk(options: &DeskOptions) -> anyhow::Result<Desk> {
    let mut desk = Desk::new()?.with_limits(limits(&options.limits));
    for file in &options.policy {
        put(&mut desk, file)?;
    }
    Ok(desk)
}

/// The same with the project in this folder, built anew.
pub(super) fn desk_of_build(options: &DeskOptions) -> anyhow::Result<Desk> {
    let file = Path::new(BUILT);
    let component = super::build::component(Path::new("."), file, PROFILE)?;
    let mut desk = desk(options)?;
    desk.put(BUILT, &component).context("loading what was built")?;
    std::fs::write(file, &component).with_context(|| format!("writing {BUILT}"))?;
    Ok(desk)
}

/// The same; where no policy is named, the project's own.
pub(super) fn desk_of_project(options: &DeskOptions) -> anyhow::Result<Desk> {
    let mut desk = desk(options)?;
    let built = Path::new(BUILT);
    if options.policy.is_empty() && built.is_file() {
        put(&mut desk, built)?;
    }
    Ok(desk)
}

pub(super) fn put(desk: &mut Desk, file: &Path) -> anyhow::Result<()> {
    let name = file.display().to_string();
    let component = std::fs::read(file).with_context(|| format!("--policy: reading {name}"))?;
    desk.put(&name, &component)
        .with_context(|| format!("--policy: loading {name}"))?;
    Ok(())
}

fn limits(options: &LimitOptions) -> Limits {
    let default = Limits::default();
    Limits {
        fuel: options.fuel.unwrap_or(default.fuel),
        deadline: options.deadline.unwrap_or(default.deadline),
        memory_bytes: options.memory_mib.map_or(default.memory_bytes, |mib| mib << 20),
        output_bytes: options.output_kib.map_or(default.output_bytes, |kib| kib << 10),
    }
}

/// `KIND=JSON` or `KIND=@FILE`, on top of what the source has.
pub(super) fn config(options: &[String], mut config: Config) -> anyhow::Result<Config> {
    for option in options {
        let known = || Kind::ALL.map(Kind::as_str).join(", ");
        let (kind, text) = option
            .split_once('=')
            .with_context(|| format!("--config {option:?}: KIND=JSON or KIND=@FILE is asked for"))?;
        if !Kind::ALL.iter().any(|known| known.as_str() == kind) {
            bail!(
                "--config {option:?}: there is no kind {kind:?}; there are {}",
                known()
            );
        }
        let read;
        let text = match text.strip_prefix('@') {
            Some(file) => {
                read = std::fs::read_to_string(file)
                    .with_context(|| format!("--config {kind}: reading {file}"))?;
                read.as_str()
            }
            None => text,
        };
        // JSON is YAML too.
        let value =
            serde_saphyr::from_str(text).with_context(|| format!("--config {kind}: understanding it"))?;
        config.insert(kind.to_owned(), value);
    }
    Ok(config)
}

pub(super) fn config_of(config: &Config, kind: Kind) -> String {
    config
        .get(kind.as_str())
        .map_or_else(|| "{}".to_owned(), ToString::to_string)
}

/// Part of a limit, for people.
pub(super) fn share(part: u64, whole: u64) -> String {
    format!("{:.2} %", part as f64 * 100.0 / whole.max(1) as f64)
}

/// Millionths of the currency unit as an amount.
pub(super) fn money(micros: i128) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let micros = micros.unsigned_abs();
    format!("{sign}{}.{:06}", micros / 1_000_000, micros % 1_000_000)
}
