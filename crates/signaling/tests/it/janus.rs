//! The Janus client, event by event.

use std::time::Duration;

use esp_signaling::{Error, IceCause, Janus, JanusConfig, Retry, Signaling};
use esp_wire::{Role, Signal};
use serde_json::json;

use crate::gateway::Gateway;
use crate::whip::candidate;
use crate::{Ear, PATIENCE, Told, custom, recorder};

fn quick(config: JanusConfig) -> JanusConfig {
    let retry = Retry {
        first: Duration::from_millis(10),
        most: Duration::from_millis(100),
        full: Duration::from_millis(10),
        attempts: Some(1_000),
    };
    config
        .with_retry(retry)
        .with_request_timeout(PATIENCE)
        .with_goodbye(PATIENCE)
        .with_poll(PATIENCE)
}

fn publisher(gateway: &Gateway) -> JanusConfig {
    quick(JanusConfig::publish(&gateway.url(), 4_711).unwrap())
}

fn player(gateway: &Gateway) -> JanusConfig {
    quick(JanusConfig::play(&gateway.url(), 4_711, None).unwrap())
}

fn start(config: JanusConfig) -> (Janus, Ear) {
    let mut client = Janus::new(config);
    let (events, ear) = recorder();
    client.start(events).unwrap();
    (client, ear)
}

fn sdp(text: &str) -> Signal<'static> {
    Signal::Sdp(text.to_owned().into())
}

fn joined(cause: IceCause) -> [Told; 2] {
    [Told::Ice(Role::Controlling, cause, 0), Told::Connected]
}

#[test]
fn publishing_from_beginning_to_end() {
    let gateway = Gateway::start();
    let (mut client, ear) = start(publisher(&gateway).with_display("garden"));
    ear.expect(&joined(IceCause::Joined));
    client.send_msg(&sdp("offer 1")).unwrap();
    for port in [4_000, 4_001, 0] {
        client.send_msg(&candidate(port)).unwrap();
    }
    ear.expect(&[Told::Msg(sdp("to offer 1"))]);
    // A restart of ICE changes what there is.
    client.send_msg(&sdp("offer 2")).unwrap();
    ear.expect(&[Told::Msg(sdp("to offer 2"))]);
    // The server's own candidates, where it tells them later.
    gateway.change(|state| {
        let told = json!({ "candidate": "candidate:1 1 udp 1 192.0.2.1 5 typ host", "sdpMid": "0", "sdpMLineIndex": 0 });
        state.say(json!({ "janus": "trickle", "candidate": told }));
        state.say(json!({ "janus": "webrtcup" }));
        state.say(json!({ "janus": "trickle", "candidate": { "completed": true } }));
    });
    let end = Signal::Candidate {
        candidate: "".into(),
        mid: None,
        line: None,
    };
    ear.expect(&[Told::Msg(candidate(5)), Told::Msg(end)]);
    client.stop().unwrap();
    ear.expect(&[Told::Close("stopped".into())]);
    let log = gateway.wait_for("destroy", 1);
    assert_eq!(
        log,
        [
            "create",
            "attach",
            "join ",
            "publish offer",
            "trickle 4000",
            "trickle 4001",
            "completed true",
            "configure offer",
            "unpublish ",
            "detach",
            "destroy",
        ]
    );
    assert_eq!(client.send_msg(&sdp("x")), Err(Error::Closed));
}

#[test]
fn playing_from_beginning_to_end() {
    let gateway = Gateway::start();
    gateway.change(|state| state.publishers = vec![]);
    let (mut client, ear) = start(player(&gateway));
    ear.expect(&[
        Told::Ice(Role::Controlled, IceCause::Joined, 0),
        Told::Connected,
    ]);
    client.connection_begins();
    let words = ear.words();
    assert!(words.contains("nobody publishes in room 4711"), "{words}");
    gateway.change(|state| state.publishers = vec![7, 8]);
    // However often it was tried meanwhile; the offer is for a connection that begins now.
    let role = loop {
        match ear.next() {
            Told::Reconnecting(_) => {}
            other => break other,
        }
    };
    assert_eq!(role, Told::Ice(Role::Controlled, IceCause::Rejoined, 0));
    ear.expect(&[Told::Connected]);
    client.connection_begins();
    ear.expect(&[Told::Msg(sdp("feed 7"))]);
    client.send_msg(&sdp("a=setup:actpass")).unwrap();
    client.send_msg(&sdp("answer")).unwrap();
    client.send_msg(&candidate(4_000)).unwrap();
    gateway.wait_for("trickle 4000", 1);
    let log = gateway.wait_for("start answer", 1);
    // Ours was none, and was not said.
    assert_eq!(
        log.iter().filter(|line| line.starts_with("start")).count(),
        1
    );
    // The publisher goes, and the next connection is to the other.
    gateway.change(|state| {
        state.publishers = vec![8];
        state.say(json!({ "janus": "hangup", "reason": "gone" }));
    });
    ear.expect(&[Told::Msg(Signal::Bye)]);
    client.connection_begins();
    ear.expect(&[Told::Msg(sdp("feed 8"))]);
    // Whoever hangs up is not called again.
    client.send_msg(&Signal::Bye).unwrap();
    ear.expect(&[Told::Ice(Role::Controlled, IceCause::Joined, 0)]);
    client.stop().unwrap();
    ear.expect(&[Told::Close("stopped".into())]);
}

#[test]
fn a_publisher_that_is_named_is_played() {
    let gateway = Gateway::start();
    gateway.change(|state| state.publishers = vec![7, 8]);
    let config = JanusConfig::play(&gateway.url(), 4_711, Some(8.into())).unwrap();
    let (mut client, ear) = start(quick(config));
    ear.expect(&[
        Told::Ice(Role::Controlled, IceCause::Joined, 0),
        Told::Connected,
    ]);
    client.connection_begins();
    ear.expect(&[Told::Msg(sdp("feed 8"))]);
}

#[test]
fn what_the_server_wants_to_know_is_said() {
    let gateway = Gateway::start();
    gateway.change(|state| {
        state.secret = Some(("apisecret", "s3cret"));
        state.pin = Some("p1n");
    });
    let (_client, ear) = start(publisher(&gateway).with_pin("p1n"));
    let words = ear.words();
    assert!(words.contains("who are you (code 403)"), "{words}");
    let (_client, ear) = start(publisher(&gateway).with_api_secret("s3cret"));
    let words = ear.words();
    assert!(words.contains("wrong pin (code 433)"), "{words}");
    let (_client, ear) = start(
        publisher(&gateway)
            .with_api_secret("s3cret")
            .with_pin("p1n"),
    );
    ear.expect(&joined(IceCause::Joined));
    gateway.change(|state| state.secret = Some(("token", "t0ken")));
    let (_client, ear) = start(publisher(&gateway).with_token("t0ken").with_pin("p1n"));
    ear.expect(&joined(IceCause::Joined));
}

#[test]
fn a_server_that_forgets_us_is_joined_anew() {
    let gateway = Gateway::start();
    let (mut client, ear) = start(publisher(&gateway));
    ear.expect(&joined(IceCause::Joined));
    client.send_msg(&sdp("offer")).unwrap();
    ear.expect(&[Told::Msg(sdp("to offer"))]);
    gateway.change(crate::gateway::State::forget);
    ear.expect(&[Told::Msg(Signal::Bye)]);
    let words = ear.words();
    assert!(
        words.contains("does not know us any more; trying again"),
        "{words}"
    );
    ear.expect(&joined(IceCause::PeerLeft));
    // It says so itself, to a request.
    gateway.change(|state| state.say(json!({ "janus": "timeout" })));
    assert!(ear.words().contains("trying again"));
    ear.expect(&joined(IceCause::PeerLeft));
}

#[test]
fn a_connection_that_ends_gives_way_to_the_next() {
    let gateway = Gateway::start();
    let (mut client, ear) = start(publisher(&gateway));
    ear.expect(&joined(IceCause::Joined));
    client.send_msg(&sdp("offer 1")).unwrap();
    ear.expect(&[Told::Msg(sdp("to offer 1"))]);
    gateway.change(|state| state.say(json!({ "janus": "hangup", "reason": "ICE failed" })));
    ear.expect(&[Told::Msg(Signal::Bye)]);
    ear.expect(&joined(IceCause::PeerLeft));
    client.send_msg(&sdp("offer 2")).unwrap();
    ear.expect(&[Told::Msg(sdp("to offer 2"))]);
    client.send_msg(&Signal::Bye).unwrap();
    ear.expect(&joined(IceCause::Joined));
    gateway.wait_for("unpublish ", 2);
    // Others are removed by somebody.
    let removed = json!({ "videoroom": "event", "leaving": "ok", "reason": "kicked" });
    gateway
        .change(|state| state.say(json!({ "janus": "event", "plugindata": { "data": removed } })));
    assert_eq!(ear.words(), "we were removed from the room: kicked");
}

#[test]
fn refusals_end_it_or_are_waited_out() {
    let gateway = Gateway::start();
    gateway.change(|state| state.room_refusals.push_back((432, "full")));
    let (_client, ear) = start(publisher(&gateway));
    assert!(ear.words().contains("full (code 432); trying again"));
    ear.expect(&joined(IceCause::Joined));
    gateway.change(|state| state.room_refusals.push_back((426, "no such room")));
    let (_client, ear) = start(publisher(&gateway));
    assert_eq!(ear.words(), "room 4711 refuses: no such room (code 426)");
    // An offer that cannot be used, and a candidate that cannot.
    let (mut client, ear) = start(publisher(&gateway));
    ear.expect(&joined(IceCause::Joined));
    gateway.change(|state| {
        state
            .refusals
            .entry("trickle")
            .or_default()
            .push_back((466, "no"))
    });
    client.send_msg(&candidate(4_000)).unwrap();
    gateway.change(|state| {
        state
            .refusals
            .entry("message")
            .or_default()
            .push_back((465, "no SDP"))
    });
    client.send_msg(&sdp("offer")).unwrap();
    let words = ear.words();
    assert!(words.contains("no SDP (code 465)"), "{words}");
    gateway.wait_for("trickle 4000", 1);
}

#[test]
fn a_server_that_is_away_is_waited_for() {
    // Nobody listens there.
    let nowhere = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/janus", nowhere.local_addr().unwrap());
    drop(nowhere);
    let few = Retry {
        first: Duration::from_millis(1),
        attempts: Some(2),
        ..Retry::default()
    };
    let (_client, ear) = start(JanusConfig::publish(&url, 1).unwrap().with_retry(few));
    let (first, last) = (ear.words(), ear.words());
    assert!(
        first.contains("cannot be reached") && first.contains("trying again"),
        "{first}"
    );
    let last = if last.contains("given up") {
        last
    } else {
        ear.words()
    };
    assert!(last.contains("given up"), "{last}");
    // Something else than Janus.
    let gateway = Gateway::start();
    let wrong = gateway.url().replace("/janus", "/elsewhere");
    let (_client, ear) = start(quick(JanusConfig::publish(&wrong, 1).unwrap()));
    assert!(ear.words().contains("no Janus server (status 404)"));
}

#[test]
fn a_session_is_kept_alive() {
    let gateway = Gateway::start();
    let config = publisher(&gateway).with_keepalive(Duration::from_millis(20));
    let (_client, ear) = start(config);
    ear.expect(&joined(IceCause::Joined));
    gateway.wait_for("keepalive", 3);
}

#[test]
fn it_is_used_in_order() {
    let gateway = Gateway::start();
    let mut client = Janus::new(publisher(&gateway));
    assert!(matches!(client.send_msg(&sdp("x")), Err(Error::Misuse(_))));
    let (events, ear) = recorder();
    client.start(events).unwrap();
    let (events, _ear) = recorder();
    assert!(matches!(client.start(events), Err(Error::Misuse(_))));
    assert!(matches!(
        client.send_msg(&custom("RING")),
        Err(Error::Misuse(_))
    ));
    assert_eq!((client.stop(), client.stop()), (Ok(()), Ok(())));
    let last = std::iter::repeat_with(|| ear.next()).find(|told| matches!(told, Told::Close(_)));
    assert_eq!(last, Some(Told::Close("stopped".into())));
}
