//! The documentation leads somewhere: every relative link, and every alert's runbook, by file and heading.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use autoscaler_api::parse_manifest;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The pages, by their path from the top of the checkout.
fn pages() -> Result<BTreeSet<PathBuf>> {
    let mut pages = BTreeSet::new();
    for folder in ["", "docs", "docs/adr", "docs/runbooks"] {
        for entry in std::fs::read_dir(root().join(folder))? {
            let name = PathBuf::from(entry?.file_name());
            if name.extension().is_some_and(|extension| extension == "md") {
                pages.insert(Path::new(folder).join(name));
            }
        }
    }
    Ok(pages)
}

/// What stands in round brackets behind square ones, outside of code.
fn links(text: &str) -> Vec<String> {
    let mut code = false;
    let lines = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    });
    let prose = lines.collect::<Vec<_>>().join(" ");
    prose
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(link, _)| link.to_owned()))
        .collect()
}

/// Headings as the addresses that hosts of Markdown make of them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase();
            let kept = title
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
            kept.map(|c| if c == ' ' { '-' } else { c }).collect()
        })
        .collect()
}

/// Checks one link of a page in `folder`.
fn follow(folder: &Path, link: &str) -> Result<()> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = root().join(folder).join(path);
    ensure!(target.exists(), "{path} does not exist");
    if !anchor.is_empty() {
        let text = std::fs::read_to_string(&target)?;
        ensure!(anchors(&text).contains(anchor), "{path} has no heading #{anchor}");
    }
    Ok(())
}

#[test]
fn every_relative_link_leads_somewhere() -> Result<()> {
    let mut followed = 0;
    for page in pages()? {
        let text = std::fs::read_to_string(root().join(&page))?;
        let folder = page.parent().context("a page lies in a folder")?;
        for link in links(&text).iter().filter(|link| !link.contains("://")) {
            // A link within the page has no path.
            let own = page.file_name().unwrap_or_default().to_string_lossy();
            let link = if link.starts_with('#') {
                format!("{own}{link}")
            } else {
                link.clone()
            };
            follow(folder, &link).with_context(|| format!("{}: ({link})", page.display()))?;
            followed += 1;
        }
    }
    ensure!(followed > 30, "only {followed} links were found");
    Ok(())
}

#[test]
fn every_alert_names_a_section_of_a_runbook() -> Result<()> {
    let rules = std::fs::read_to_string(root().join("deploy/prometheus/alerts.yaml"))?;
    let rules = parse_manifest(&rules)?;
    let groups = rules["groups"].as_array().into_iter().flatten();
    let mut alerts = 0;
    for rule in groups.flat_map(|group| group["rules"].as_array()).flatten() {
        let name = rule["alert"].as_str().context("an alert has a name")?;
        let runbook = rule["annotations"]["runbook"]
            .as_str()
            .with_context(|| format!("{name} has no runbook"))?;
        ensure!(
            runbook.ends_with(&format!("#{}", name.to_lowercase())),
            "{name}: {runbook} is not its section"
        );
        follow(Path::new(""), runbook).with_context(|| name.to_owned())?;
        alerts += 1;
    }
    ensure!(alerts > 0, "no alert was found");
    Ok(())
}
