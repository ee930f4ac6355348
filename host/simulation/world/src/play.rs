//! A world from its beginning to its end, on virtual time.

use crate::clock::run_virtually;
use crate::{Error, Scenario, World};

/// Starts the world of a scenario with seed 1, lets `story` happen in it, and stops it, whatever came of the story.
///
/// # Errors
/// Those of the start and of the story.
pub fn in_world(
    scenario: &Scenario,
    story: impl AsyncFnOnce(&World) -> Result<(), Error>,
) -> Result<(), Error> {
    run_virtually(async move {
        let world = World::start(scenario, 1, None).await?;
        let done = story(&world).await;
        world.stop().await;
        done
    })
}
