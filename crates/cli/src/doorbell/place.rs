//! Where a doorbell waits: in a room of its own server, in a room of another, or on its own page.

use esp_rooms::{RoomName, Server};
use esp_webrtc::Signaling;
use esp_webrtc::signaling::{AppRtc, AppRtcConfig};
use esp_webrtc::wire::IceServer;
use serde_json::json;

use crate::arguments::Doorbell;
use crate::failure::Failure;
use crate::print::Printer;
use crate::server::{self, Reach};
use crate::session::shown;

/// Where it waits.
pub(super) struct Place {
    pub(super) signaling: Box<dyn Signaling>,
    /// The room as it is shown; empty where there is none.
    pub(super) room: String,
    pub(super) url: String,
    /// Servers beside those that signaling tells.
    pub(super) servers: Vec<IceServer>,
    /// The page of its own, if there is one.
    pub(super) shown: Option<Shown>,
    /// The server that is to be ended with it.
    pub(super) server: Option<Server>,
}

/// A page, and how it is reached.
pub(super) struct Shown {
    path: String,
    reach: Reach,
    /// What is to be known of who may use it.
    access: &'static str,
}

impl Place {
    /// Finds it, and starts what serves it.
    pub(super) fn find(arguments: &Doorbell) -> Result<Self, Failure> {
        let servers = arguments.member.servers.servers()?;
        if arguments.local {
            return Self::alone(arguments, servers);
        }
        match &arguments.url {
            Some(url) => Self::room(arguments, url, servers),
            None => Self::own_room(arguments, servers),
        }
    }

    /// The device is the server.
    fn alone(arguments: &Doorbell, servers: Vec<IceServer>) -> Result<Self, Failure> {
        // The page is told the servers, and so is the device.
        let (local, reach) = server::start_alone(&arguments.server, servers)?;
        Ok(Place {
            room: String::new(),
            url: local.url(),
            servers: Vec::new(),
            shown: Some(Shown {
                path: local.url().split_off(reach.own.len()),
                reach,
                access: "Whoever reaches the address above may call.",
            }),
            server: None,
            signaling: Box::new(local),
        })
    }

    fn own_room(arguments: &Doorbell, servers: Vec<IceServer>) -> Result<Self, Failure> {
        let room = match arguments.server.lan {
            true => RoomName::random().map_err(Failure::of)?,
            false => arguments
                .room
                .parse()
                .map_err(|error| Failure::Usage(format!("{:?}: {error}", arguments.room)))?,
        };
        // The room server tells them to both sides.
        let running = server::start(&arguments.server, servers, |_| {})?;
        let url = running.server.room_url(room.as_str());
        let place = Self::room(arguments, &url, Vec::new())?;
        Ok(Place {
            shown: Some(Shown {
                path: format!("/r/{}", room.as_str()),
                reach: running.reach,
                access: "Whoever knows the address above may join: it is a secret.",
            }),
            server: Some(running.server),
            ..place
        })
    }

    fn room(arguments: &Doorbell, url: &str, servers: Vec<IceServer>) -> Result<Self, Failure> {
        let config = AppRtcConfig::new(url)
            .map_err(|error| Failure::Usage(error.to_string()))?
            .with_trust(arguments.member.trust.trust()?);
        Ok(Place {
            room: shown(config.room_name()),
            signaling: Box::new(AppRtc::new(config)),
            url: url.to_owned(),
            servers,
            shown: None,
            server: None,
        })
    }
}

impl Shown {
    /// Says where the page is.
    pub(super) fn greet(&self, printer: Printer) -> Result<(), Failure> {
        let page = |root: &String| format!("{root}{}", self.path);
        let own = page(&self.reach.own);
        let lan: Vec<String> = self.reach.lan.iter().map(page).collect();
        let fingerprint = &self.reach.fingerprint;
        if printer.is_json() {
            let urls: Vec<&String> = lan.iter().chain([&own]).collect();
            printer.event(
                "serving",
                "",
                json!({ "url": urls[0], "urls": urls, "fingerprint": fingerprint }),
            );
            return Ok(());
        }
        printer.words(&format!("Open {own} on this host"));
        for url in &lan {
            printer.words(&format!("Open {url} in this network"));
        }
        if let (Some(url), Some(fingerprint)) = (lan.first(), fingerprint) {
            printer.words(&server::qr_code(url)?);
            printer.words(&format!(
                "The browser will not know the certificate. It is the right one if its SHA-256 is\n{fingerprint}\n{}",
                self.access
            ));
        }
        Ok(())
    }
}
