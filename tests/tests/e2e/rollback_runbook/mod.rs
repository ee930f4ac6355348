//! The runbook of rollbacks, typed command by command while operations fail. Each of the four causes fails twice: once
//! where nothing is undone, so that a person does it by hand, and once where the controller undoes it. Then every way of
//! stopping an operation, a rollback that cannot go on, a pause, and nodes that are kept.
//!
//! Every command of the page, and of the runbook that it answers ([`page::CONTRACT`]), is typed at least once and has
//! shown what the page says of it. A command that no scene looks at fails the test.

mod causes;
mod desk;
mod facts;
mod page;
mod stops;
mod troubles;

use anyhow::{Context, Result};
use desk::Desk;
use std::path::Path;
use troubles::Trouble;

#[tokio::test(flavor = "multi_thread")]
async fn the_runbook_of_rollbacks_leads_through_each_cause() -> Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks/rebalancer-rollback.md");
    let page = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut desk = Desk::set(page::Page::new(&page)).await?;
    let causes = [
        Trouble::SoldOut,
        Trouble::Blocked,
        Trouble::Homeless,
        Trouble::Ill,
    ];
    for trouble in causes {
        let scene = causes::by_hand(&mut desk, trouble).await;
        scene.with_context(|| format!("{trouble:?}, by hand"))?;
    }
    let causes = [Trouble::SoldOut, Trouble::Blocked, Trouble::Unready, Trouble::Ill];
    for trouble in causes {
        let scene = causes::by_itself(&mut desk, trouble).await;
        scene.with_context(|| format!("{trouble:?}, by itself"))?;
    }
    stops::stopped(&mut desk).await.context("stopping operations")?;
    stops::stuck(&mut desk)
        .await
        .context("a rollback that is stuck")?;
    stops::paused(&mut desk).await.context("a pause")?;
    stops::not_begun(&mut desk)
        .await
        .context("an operation that never begins")?;
    stops::kept(&mut desk).await.context("nodes that are kept")?;
    desk.tell();
    desk.all_was_shown()
}
