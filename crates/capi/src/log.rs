//! A log on the standard error output, for programs that have no other.

use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::Once;

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// How much is written: `off`, `error`, `warn`, `info`, `debug` or `trace`.
const LEVEL: &str = "ESP_WEBRTC_LOG";

/// Starts the log, once; whoever has one of their own keeps it.
pub(crate) fn start() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let most = level(std::env::var(LEVEL).ok().as_deref());
        // It fails where there is one already, which then goes on.
        let _ = tracing::subscriber::set_global_default(Log { most });
    });
}

fn level(name: Option<&str>) -> LevelFilter {
    let asked = name.and_then(|name| name.parse().ok());
    asked.unwrap_or(LevelFilter::INFO)
}

struct Log {
    most: LevelFilter,
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.most
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.most)
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("esp-webrtc {:<5}", event.metadata().level()));
        event.record(&mut line);
        line.0.push('\n');
        // Where nobody can read it, nothing is lost.
        let _ = std::io::stderr().lock().write_all(line.0.as_bytes());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// One line: the message first or last, fields by name.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.0, " {value:?}"),
            name => write!(self.0, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_much_is_written_can_be_said() {
        assert_eq!(level(None), LevelFilter::INFO);
        assert_eq!(level(Some("off")), LevelFilter::OFF);
        assert_eq!(level(Some("debug")), LevelFilter::DEBUG);
        assert_eq!(level(Some("loud")), LevelFilter::INFO);
    }
}
