//! Writes the definitions into `crds/`, or into the directory that is given.

use std::path::PathBuf;
use std::process::ExitCode;

use autoscaler_api::{all_crds, crd_yaml};

fn main() -> ExitCode {
    let directory = std::env::args_os().nth(1).map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../crds"),
        PathBuf::from,
    );
    match write(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("generate-crds: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &std::path::Path) -> Result<(), Box<dyn std::error::Error>> {
    for crd in all_crds()? {
        let (name, text) = crd_yaml(&crd)?;
        let path = directory.join(name);
        if std::fs::read_to_string(&path).is_ok_and(|present| present == text) {
            continue;
        }
        std::fs::write(&path, text)?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}
