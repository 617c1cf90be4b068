//! Restarts of ICE whose offer, or whose answer, got lost, and is made again; and two whose offers cross.

use esp_e2e::Outcome;
use esp_e2e::data::{Desk, Device, Offerer, quoted};
use esp_e2e::wait::until;
use esp_webrtc::PeerConfig;
use serde_json::Value;

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
        nominates(&device)?;
    }
    Ok(())
}

/// Both sides offer a restart before they hear of each other's: that of the side which made the first offer counts.
pub(super) fn crossed(desk: &Desk<'_>) -> Outcome<()> {
    for first in [Offerer::Device, Offerer::Page] {
        let device = desk.meet(first, PeerConfig::default())?;
        let before = desk.page.evaluate("data.agreed()")?;
        let ours = device.restart()?;
        let theirs = desk.text("data.restart()")?;
        let described = match first {
            Offerer::Device => {
                device.take(&theirs)?;
                let answer = desk.text(&format!("data.answer({})", quoted(&ours)))?;
                device.take(&answer)?;
                ours
            }
            Offerer::Page => {
                let answer = device.answer_again(&theirs)?;
                let accept = format!("data.accept({})", quoted(&answer));
                desk.page.evaluate(&accept)?;
                answer
            }
        };
        desk.bulk(&device, "first", [1 << 20, 1 << 20], MESSAGE, PATIENCE)?;
        let after = desk.page.evaluate("data.agreed()")?;
        let of = |agreed: &Value, at: usize| {
            let description = agreed[at].as_str().unwrap_or_default();
            ufrag(description).map(str::to_owned)
        };
        // Both sides have new credentials, and know each other's.
        let new = [1, 2].iter().all(|at| of(&before, *at) != of(&after, *at));
        let known = of(&after, 2).as_deref() == ufrag(&described);
        if !new || !known || after[0] != "stable" {
            return Err(format!("{first:?} is first: {before} became {after}"));
        }
        if device.description() != described {
            let description = device.description();
            return Err(format!("{first:?} is first: it says {description}"));
        }
        nominates(&device)?;
    }
    Ok(())
}

fn nominates(device: &Device) -> Outcome<()> {
    until("no pair of the new session", PATIENCE, || {
        let pairs = device.report().ok()?.pairs;
        pairs.iter().any(|pair| pair.nominated).then_some(())
    })
}

fn ufrag(description: &str) -> Option<&str> {
    let mut lines = description.lines();
    lines.find_map(|line| line.strip_prefix("a=ice-ufrag:"))
}
