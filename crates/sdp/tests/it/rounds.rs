//! Several rounds: what is kept, recycled and restarted.

use esp_sdp::{Description, DtlsRole, MediaLocal, Negotiated, accept, answer, offer};
use esp_wire::{Direction, Kind};

use crate::{device, other, sample};

fn mids(description: &Description) -> Vec<(String, bool)> {
    description
        .sections()
        .iter()
        .map(|section| (section.mid.clone(), section.is_rejected()))
        .collect()
}

fn named(list: &[(&str, bool)]) -> Vec<(String, bool)> {
    list.iter()
        .map(|(mid, gone)| ((*mid).to_owned(), *gone))
        .collect()
}

#[test]
fn a_later_offer_keeps_places_and_raises_the_version() {
    let us = device();
    let first = offer(&us, None).unwrap();
    let (text, _) = answer(&other(), None, &first).unwrap();
    let agreed = accept(&first, &text).unwrap();
    let second = offer(&us, Some(&agreed)).unwrap();
    assert_eq!(mids(&second), mids(&first));
    assert_eq!(second.version().1, first.version().1 + 1);
    assert_eq!(second.bundle(), first.bundle());
}

#[test]
fn a_device_that_answered_offers_in_the_browsers_terms() {
    let chromium = Description::parse(&sample("chromium_offer")).unwrap();
    let (_, agreed) = answer(&device(), None, &chromium).unwrap();
    let text = offer(&device(), Some(&agreed)).unwrap().to_string();
    for kept in [
        "m=video 9 UDP/TLS/RTP/SAVPF 108 109\r\n",
        "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 0 8\r\n",
        "a=setup:actpass\r\n",
    ] {
        assert!(text.contains(kept), "{kept} is not in {text}");
    }
}

#[test]
fn what_goes_leaves_its_place_and_what_comes_takes_it() {
    let mut us = device();
    let round = |us: &esp_sdp::Local, before: Option<&Negotiated>| {
        let offered = offer(us, before).unwrap();
        let (text, _) = answer(&other(), None, &offered).unwrap();
        let agreed = accept(&offered, &text).unwrap();
        (offered, agreed)
    };
    let (_, first) = round(&us, None);
    let video = us.video.take();
    let (text, second) = round(&us, Some(&first));
    assert_eq!(
        mids(&text),
        named(&[("0", false), ("1", true), ("2", false)])
    );
    assert_eq!(second.bundle, ["0", "2"]);
    us.video = video;
    let (text, third) = round(&us, Some(&second));
    assert_eq!(
        mids(&text),
        named(&[("0", false), ("3", false), ("2", false)])
    );
    assert_eq!(third.bundle, ["0", "2", "3"]);
    assert!(third.media(Kind::Video).is_some());
}

#[test]
fn what_is_new_goes_to_the_end() {
    let mut us = device();
    let video = us.video.take();
    let first = offer(&us, None).unwrap();
    let (text, _) = answer(&other(), None, &first).unwrap();
    let agreed = accept(&first, &text).unwrap();
    us.video = video;
    let second = offer(&us, Some(&agreed)).unwrap();
    assert_eq!(
        mids(&second),
        named(&[("0", false), ("1", false), ("2", false)])
    );
    assert_eq!(second.sections()[2].kind.name(), "video");
}

#[test]
fn roles_stay_while_the_certificate_does() {
    // We offered and the peer became active; its own offer is actpass, and we stay passive.
    let first = offer(&device(), None).unwrap();
    let (text, _) = answer(&other(), None, &first).unwrap();
    let agreed = accept(&first, &text).unwrap();
    assert_eq!(
        agreed.transport.as_ref().unwrap().dtls_role,
        DtlsRole::Passive
    );
    let mut them = other();
    let back = offer(&them, Some(&agreed)).unwrap();
    let (_, later) = answer(&device(), Some(&agreed), &back).unwrap();
    assert_eq!(later.changes_since(&agreed), esp_sdp::Changes::default());
    them.fingerprints[0].value[0] ^= 1;
    let back = offer(&them, Some(&agreed)).unwrap();
    let (_, later) = answer(&device(), Some(&agreed), &back).unwrap();
    assert!(later.changes_since(&agreed).dtls_restart);
    assert_eq!(later.transport.unwrap().dtls_role, DtlsRole::Active);
}

#[test]
fn the_medium_in_use_stays_when_another_is_added_before_the_answer() {
    let one = sample("chromium_offer");
    let (_, agreed) = answer(&device(), None, &Description::parse(&one).unwrap()).unwrap();
    let at = one.find("m=audio").unwrap();
    let end = one.find("m=video").unwrap();
    let extra = one[at..end].replace("a=mid:0", "a=mid:5");
    let two = format!("{one}{extra}").replace("BUNDLE 0 1 2", "BUNDLE 5 0 1 2");
    let two = Description::parse(&two).unwrap();
    let (_, later) = answer(&device(), Some(&agreed), &two).unwrap();
    assert_eq!(later.media(Kind::Audio).unwrap().mid, "0");
    assert!(!later.sections[3].accepted);
}

#[test]
fn holding_changes_nothing_but_the_direction() {
    let mut us = device();
    let first = offer(&us, None).unwrap();
    let (text, _) = answer(&other(), None, &first).unwrap();
    let agreed = accept(&first, &text).unwrap();
    let media: &mut MediaLocal = us.audio.as_mut().unwrap();
    media.direction = Direction::None;
    let second = offer(&us, Some(&agreed)).unwrap();
    assert_eq!(second.sections()[0].direction, Direction::None);
    assert!(!second.sections()[0].is_rejected());
}

#[test]
fn numbers_that_the_peer_described_get_no_other_meaning() {
    let mut us = device();
    us.video = None;
    let chromium = Description::parse(&sample("chromium_offer")).unwrap();
    let (_, agreed) = answer(&us, None, &chromium).unwrap();
    us.video = device().video;
    for media in [&mut us.audio, &mut us.video].into_iter().flatten() {
        media.extensions = esp_sdp::Extension::ALL.to_vec();
    }
    us.video.as_mut().unwrap().codecs[0].payload_type = 111;
    let text = offer(&us, Some(&agreed)).unwrap();
    let theirs: Vec<_> = chromium
        .sections()
        .iter()
        .flat_map(|it| &it.extensions)
        .collect();
    for map in text.sections().iter().flat_map(|it| &it.extensions) {
        let clash = theirs
            .iter()
            .find(|it| it.id == map.id && it.uri != map.uri);
        assert!(clash.is_none(), "{map:?} against {clash:?}");
    }
    let video = &text.sections()[1];
    assert_eq!(video.mid, "3");
    assert!(
        chromium.sections()[1]
            .payload(video.payloads[0].payload_type)
            .is_none()
    );
}
