//! A bare device and a page that talk by data channels alone.
//!
//! 1. The page begins an end of its own.
//! 2. One side offers, the other answers; both descriptions are complete, so that nothing else is exchanged.
//! 3. The two meet directly, or through a [`Relay`] that loses datagrams.

mod bulk;
mod device;
mod pattern;
mod relay;

use std::time::Duration;

use esp_webrtc::PeerConfig;
use esp_webrtc::wire::{Role, Trickle};
use serde_json::Value;

pub use self::bulk::{Held, Took};
pub use self::device::{Bulk, Device, Message};
pub use self::pattern::{bytes, numbered, wrong};
pub use self::relay::Relay;
use crate::site::Site;
use crate::{Browser, Outcome, Page};

/// How long anything may take on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// Who makes the offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offerer {
    /// The device; the page is then the DTLS client.
    Device,
    /// The page, of which one channel is asked for then.
    Page,
}

/// The page and what serves it.
#[derive(Debug)]
pub struct Desk<'a> {
    /// The page.
    pub page: Page<'a>,
    _site: Site,
}

impl<'a> Desk<'a> {
    /// Opens the page in a browser.
    ///
    /// # Errors
    /// Those of the browser.
    pub fn new(browser: &'a Browser) -> Outcome<Self> {
        let script = include_str!("page.js");
        let html = format!("<!doctype html><title>data</title><script>{script}</script>");
        let site = Site::serve(&html)?;
        let page = browser.open(&site.trusted_url())?;
        page.wait_for("window.data !== undefined", PATIENCE)?;
        Ok(Desk { page, _site: site })
    }

    /// Connects a new device with a new end of the page; both have the channel `first`.
    ///
    /// # Errors
    /// When they do not come together.
    pub fn meet(&self, offerer: Offerer, config: PeerConfig) -> Outcome<Device> {
        self.meet_through(None, offerer, config)
    }

    /// The same, with every datagram through this relay.
    ///
    /// # Errors
    /// As for [`meet`](Self::meet).
    pub fn meet_through(
        &self,
        relay: Option<&Relay>,
        offerer: Offerer,
        config: PeerConfig,
    ) -> Outcome<Device> {
        let role = match offerer {
            Offerer::Device => Role::Controlling,
            Offerer::Page => Role::Controlled,
        };
        let config = config
            .with_role(role)
            .with_data_channels(true)
            .with_trickle(Trickle::None)
            .with_loopback();
        let device = Device::open(config)?;
        self.page.evaluate("data.begin()")?;
        match offerer {
            Offerer::Device => {
                let mut offer = device.offer()?;
                if let Some(relay) = relay {
                    offer = relay.stand_in_for_device(&offer)?;
                }
                let mut answer = self.text(&format!("data.answer({})", quoted(&offer)))?;
                if let Some(relay) = relay {
                    answer = relay.stand_in_for_page(&answer)?;
                }
                device.take(&answer)?;
            }
            Offerer::Page => {
                self.page.evaluate("data.open('first')")?;
                let mut offer = self.text("data.offer()")?;
                if let Some(relay) = relay {
                    offer = relay.stand_in_for_page(&offer)?;
                }
                let mut answer = device.answer(&offer)?;
                if let Some(relay) = relay {
                    answer = relay.stand_in_for_device(&answer)?;
                }
                self.page
                    .evaluate(&format!("data.accept({})", quoted(&answer)))?;
            }
        }
        device.connected()?;
        if offerer == Offerer::Device {
            device.create(esp_webrtc::peer::ChannelConfig::new("first"))?;
        }
        device.channel("first")?;
        self.wait_for("data.isOpen('first')")
            .map_err(|why| format!("{why}\n  device: {:?}", device.report()))?;
        Ok(device)
    }

    /// Waits until an expression of the page is true.
    ///
    /// # Errors
    /// When it does not become so; before that when a channel has fallen back for good.
    pub fn wait_for(&self, condition: &str) -> Outcome<Value> {
        let either = format!("({condition}) || (data.fellBack() === 'for good' && 'fell back')");
        match self.page.wait_for(&either, PATIENCE)? {
            Value::String(text) if text == "fell back" => Err("a channel fell back".into()),
            found => Ok(found),
        }
    }

    /// Whether a channel of the page that was open says that it connects, and goes on doing so. No channel may (W3C
    /// WebRTC §6.2); one that comes to Chromium 156 does for a moment now and then, and once in thousands of
    /// connections for good, while messages come and its statistics call it open.
    ///
    /// # Errors
    /// What the page throws.
    pub fn fell_back(&self) -> Outcome<bool> {
        let told = "data.fellBack() !== 'now' && data.fellBack()";
        self.page
            .wait_for(told, PATIENCE)
            .map(|told| told == "for good")
    }

    /// The value of an expression that is text.
    ///
    /// # Errors
    /// When it is none.
    pub fn text(&self, expression: &str) -> Outcome<String> {
        match self.page.evaluate(expression)? {
            Value::String(text) => Ok(text),
            other => Err(format!("{expression} is no text but {other}")),
        }
    }
}

/// Text as a JavaScript literal.
pub fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
