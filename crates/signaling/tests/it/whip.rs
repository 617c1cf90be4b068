//! The WHIP and WHEP clients, event by event.

use std::time::Duration;

use esp_signaling::{
    Error, IceCause, NEEDS_TOKEN, Retry, Signaling, Whep, Whip, WhipAuth, WhipConfig,
};
use esp_wire::{Role, Signal};

use crate::studio::{Odd, Studio, described};
use crate::{Ear, PATIENCE, Told, custom, recorder};

pub(crate) fn quick(url: &str) -> WhipConfig {
    let retry = Retry {
        first: Duration::from_millis(10),
        most: Duration::from_millis(100),
        full: Duration::from_millis(10),
        attempts: Some(100),
    };
    WhipConfig::new(url)
        .unwrap()
        .with_retry(retry)
        .with_request_timeout(PATIENCE)
        .with_goodbye(PATIENCE)
}

pub(crate) fn publish(config: WhipConfig) -> (Whip, Ear) {
    let mut client = Whip::new(config);
    let (events, ear) = recorder();
    client.start(events).unwrap();
    (client, ear)
}

fn play(config: WhipConfig) -> (Whep, Ear) {
    let mut client = Whep::new(config);
    let (events, ear) = recorder();
    client.start(events).unwrap();
    (client, ear)
}

pub(crate) fn bearer(config: WhipConfig, token: &str) -> WhipConfig {
    config.with_auth(WhipAuth::Bearer(token.into())).unwrap()
}

/// An offer of this session, with these credentials.
pub(crate) fn offer(session: u32, ufrag: &str) -> Signal<'static> {
    let mut text = format!(
        "v=0\r\no=- {session} 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1\r\n"
    );
    for (mid, kind) in [
        "audio 9 UDP/TLS/RTP/SAVPF 111",
        "video 9 UDP/TLS/RTP/SAVPF 96",
    ]
    .iter()
    .enumerate()
    {
        text += &format!(
            "m={kind}\r\nc=IN IP4 0.0.0.0\r\na=mid:{mid}\r\na=ice-ufrag:{ufrag}\r\n\
             a=ice-pwd:ourpasswordourpasswordour\r\na=setup:actpass\r\na=sendonly\r\na=rtcp-mux\r\n"
        );
    }
    Signal::Sdp(text.into())
}

pub(crate) fn candidate(port: u16) -> Signal<'static> {
    let text = match port {
        0 => String::new(),
        port => format!("candidate:1 1 udp 1 192.0.2.1 {port} typ host"),
    };
    Signal::Candidate {
        candidate: text.into(),
        mid: Some("0".into()),
        line: Some(0),
    }
}

pub(crate) fn ready(servers: usize) -> [Told; 2] {
    [
        Told::Ice(Role::Controlling, IceCause::Joined, servers),
        Told::Connected,
    ]
}

pub(crate) fn answer_to(offer: &Signal<'_>) -> Told {
    let Signal::Sdp(text) = offer else {
        panic!("no offer")
    };
    Told::Msg(Signal::Sdp(described(text, "passive").into()))
}

/// What the server logs of candidates, summed up.
fn told(log: &[String]) -> usize {
    log.iter()
        .filter_map(|line| {
            line.strip_prefix("told ")?
                .split(' ')
                .next()?
                .parse::<usize>()
                .ok()
        })
        .sum()
}

#[test]
fn an_offer_is_answered_candidates_follow_and_the_session_is_ended() {
    let studio = Studio::start();
    studio.state().secret = Some("Bearer t0k3n".into());
    let (mut client, ear) = publish(bearer(quick(&studio.url()), "t0k3n"));
    ear.expect(&ready(0));
    let first = offer(1, "ours");
    client.send_msg(&first).unwrap();
    // Before the answer and after it.
    client.send_msg(&candidate(1)).unwrap();
    ear.expect(&[answer_to(&first)]);
    client.send_msg(&candidate(2)).unwrap();
    client.send_msg(&candidate(2)).unwrap();
    client.send_msg(&candidate(0)).unwrap();
    let log = studio.wait_until("two candidates and their end", |log| {
        told(log) == 2 && log.iter().any(|line| line.ends_with(" true"))
    });
    assert_eq!(log[..2], ["OPTIONS /live/garden", "POST /live/garden"]);
    let patches = log.iter().filter(|line| line.starts_with("PATCH"));
    assert!(
        patches.clone().all(|line| line == "PATCH /s/1 \"1\""),
        "{log:#?}"
    );
    client.stop().unwrap();
    let log = studio.wait_for("DELETE");
    assert_eq!(log.last().unwrap(), "DELETE /s/1");
    ear.expect(&[Told::Close("stopped".into())]);
    assert_eq!(client.send_msg(&Signal::Bye), Err(Error::Closed));
}

#[test]
fn what_it_cannot_do_is_refused() {
    let studio = Studio::start();
    let mut client = Whip::new(quick(&studio.url()));
    assert!(matches!(
        client.send_msg(&Signal::Bye),
        Err(Error::Misuse(_))
    ));
    let (events, ear) = recorder();
    client.start(events).unwrap();
    ear.expect(&ready(0));
    let error = client.send_msg(&custom("RING")).unwrap_err();
    assert!(
        error.to_string().contains("WHIP carries no messages"),
        "{error}"
    );
    let (events, _ear) = recorder();
    assert!(matches!(client.start(events), Err(Error::Misuse(_))));
}

#[test]
fn a_restart_of_ice_renews_the_answer() {
    let studio = Studio::start();
    let (mut client, ear) = publish(quick(&studio.url()));
    ear.expect(&ready(0));
    let first = offer(1, "ours");
    client.send_msg(&first).unwrap();
    ear.expect(&[answer_to(&first)]);
    client.send_msg(&offer(1, "again")).unwrap();
    let Told::Msg(Signal::Sdp(text)) = ear.next() else {
        panic!("no answer to the restart")
    };
    assert_eq!(text.matches("a=ice-ufrag:anew\r\n").count(), 2);
    assert!(
        text.contains("o=- 99 2 ") && text.contains("192.0.2.7"),
        "{text}"
    );
    client.send_msg(&candidate(3)).unwrap();
    let log = studio.wait_for("told 1");
    assert!(log.contains(&"PATCH /s/1 *".to_owned()), "{log:#?}");
    assert!(log.contains(&"PATCH /s/1 \"2\"".to_owned()), "{log:#?}");
    // What comes twice is not asked twice: the answer is told again.
    client.send_msg(&offer(1, "again")).unwrap();
    ear.expect(&[Told::Msg(Signal::Sdp(text))]);
    assert_eq!(studio.state().log, log);
}

#[test]
fn a_server_that_cannot_restart_is_begun_anew_with() {
    let studio = Studio::start();
    studio.state().odd("PATCH", Odd::of(501));
    let (mut client, ear) = publish(quick(&studio.url()));
    ear.expect(&ready(0));
    let first = offer(1, "ours");
    client.send_msg(&first).unwrap();
    ear.expect(&[answer_to(&first)]);
    client.send_msg(&offer(1, "again")).unwrap();
    ear.expect(&[
        Told::Ice(Role::Controlling, IceCause::PeerLeft, 0),
        Told::Msg(Signal::Bye),
    ]);
    studio.wait_for("DELETE /s/1");
    let second = offer(2, "new1");
    client.send_msg(&second).unwrap();
    ear.expect(&[answer_to(&second)]);
}

#[test]
fn another_connection_is_another_session() {
    let studio = Studio::start();
    let (mut client, ear) = publish(quick(&studio.url()));
    ear.expect(&ready(0));
    for session in 1..3 {
        let offer = offer(session, "ours");
        client.send_msg(&offer).unwrap();
        ear.expect(&[answer_to(&offer)]);
    }
    let log = studio.state().log.clone();
    assert_eq!(
        log[1..],
        ["POST /live/garden", "DELETE /s/1", "POST /live/garden"]
    );
    client.send_msg(&Signal::Bye).unwrap();
    ear.expect(&[Told::Ice(Role::Controlling, IceCause::Joined, 0)]);
    studio.wait_for("DELETE /s/2");
}

#[test]
fn a_server_without_tags_or_trickling_is_served() {
    let studio = Studio::start();
    studio.state().no_tags = true;
    studio.state().odd("PATCH", Odd::of(405));
    let (mut client, ear) = publish(quick(&studio.url()));
    ear.expect(&ready(0));
    let first = offer(1, "ours");
    client.send_msg(&first).unwrap();
    ear.expect(&[answer_to(&first)]);
    client.send_msg(&candidate(1)).unwrap();
    studio.wait_for("PATCH /s/1");
    client.send_msg(&candidate(2)).unwrap();
    client.stop().unwrap();
    let log = studio.wait_for("DELETE /s/1");
    assert_eq!(
        log.iter().filter(|line| line.starts_with("PATCH")).count(),
        1
    );
}

#[test]
fn a_busy_server_is_asked_for_candidates_again() {
    let studio = Studio::start();
    for status in [500, 429] {
        studio.state().odd("PATCH", Odd::of(status));
    }
    let (mut client, ear) = publish(quick(&studio.url()));
    ear.expect(&ready(0));
    client.send_msg(&offer(1, "ours")).unwrap();
    client.send_msg(&candidate(1)).unwrap();
    let log = studio.wait_for("told 1");
    assert_eq!(
        log.iter().filter(|line| line.starts_with("PATCH")).count(),
        3
    );
}

#[test]
fn a_session_that_the_server_has_lost_is_told() {
    let studio = Studio::start();
    let (mut client, ear) = publish(quick(&studio.url()));
    ear.expect(&ready(0));
    let first = offer(1, "ours");
    client.send_msg(&first).unwrap();
    ear.expect(&[answer_to(&first)]);
    studio.state().forget();
    client.send_msg(&candidate(1)).unwrap();
    ear.expect(&[Told::PeerLost]);
    let second = offer(2, "ours");
    client.send_msg(&second).unwrap();
    ear.expect(&[answer_to(&second)]);
}

#[test]
fn a_wrong_token_is_told_and_ends() {
    for (auth, words) in [
        (WhipAuth::None, "without a token"),
        (WhipAuth::Bearer("wrong".into()), "does not take this token"),
    ] {
        let studio = Studio::start();
        studio.state().secret = Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".into());
        let config = quick(&studio.url()).with_auth(auth).unwrap();
        let (mut client, ear) = publish(config);
        ear.expect(&ready(0));
        client.send_msg(&offer(1, "ours")).unwrap();
        let told = ear.words();
        assert!(told.contains(words) && told.contains(NEEDS_TOKEN), "{told}");
        assert!(!told.contains("wrong "), "{told}");
    }
    let studio = Studio::start();
    studio.state().secret = Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==".into());
    let basic = WhipAuth::Basic {
        user: "Aladdin".into(),
        password: "open sesame".into(),
    };
    let (mut client, ear) = play(quick(&studio.url()).with_auth(basic).unwrap());
    ear.expect(&ready(0));
    let first = offer(1, "ours");
    client.send_msg(&first).unwrap();
    ear.expect(&[answer_to(&first)]);
}

#[test]
fn refusals_are_told_in_the_servers_words() {
    for (odd, words) in [
        (Odd::of(404), "check the URL"),
        (Odd::of(405), "no WHIP endpoint"),
        (Odd::of(415), "takes no SDP"),
        (
            Odd::of(406)
                .with("Content-Type", "application/problem+json")
                .saying(r#"{"title":"Only VP8","detail":"H.264 is not taken"}"#),
            "status 406): Only VP8; H.264 is not taken",
        ),
        (Odd::of(302).with("Location", "/x"), "by status 302"),
        (Odd::of(307).with("Location", "ftp://a/"), "scheme"),
        (
            Odd::of(201).saying("v=0"),
            "not of the type application/sdp",
        ),
        (
            Odd::of(201)
                .with("Content-Type", "application/sdp")
                .saying("hello"),
            "is no description",
        ),
        (
            Odd::of(201)
                .with("Content-Type", "application/sdp")
                .saying(&"x".repeat(300_000)),
            "the answer of",
        ),
    ] {
        let studio = Studio::start();
        studio.state().odd("POST", odd);
        let (mut client, ear) = publish(quick(&studio.url()));
        ear.expect(&ready(0));
        client.send_msg(&offer(1, "ours")).unwrap();
        match ear.next() {
            Told::Close(told) => assert!(told.contains(words), "{told}"),
            other => panic!("{other:?} instead of {words}"),
        }
    }
}

#[test]
fn a_session_with_a_bad_answer_is_ended() {
    let studio = Studio::start();
    let bad = Odd::of(201)
        .with("Content-Type", "application/sdp; charset=utf-8")
        .with("Location", "/s/7")
        .saying("hello");
    studio.state().odd("POST", bad);
    let (mut client, _ear) = publish(quick(&studio.url()));
    client.send_msg(&offer(1, "ours")).unwrap();
    studio.wait_for("DELETE /s/7");
}

#[test]
fn who_plays_waits_for_who_publishes() {
    let studio = Studio::start();
    for seconds in ["0", "Sun, 06 Nov 1994 08:49:37 GMT", "999999999"] {
        studio
            .state()
            .odd("POST", Odd::of(409).with("Retry-After", seconds));
    }
    let config = quick(&studio.url()).with_longest_wait(Duration::from_millis(50));
    let (mut client, ear) = play(config);
    ear.expect(&ready(0));
    let first = offer(1, "ours");
    client.send_msg(&first).unwrap();
    for _ in 0..3 {
        let words = ear.words();
        assert!(
            words.contains("nobody publishes") && words.contains("again in"),
            "{words}"
        );
    }
    ear.expect(&[Told::Connected, answer_to(&first)]);
}

#[test]
fn a_player_takes_the_offer_of_the_server_instead() {
    let studio = Studio::start();
    studio.state().counters = true;
    let (mut client, ear) = play(quick(&studio.url()));
    ear.expect(&ready(0));
    let first = offer(1, "ours");
    client.send_msg(&first).unwrap();
    ear.expect(&[Told::Ice(Role::Controlled, IceCause::Refreshed, 0)]);
    let Told::Msg(Signal::Sdp(theirs)) = ear.next() else {
        panic!("no offer of the server")
    };
    assert!(theirs.contains("a=setup:actpass"));
    client.connection_begins();
    client
        .send_msg(&Signal::Sdp(described(&theirs, "active").into()))
        .unwrap();
    client.send_msg(&candidate(1)).unwrap();
    studio.wait_for("told 1");
    assert!(studio.state().log.contains(&"answered".to_owned()));
    // The next connection begins with an offer of ours again.
    studio.state().counters = false;
    client.connection_begins();
    ear.expect(&[Told::Ice(Role::Controlling, IceCause::PeerLeft, 0)]);
    studio.wait_for("DELETE /s/1");
    let second = offer(2, "ours");
    client.send_msg(&second).unwrap();
    ear.expect(&[answer_to(&second)]);
}
