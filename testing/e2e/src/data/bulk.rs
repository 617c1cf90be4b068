//! Moving much and checking every byte of it, on both sides.

use std::thread;
use std::time::{Duration, Instant};

use esp_webrtc::peer::sctp::Stats;

use super::{Desk, Device};
use crate::{Outcome, wait};

/// How long each direction took, and what held the device back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    /// From the device to the page.
    pub to_page: Duration,
    /// From the page to the device.
    pub to_device: Duration,
    /// Looks at the device while it sent, by what it waited for.
    pub held: Held,
}

/// How often a sender was found waiting for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// All looks.
    pub looks: u32,
    /// Everything there was, was under way.
    pub by_application: u32,
    /// The congestion window was full.
    pub by_congestion: u32,
    /// The page's window was full.
    pub by_page: u32,
}

impl Held {
    fn note(&mut self, stats: &Stats) {
        self.looks += 1;
        let under_way = stats.in_flight + 2 * stats.packet_size;
        let why = if stats.send_buffered <= stats.in_flight {
            &mut self.by_application
        } else if stats.peer_window <= under_way {
            &mut self.by_page
        } else if stats.congestion_window <= under_way {
            &mut self.by_congestion
        } else {
            return;
        };
        *why += 1;
    }
}

impl Desk<'_> {
    /// Moves so many bytes on a channel that is open on both sides, in both directions at once; zero leaves a
    /// direction out. They go in messages of so many bytes, of which they must be a multiple.
    ///
    /// # Errors
    /// When not everything comes within `patience`, or comes differently.
    pub fn bulk(
        &self,
        device: &Device,
        label: &str,
        [to_page, to_device]: [u64; 2],
        message: usize,
        patience: Duration,
    ) -> Outcome<Took> {
        let stream = device.channel(label)?;
        let name = super::quoted(label);
        device.receive_bulk(stream);
        self.page.evaluate(&format!("data.receiveBulk({name})"))?;
        let begun = Instant::now();
        self.page.evaluate(&format!(
            "void data.sendBulk({name}, {to_device}, {message})"
        ))?;
        let (mut page_has, mut device_has) = (None, None);
        let mut held = Held::default();
        let came = format!("data.entry({name}).bulk.bytes");
        thread::scope(|scope| {
            let sender = scope.spawn(|| device.send_bulk(stream, to_page, message));
            let came = wait::until("not everything has come", patience, || {
                if to_page > 0 && page_has.is_none() {
                    held.note(&device.sctp().ok()?);
                }
                if device_has.is_none() && device.bulk(stream).bytes >= to_device {
                    device_has = Some(begun.elapsed());
                }
                if page_has.is_none() && self.page.number(&came).ok()? >= to_page as f64 {
                    page_has = Some(begun.elapsed());
                }
                Some((page_has?, device_has?))
            });
            if came.is_err() {
                // The sender may wait for room that never comes.
                device.close();
            }
            let sent = sender.join().map_err(|_| "the sender panicked")?;
            let error = self.page.evaluate(&format!("data.entry({name}).error"))?;
            came.and_then(|took| sent.map(|()| took))
                .map_err(|why| format!("{why}; the page: {error}"))
        })?;
        let bulk = device.bulk(stream);
        if (bulk.bytes, bulk.wrong) != (to_device, 0) {
            return Err(format!("the device got {bulk:?} of {to_device}"));
        }
        let bulk = self.page.evaluate(&format!("data.entry({name}).bulk"))?;
        if bulk["bytes"] != to_page || bulk["wrong"] != 0 {
            return Err(format!("the page got {bulk} of {to_page}"));
        }
        Ok(Took {
            to_page: page_has.unwrap_or_default(),
            to_device: device_has.unwrap_or_default(),
            held,
        })
    }
}
