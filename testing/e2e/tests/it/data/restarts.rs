//! A restart of ICE whose offer, or whose answer, got lost, and is made again.

use esp_e2e::Outcome;
use esp_e2e::data::{Desk, Offerer, quoted};
use esp_e2e::wait::until;
use esp_webrtc::PeerConfig;

use super::{MESSAGE, PATIENCE};

/// The browser answers each offer that arrives, the device takes any number of answers, and the call goes on.
pub(super) fn repeated(desk: &Desk<'_>) -> Outcome<()> {
    for heard in [vec![0], vec![1, 2], vec![0, 1, 2]] {
        let device = desk.meet(Offerer::Device, PeerConfig::default())?;
        let offers = [device.restart()?, device.restart()?, device.restart()?];
        if offers.iter().any(|offer| ufrag(offer) != ufrag(&offers[0])) {
            return Err(format!("not the same restart: {offers:#?}"));
        }
        let mut answers = Vec::new();
        for at in heard {
            let offer = quoted(&offers[at]);
            answers.push(desk.text(&format!("data.answer({offer})"))?);
        }
        for answer in &answers {
            device.take(answer)?;
        }
        desk.bulk(&device, "first", [1 << 20, 1 << 20], MESSAGE, PATIENCE)?;
        if device.description() != offers[2] {
            return Err(format!("an answer was answered: {}", device.description()));
        }
        until("no pair of the new session", PATIENCE, || {
            let pairs = device.report().ok()?.pairs;
            pairs.iter().any(|pair| pair.nominated).then_some(())
        })?;
    }
    Ok(())
}

fn ufrag(description: &str) -> Option<&str> {
    let mut lines = description.lines();
    lines.find_map(|line| line.strip_prefix("a=ice-ufrag:"))
}
