//! `crds`: the definitions, ready for `kubectl apply -f -`.

use anyhow::Context;

pub(crate) fn run() -> anyhow::Result<()> {
    let mut text = String::new();
    for definition in autoscaler_api::all_crds().context("making the definitions")? {
        let (_, yaml) = autoscaler_api::crd_yaml(&definition).context("writing the definitions as YAML")?;
        text.push_str("---\n");
        text.push_str(&yaml);
    }
    super::print(&text)
}
