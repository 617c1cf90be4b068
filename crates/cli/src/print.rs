//! What is printed: one line for each event, in words or as JSON.

use std::io::{self, Write};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use tracing_subscriber::EnvFilter;

use crate::arguments::Events;

/// Prints events.
#[derive(Clone, Copy)]
pub(crate) struct Printer {
    json: bool,
}

impl Printer {
    /// A printer of this kind.
    pub(crate) fn new(events: Events) -> Self {
        Printer {
            json: events == Events::Json,
        }
    }

    /// Whether a program reads along.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// One event: its name and fields for programs, its words for people.
    pub(crate) fn event(self, name: &str, words: &str, fields: Value) {
        let now = SystemTime::now();
        if !self.json {
            return out(&format!("{} {words}\n", &utc(now)[11..23]));
        }
        let mut line = Map::new();
        line.insert("time".into(), utc(now).into());
        line.insert("event".into(), name.into());
        if let Value::Object(fields) = fields {
            line.extend(fields);
        }
        out(&format!("{}\n", Value::Object(line)));
    }

    /// An event whose name says all to programs.
    pub(crate) fn plain(self, name: &str, words: &str) {
        self.event(name, words, Value::Null);
    }

    /// Text for people alone.
    pub(crate) fn words(self, text: &str) {
        if !self.json {
            out(&format!("{text}\n"));
        }
    }
}

/// Writes to standard output; nobody may be there any more.
pub(crate) fn out(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Logs to standard error, as `RUST_LOG` or the number of `-v` says.
pub(crate) fn start_log(verbose: u8) {
    let level = match verbose {
        0 if std::env::var_os("RUST_LOG").is_none() => return,
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let filter = match verbose {
        0 => EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level)),
        _ => EnvFilter::new(level),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .init();
}

/// Text of the peer, fit for a terminal: without control characters, of `most` characters at most.
pub(crate) fn clean(text: &str, most: usize) -> String {
    // Also without what turns the direction of writing.
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let mut clean: String = text
        .chars()
        .map(|c| if matches!(c, '\n' | '\t') { ' ' } else { c })
        .filter(|c| !c.is_control() && !turns(*c))
        .take(most)
        .collect();
    if text.chars().nth(most).is_some() {
        clean.push('…');
    }
    clean
}

/// A number of bytes in words.
pub(crate) fn bytes(number: u64) -> String {
    match number {
        0..1_000 => format!("{number} bytes"),
        1_000..1_000_000 => format!("{:.1} kB", number as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", number as f64 / 1e6),
        _ => format!("{:.1} GB", number as f64 / 1e9),
    }
}

/// A moment as `2026-11-22T08:53:12.123Z` (RFC 3339).
pub(crate) fn utc(moment: SystemTime) -> String {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (year, month, day) = date(since);
    let seconds = since.as_secs() % 86_400;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        since.subsec_millis()
    )
}

/// Year, month and day after 1970-01-01, counted in years that begin with March.
fn date(since: Duration) -> (u64, u64, u64) {
    // Days since 0000-03-01, the first day of an era of 400 years.
    let days = since.as_secs() / 86_400 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_795_337_592, "2026-11-22T08:53:12.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn text_of_the_peer_cannot_steer_the_terminal() {
        assert_eq!(clean("a\x1b[31mb\r\nc\u{202e}d\u{9b}", 100), "a[31mb cd");
        assert_eq!(clean("äöü", 2), "äö…");
        assert_eq!(clean("äö", 2), "äö");
    }
}
