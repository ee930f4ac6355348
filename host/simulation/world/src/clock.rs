//! Virtual time: tokio's paused clock, read as a calendar.

use crate::Error;
use autoscaler_controllers::Now;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Runs a future to its end in one thread whose clock moves only when nothing else does.
///
/// # Errors
/// When the runtime cannot be built, and those of the future.
pub fn run_virtually<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.map_err(Error::Runtime)?.block_on(future)
}

/// The time since this call on tokio's clock, added to `base`. Call it inside a runtime.
pub fn virtual_now(base: Timestamp) -> Now {
    let start = Instant::now();
    Arc::new(move || base.saturating_add(start.elapsed()).unwrap_or(Timestamp::MAX))
}

/// `00:12.3` (minutes, seconds, tenths), with hours in front where there are any.
pub fn stopwatch(elapsed: Duration) -> String {
    let (seconds, tenths) = (elapsed.as_secs(), elapsed.subsec_millis() / 100);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours == 0 {
        format!("{minutes:02}:{seconds:02}.{tenths}")
    } else {
        format!("{hours}:{minutes:02}:{seconds:02}.{tenths}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_follows_the_paused_clock() {
        let base: Timestamp = "2027-01-04T08:00:00Z".parse().unwrap();
        let seen = run_virtually(async {
            let now = virtual_now(base);
            tokio::time::sleep(Duration::from_secs(90 * 60)).await;
            Ok(now().to_string())
        });
        assert_eq!(seen.unwrap(), "2027-01-04T09:30:00Z");
    }

    #[test]
    fn stopwatch_cases() {
        for (millis, text) in [
            (0, "00:00.0"),
            (12_340, "00:12.3"),
            (754_999, "12:34.9"),
            (3_661_000, "1:01:01.0"),
        ] {
            assert_eq!(stopwatch(Duration::from_millis(millis)), text);
        }
    }
}
