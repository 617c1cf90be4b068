//! The shortcut past the handshake (SNAP), where the browser has it and where it does not, and what the INIT chunks
//! in the descriptions say.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use esp_e2e::Outcome;
use esp_e2e::data::{Desk, Device, Offerer};
use esp_webrtc::PeerConfig;

/// The parameter by which a side accepts packets without a checksum (RFC 9653 §4).
const ZERO_CHECKSUM: u16 = 0x8001;
/// Both sides of a handshake send two chunks at least: INIT or its answer, then COOKIE ECHO or its answer.
const LEAST: u64 = 2;

/// What one side has described.
struct Told {
    device: String,
    page: String,
}

impl Told {
    fn by(desk: &Desk<'_>, device: &Device) -> Outcome<Self> {
        Ok(Told {
            device: device.description(),
            page: desk.text("data.end.pc.localDescription.sdp")?,
        })
    }
}

/// A browser that does not know it shakes hands, and is not told an INIT chunk that it has not asked for.
pub(super) fn declined(desk: &Desk<'_>) -> Outcome<()> {
    for offerer in [Offerer::Device, Offerer::Page] {
        let device = desk.meet(offerer, PeerConfig::default())?;
        let told = Told::by(desk, &device)?;
        let (device_tells, page_tells) = (init(&told.device)?, init(&told.page)?);
        if page_tells.is_some() || device_tells.is_some() != (offerer == Offerer::Device) {
            return Err(format!(
                "{offerer:?} offers; the device tells {device_tells:x?}, the page {page_tells:x?}"
            ));
        }
        let stats = device.sctp()?;
        if stats.handshake_sent < LEAST || stats.handshake_received < LEAST {
            return Err(format!("{offerer:?} offers, no handshake: {stats:?}"));
        }
    }
    Ok(())
}

/// Both sides have told their INIT chunks, and no chunk of a handshake was sent. Packets go without a checksum if
/// the browser's chunk accepts that.
pub(super) fn accepted(desk: &Desk<'_>, device: &Device) -> Outcome<()> {
    let told = Told::by(desk, device)?;
    let ours = init(&told.device)?.ok_or("the device tells no INIT chunk")?;
    let theirs = init(&told.page)?.ok_or("the page tells no INIT chunk")?;
    let stats = device.sctp()?;
    if (stats.handshake_sent, stats.handshake_received) != (0, 0) {
        return Err(format!("they shake hands all the same: {stats:?}"));
    }
    if !ours.contains(&ZERO_CHECKSUM) {
        return Err(format!("the device accepts no zero checksum: {ours:x?}"));
    }
    if stats.zero_checksum != theirs.contains(&ZERO_CHECKSUM) {
        return Err(format!("the page tells {theirs:x?}, but {stats:?}"));
    }
    Ok(())
}

/// The types of the parameters in the INIT chunk of a description, if it holds one.
fn init(description: &str) -> Outcome<Option<Vec<u16>>> {
    let mut lines = description.lines();
    let Some(chunk) = lines.find_map(|line| line.strip_prefix("a=sctp-init:")) else {
        return Ok(None);
    };
    let chunk = STANDARD
        .decode(chunk.trim())
        .map_err(|error| error.to_string())?;
    // The chunk's header, then tag, window, streams and first TSN.
    let (head, mut rest) = chunk.split_at_checked(20).ok_or("a short INIT chunk")?;
    if head[0] != 1 {
        return Err(format!("no INIT chunk but {}", head[0]));
    }
    let mut types = Vec::new();
    while let [high, low, length_high, length_low, ..] = *rest {
        types.push(u16::from_be_bytes([high, low]));
        let length = usize::from(u16::from_be_bytes([length_high, length_low]));
        let whole = length.max(4).next_multiple_of(4).min(rest.len());
        rest = &rest[whole..];
    }
    Ok(Some(types))
}
