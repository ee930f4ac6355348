//! Offerings that the user would rather have: they may cost more, up to a share of the price.

use crate::Config;
use policy_sdk::node_selection::Snapshot;
use std::borrow::Cow;

/// The snapshot as the search is to weigh it: preferred offerings at the price that the cheapest other one would have
/// to have to be as good.
pub(crate) fn weigh<'a>(snapshot: &'a Snapshot, config: &Config) -> Cow<'a, Snapshot> {
    let is_preferred = |offering: &str| config.preferred_offerings.iter().any(|name| name == offering);
    let any = snapshot
        .catalogue
        .templates
        .iter()
        .any(|row| is_preferred(&row.offering));
    if !any {
        return Cow::Borrowed(snapshot);
    }
    let mut weighed = snapshot.clone();
    let dearer = 100 + u128::from(config.preference_percent);
    for row in &mut weighed.catalogue.templates {
        if is_preferred(&row.offering) {
            // At one price the preferred one wins, hence one less.
            let price = (u128::from(row.hourly_micros) * 100).div_ceil(dearer);
            row.hourly_micros = u64::try_from(price).unwrap_or(u64::MAX).saturating_sub(1);
        }
    }
    Cow::Owned(weighed)
}
