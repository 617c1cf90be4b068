//! The AppRTC client, event by event.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use esp_signaling::{AppRtc, AppRtcConfig, Error, IceCause, Retry, Signaling};
use esp_wire::{Role, Signal};

use crate::fake::Fake;
use crate::{Ear, Told, custom, patient, recorder};

fn quick(url: &str) -> AppRtcConfig {
    let retry = Retry {
        first: Duration::from_millis(10),
        most: Duration::from_millis(100),
        full: Duration::from_millis(10),
        attempts: Some(100),
    };
    patient(AppRtcConfig::new(url).unwrap().with_retry(retry))
}

fn start(config: AppRtcConfig) -> (AppRtc, Ear) {
    let mut client = AppRtc::new(config);
    let (events, ear) = recorder();
    client.start(events).unwrap();
    (client, ear)
}

fn joined(role: Role) -> [Told; 2] {
    [Told::Ice(role, IceCause::Joined, 1), Told::Connected]
}

#[test]
fn the_initiator_posts_and_hears_by_the_socket() {
    let server = Fake::start();
    server.state().initiator = true;
    let (mut client, ear) = start(quick(&server.url()));
    ear.expect(&joined(Role::Controlling));
    let candidate = Signal::Candidate {
        candidate: "candidate:1".into(),
        mid: Some("0".into()),
        line: Some(0),
    };
    client.send_msg(&custom("RING")).unwrap();
    client.send_msg(&Signal::Sdp("v=0".into())).unwrap();
    client.send_msg(&candidate).unwrap();
    let log = server.wait_for(r#"post c1 {"candidate""#);
    assert_eq!(log[..4], ["join demo", "ice", &log[2], "register c1"]);
    assert_eq!(log[2], format!("socket from http://{}", server.address));
    assert!(
        log[4].contains("RING") && log[5].contains(r#""type":"offer""#),
        "{log:#?}"
    );
    assert!(
        log[6].contains(r#""id":"0""#) && log[6].contains(r#""label":0"#),
        "{log:#?}"
    );
    server.say(
        "c1",
        r#"{"msg":"{\"type\":\"answer\",\"sdp\":\"v=1\"}","error":""}"#,
    );
    server.say("c1", r#"{"type":"customized","data":"OPEN_DOOR"}"#);
    ear.expect(&[
        Told::Msg(Signal::Sdp("v=1".into())),
        Told::Msg(custom("OPEN_DOOR")),
    ]);
    client.stop().unwrap();
    let log = server.wait_for("delete c1");
    assert!(log.iter().any(|line| line == "leave c1"));
    ear.expect(&[Told::Close("stopped".into())]);
    assert_eq!(client.send_msg(&Signal::Bye), Err(Error::Closed));
}

#[test]
fn the_second_hears_what_was_said_before_and_sends_by_the_socket() {
    let server = Fake::start();
    server.state().messages = vec![
        r#"{"type":"offer","sdp":"v=0"}"#.into(),
        "nonsense".into(),
        r#"{"type":"candidate","candidate":"candidate:1","id":"0","label":0}"#.into(),
    ];
    let (mut client, ear) = start(quick(&server.url()));
    ear.expect(&joined(Role::Controlled));
    ear.expect(&[Told::Msg(Signal::Sdp("v=0".into()))]);
    assert!(matches!(ear.next(), Told::Msg(Signal::Candidate { .. })));
    client.send_msg(&Signal::Sdp("v=1".into())).unwrap();
    let log = server.wait_for("ws c1");
    assert!(log.last().unwrap().contains(r#""type":"answer""#));
}

#[test]
fn a_full_room_is_told_and_tried_again() {
    let server = Fake::start();
    server.state().full = 2;
    let (_client, ear) = start(quick(&server.url()));
    for _ in 0..2 {
        let words = ear.words();
        assert!(words.contains("full") && words.contains("again"), "{words}");
    }
    ear.expect(&joined(Role::Controlled));
}

#[test]
fn who_stays_after_a_bye_becomes_the_initiator() {
    let server = Fake::start();
    let (mut client, ear) = start(quick(&server.url()));
    ear.expect(&joined(Role::Controlled));
    server.say("c1", r#"{"msg":"{\"type\":\"bye\"}","error":""}"#);
    ear.expect(&[
        Told::Msg(Signal::Bye),
        Told::Ice(Role::Controlling, IceCause::PeerLeft, 1),
    ]);
    client.send_msg(&Signal::Sdp("v=0".into())).unwrap();
    server.wait_for("post c1");
    server.say(
        "c1",
        r#"{"msg":"{\"type\":\"bye\",\"reason\":\"expired\"}"}"#,
    );
    ear.expect(&[
        Told::PeerLost,
        Told::Ice(Role::Controlling, IceCause::PeerLost, 1),
    ]);
}

#[test]
fn who_says_bye_leaves_and_joins_again() {
    let server = Fake::start();
    let (mut client, ear) = start(quick(&server.url()));
    ear.expect(&joined(Role::Controlled));
    server.state().initiator = true;
    client.send_msg(&Signal::Bye).unwrap();
    ear.expect(&joined(Role::Controlling));
    let log = server.wait_for("register c2");
    let at = |line: &str| {
        log.iter()
            .position(|known| known.starts_with(line))
            .unwrap()
    };
    assert!(at("leave c1") < at("register c2"), "{log:#?}");
    // By another connection, so that it may be read later than it was sent.
    server.wait_for("ws c1");
}

#[test]
fn a_lost_socket_is_opened_again_under_the_same_name() {
    let server = Fake::start();
    let (mut client, ear) = start(quick(&server.url()));
    ear.expect(&joined(Role::Controlled));
    let state = server.cut("c1");
    assert!(ear.words().contains("again"));
    client.send_msg(&custom("LATER")).unwrap();
    drop(state);
    ear.expect(&[Told::Connected]);
    let log = server.wait_for("ws c1");
    assert_eq!(log.iter().filter(|line| *line == "join demo").count(), 1);
    assert_eq!(log.iter().filter(|line| *line == "register c1").count(), 2);
}

#[test]
fn a_server_that_forgot_us_is_joined_anew() {
    let server = Fake::start();
    let (mut client, ear) = start(quick(&server.url()));
    ear.expect(&joined(Role::Controlled));
    server.forget();
    server.state().full = 1;
    let state = server.cut("c1");
    // Lost with the connection is what is sent before the client has noticed.
    let mut words = ear.words();
    client.send_msg(&Signal::Sdp("stale".into())).unwrap();
    client.send_msg(&custom("KEPT")).unwrap();
    drop(state);
    let rejoined = loop {
        match ear.next() {
            Told::Reconnecting(more) => words += &more,
            other => break other,
        }
    };
    assert!(
        words.contains("no such client") && words.contains("full"),
        "{words}"
    );
    assert_eq!(rejoined, Told::Ice(Role::Controlled, IceCause::Rejoined, 1));
    ear.expect(&[Told::Connected]);
    let log = server.wait_for("ws c2");
    assert!(log.last().unwrap().contains("KEPT"), "{log:#?}");
    assert!(!log.iter().any(|line| line.contains("stale")));
}

#[test]
fn a_post_that_finds_us_forgotten_joins_anew() {
    let server = Fake::start();
    server.state().initiator = true;
    let (mut client, ear) = start(quick(&server.url()));
    ear.expect(&joined(Role::Controlling));
    server.forget();
    client.send_msg(&custom("KEPT")).unwrap();
    assert!(ear.words().contains("does not know us"));
    ear.expect(&[
        Told::Ice(Role::Controlling, IceCause::Rejoined, 1),
        Told::Connected,
    ]);
    server.wait_for("post c2");
}

#[test]
fn a_server_that_is_busy_gets_the_message_later() {
    let server = Fake::start();
    server.state().initiator = true;
    server.state().post_status = Some(429);
    let (mut client, ear) = start(quick(&server.url()));
    ear.expect(&joined(Role::Controlling));
    client.send_msg(&custom("A")).unwrap();
    client.send_msg(&custom("B")).unwrap();
    let log = server.wait_for(r#"post c1 {"data":"B""#);
    let posts: Vec<_> = log.iter().filter(|line| line.starts_with("post")).collect();
    assert_eq!(posts.len(), 3);
    assert_eq!(posts[0], posts[1]);
}

#[test]
fn credentials_are_fetched_again_before_they_expire() {
    let server = Fake::start();
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let servers = |until: u64| {
        format!(
            r#"{{"iceServers":[{{"urls":["turn:a"],"username":"{until}:me","credential":"x"}},{{"urls":"stun:b"}}]}}"#
        )
    };
    server.state().servers = servers(now + 2);
    let (_client, ear) = start(quick(&server.url()));
    ear.expect(&[Told::Ice(Role::Controlled, IceCause::Joined, 2)]);
    server.state().servers = servers(now + 100_000);
    // On a slow machine they expire before the socket is there.
    let (mut connected, mut refreshed) = (false, false);
    while !connected || !refreshed {
        match ear.next() {
            Told::Connected => connected = true,
            Told::Ice(Role::Controlled, IceCause::Refreshed, 2) => refreshed = true,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn redirects_are_followed_and_remembered() {
    let server = Fake::start();
    server.state().initiator = true;
    let url = format!("http://{}/old/r/demo", server.address);
    let (mut client, ear) = start(quick(&url));
    ear.expect(&joined(Role::Controlling));
    client.send_msg(&custom("HELLO")).unwrap();
    server.wait_for("post c1");
}

#[test]
fn what_is_no_room_server_is_said() {
    let server = Fake::start();
    let (mut client, ear) = start(quick(&format!("http://{}/x/r/demo", server.address)));
    let words = ear.words();
    assert!(
        words.contains("404") && words.contains("check the URL"),
        "{words}"
    );
    assert!(client.stop().is_ok());
    // A port that no program is given by chance, and where nobody listens.
    let address = "127.0.0.1:1";
    let retry = Retry {
        first: Duration::from_millis(1),
        attempts: Some(2),
        ..Retry::default()
    };
    let config = AppRtcConfig::room(&format!("http://{address}"), "demo").unwrap();
    let (_client, ear) = start(patient(config.with_retry(retry)));
    for _ in 0..2 {
        assert!(ear.words().contains("cannot be reached"));
    }
    assert!(ear.words().contains("given up"));
}

#[test]
fn silence_is_noticed() {
    let server = Fake::start();
    let config =
        quick(&server.url()).with_keepalive(Duration::from_secs(600), Duration::from_millis(500));
    let (_client, ear) = start(config);
    ear.expect(&joined(Role::Controlled)[..1]);
    // No ping is due, so nothing is heard. On a slow machine that may be so before it has connected, too.
    let mut connected = 0;
    let mut silences = 0;
    while connected < 2 || silences == 0 {
        match ear.next() {
            Told::Connected => connected += 1,
            Told::Reconnecting(words) => {
                assert!(words.contains("nothing was heard"), "{words}");
                silences += 1;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn misuse_is_refused() {
    let server = Fake::start();
    let mut client = AppRtc::new(quick(&server.url()).with_queue(1));
    assert!(matches!(
        client.send_msg(&Signal::Bye),
        Err(Error::Misuse(_))
    ));
    let (events, ear) = recorder();
    client.start(events).unwrap();
    let (events, _) = recorder();
    assert!(matches!(client.start(events), Err(Error::Misuse(_))));
    ear.expect(&joined(Role::Controlled));
    drop(client);
    ear.expect(&[Told::Close("stopped".into())]);
    server.wait_for("leave c1");
}
