//! What is told of a connection: how it came about, how it goes, what was recorded, why it ended.

use std::time::Instant;

use serde_json::json;

use super::{MOST_TEXT, Session};
use crate::print::clean;

impl Session {
    pub(super) fn on_connected(&mut self) {
        self.connected = true;
        self.next_levels = (!self.levels.is_zero()).then(|| Instant::now() + self.levels);
        let peer = self.webrtc.query().peer;
        let ms = peer
            .as_ref()
            .and_then(|peer| peer.setup)
            .map(|setup| setup.as_millis() as u64);
        let remote = peer
            .as_ref()
            .and_then(|peer| peer.paired)
            .map(|remote| remote.to_string());
        let (dtls, srtp) = peer.map_or((None, None), |peer| (peer.dtls, peer.srtp));
        let words = format!(
            "connected after {} ms to {}, {}",
            ms.unwrap_or_default(),
            remote.as_deref().unwrap_or("the peer"),
            dtls.unwrap_or("DTLS")
        );
        let fields = json!({ "ms": ms, "remote": remote, "dtls": dtls, "srtp": srtp });
        self.printer.event("connected", &words, fields);
    }

    /// Says what was recorded, once it is written.
    pub(super) fn report(&mut self) {
        if !std::mem::take(&mut self.unreported) {
            return;
        }
        let Some(dir) = &self.record else { return };
        if let Some(stats) = self.webrtc.query().render {
            let words = format!(
                "recorded {} pictures and {:.1} s of sound in {}",
                stats.video_recorded,
                stats.samples_recorded as f64 / 48_000.0,
                dir.display()
            );
            let fields = json!({ "pictures": stats.video_recorded, "samples": stats.samples_recorded,
                "errors": stats.record_errors, "dir": dir.display().to_string() });
            self.printer.event("recorded", &words, fields);
        }
    }

    pub(super) fn reason(&self) -> String {
        let reason = self.webrtc.query().peer.and_then(|peer| peer.reason);
        clean(
            &reason.unwrap_or_else(|| "the peer is gone".into()),
            MOST_TEXT,
        )
    }

    pub(super) fn print_levels(&self) {
        let report = self.webrtc.query();
        let level = report.level.unwrap_or_default();
        let stats = report.render.unwrap_or_default();
        let rtt = report
            .peer
            .and_then(|peer| peer.rtt)
            .map(|rtt| rtt.as_secs_f64() * 1e3);
        let sound = match stats.audio_received {
            0 => "no sound".to_owned(),
            _ => format!(
                "sound at {:.0} dB (peak {:.0} dB)",
                level.rms_db, level.peak_db
            ),
        };
        let pictures = match (stats.video_decoded, stats.width, stats.height) {
            (0, ..) => "no pictures".to_owned(),
            (pictures, width, height) => format!("{pictures} pictures of {width}x{height}"),
        };
        let words = format!(
            "receiving {sound}, {pictures}; sent {} pictures{}",
            report.video_sent,
            rtt.map(|rtt| format!("; round trip {rtt:.1} ms"))
                .unwrap_or_default()
        );
        let fields = json!({
            "rms_db": level.rms_db, "peak_db": level.peak_db,
            "audio_received": stats.audio_received, "audio_decoded": stats.audio_decoded,
            "video_received": stats.video_received, "video_decoded": stats.video_decoded,
            "width": stats.width, "height": stats.height,
            "audio_sent": report.audio_sent, "video_sent": report.video_sent,
            "frames_dropped": report.frames_dropped, "rtt_ms": rtt,
        });
        self.printer.event("level", &words, fields);
    }
}
