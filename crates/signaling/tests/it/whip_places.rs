//! Where the WHIP client goes: redirects, locations, servers that are slow, gone or of TLS, and with what it goes there.

use std::time::Duration;

use esp_signaling::{IceCause, Retry, Signaling, Trust, Whip};
use esp_wire::Role;

use crate::secure::tls_at;
use crate::studio::{Odd, Studio};
use crate::whip::{answer_to, bearer, candidate, offer, publish, quick, ready};
use crate::{Told, recorder};

#[test]
fn redirects_keep_the_method_the_body_and_the_token() {
    let (studio, second) = (Studio::start(), Studio::start());
    for state in [&studio, &second] {
        state.state().secret = Some("Bearer t".into());
    }
    // To another path, to another server, which is named by an address of this host, and its Location.
    let there = format!("http://localhost:{}/live/b", second.address.port());
    studio
        .state()
        .odd("POST", Odd::of(308).with("Location", &there));
    let url = format!("http://{}/old/live/a", studio.address);
    let (mut client, ear) = publish(bearer(quick(&url), "t"));
    ear.expect(&ready(0));
    let first = offer(1, "ours");
    client.send_msg(&first).unwrap();
    ear.expect(&[answer_to(&first)]);
    client.send_msg(&candidate(1)).unwrap();
    let log = second.wait_for("told 1");
    assert_eq!(log[..2], ["POST /live/b", "PATCH /s/1 \"1\""]);
    client.stop().unwrap();
    second.wait_for("DELETE /s/1");
    let log = studio.state().log.clone();
    assert_eq!(
        log,
        [
            "OPTIONS /old/live/a",
            "OPTIONS /live/a",
            "POST /old/live/a",
            "POST /live/a"
        ]
    );
}

#[test]
fn a_location_may_be_whole_and_on_another_server() {
    let (studio, second) = (Studio::start(), Studio::start());
    studio.state().location = format!("http://{}", second.address);
    let (mut client, ear) = publish(quick(&studio.url()));
    ear.expect(&ready(0));
    let first = offer(1, "ours");
    client.send_msg(&first).unwrap();
    ear.expect(&[answer_to(&first)]);
    client.stop().unwrap();
    second.wait_for("DELETE /s/1");
}

#[test]
fn redirects_are_followed_as_far_as_allowed() {
    for (allowed, arrives) in [(2, false), (3, true)] {
        let studio = Studio::start();
        // Each "old" in a path is one redirect more.
        let on = Odd::of(307).with("Location", "/old/old/live");
        studio.state().odd("POST", on);
        let (mut client, ear) = publish(quick(&studio.url()).with_redirects(allowed));
        ear.expect(&ready(0));
        let first = offer(1, "ours");
        client.send_msg(&first).unwrap();
        if arrives {
            ear.expect(&[answer_to(&first)]);
            continue;
        }
        match ear.next() {
            Told::Close(told) => assert!(told.contains("more than 2 times"), "{told}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_token_does_not_go_unsecured_to_another_host() {
    for (odd, words) in [
        (
            Odd::of(307).with("Location", "http://192.0.2.1/live"),
            "does not go unsecured",
        ),
        (
            Odd::of(201)
                .with("Content-Type", "application/sdp")
                .with("Location", "http://192.0.2.1/s/1"),
            "does not go unsecured",
        ),
        (
            Odd::of(307).with("Location", "/old/old/old/old/old/old/live"),
            "more than 5 times",
        ),
    ] {
        let studio = Studio::start();
        studio.state().odd("POST", odd);
        let (mut client, ear) = publish(bearer(quick(&studio.url()), "secret"));
        ear.expect(&ready(0));
        client.send_msg(&offer(1, "ours")).unwrap();
        match ear.next() {
            Told::Close(told) => assert!(told.contains(words), "{told}"),
            other => panic!("{other:?} instead of {words}"),
        }
    }
}

#[test]
fn https_is_not_left_and_may_lead_to_another_host() {
    let (studio, second) = (Studio::start(), Studio::start());
    for state in [&studio, &second] {
        state.state().secret = Some("Bearer t".into());
    }
    let ours = |terms: &mut rcgen::CertificateParams| {
        let address = rcgen::SanType::IpAddress([127, 0, 0, 1].into());
        terms.subject_alt_names.push(address);
    };
    let (secured, first_pem, _) = tls_at(studio.address, ours);
    let (beyond, second_pem, _) = tls_at(second.address, ours);
    let config = |path: &str| {
        let trust = Trust::Authorities(format!("{first_pem}{second_pem}"));
        let url = format!("https://localhost:{}{path}", secured.port());
        bearer(quick(&url), "t").with_trust(trust)
    };
    let link = format!("https://{beyond}/live");
    studio
        .state()
        .odd("POST", Odd::of(307).with("Location", &link));
    let (mut client, ear) = publish(config("/live"));
    ear.expect(&ready(0));
    let first = offer(1, "ours");
    client.send_msg(&first).unwrap();
    ear.expect(&[answer_to(&first)]);
    second.wait_for("POST /live");
    client.stop().unwrap();

    let link = format!("http://localhost:{}/live", second.address.port());
    studio
        .state()
        .odd("POST", Odd::of(307).with("Location", &link));
    let (mut client, ear) = publish(config("/live"));
    ear.expect(&ready(0));
    client.send_msg(&first).unwrap();
    let words = ear.words();
    assert!(words.contains("which is not secured"), "{words}");
}

#[test]
fn ice_servers_are_told_before_the_offer_and_with_the_answer() {
    let studio = Studio::start();
    let turn = "<turn:b?transport=udp>; rel=\"ice-server\"; username=\"u\"; credential=\"c\"";
    let stun = "<stun:a>; rel=\"ice-server\"";
    studio.state().links.0 = vec![stun.into()];
    studio.state().links.1 = vec![format!("{stun}, {turn}"), "</x>; rel=next".into()];
    let (mut client, ear) = publish(quick(&studio.url()));
    ear.expect(&ready(1));
    let first = offer(1, "ours");
    client.send_msg(&first).unwrap();
    ear.expect(&[
        Told::Ice(Role::Controlling, IceCause::Refreshed, 2),
        answer_to(&first),
    ]);
    // Without the first request the offer goes at once; servers that are known are not told again.
    let (mut client, ear) = publish(quick(&studio.url()).with_options_request(false));
    ear.expect(&ready(0));
    for session in 2..4 {
        let next = offer(session, "ours");
        client.send_msg(&next).unwrap();
        if session == 2 {
            ear.expect(&[Told::Ice(Role::Controlling, IceCause::Refreshed, 2)]);
        }
        ear.expect(&[answer_to(&next)]);
    }
    let options = |line: &&String| line.starts_with("OPTIONS");
    assert_eq!(studio.state().log.iter().filter(options).count(), 1);
}

#[test]
fn a_server_that_does_not_answer_is_asked_again() {
    let studio = Studio::start();
    studio.mute(Some("OPTIONS"));
    let config = quick(&studio.url()).with_request_timeout(Duration::from_secs(1));
    let (mut client, ear) = publish(config);
    let words = ear.words();
    assert!(
        words.contains("cannot be reached") && words.contains("again"),
        "{words}"
    );
    studio.mute(Some("POST"));
    let mut next = ear.next();
    // On a busy machine more than one was too slow.
    while matches!(next, Told::Reconnecting(_)) {
        next = ear.next();
    }
    assert_eq!(next, ready(0)[0]);
    ear.expect(&[Told::Connected]);
    let first = offer(1, "ours");
    client.send_msg(&first).unwrap();
    ear.words();
    studio.mute(None);
    let mut next = ear.next();
    while matches!(next, Told::Reconnecting(_)) {
        next = ear.next();
    }
    assert_eq!(next, Told::Connected);
    ear.expect(&[answer_to(&first)]);
}

#[test]
fn a_server_that_is_gone_is_given_up_when_it_is_time() {
    // A port that no program is given by chance, and where nobody listens.
    let url = "http://127.0.0.1:1/live";
    let retry = Retry {
        first: Duration::from_millis(1),
        attempts: Some(2),
        ..Retry::default()
    };
    let (_client, ear) = publish(quick(url).with_retry(retry));
    for _ in 0..2 {
        assert!(matches!(ear.next(), Told::Reconnecting(_)));
    }
    match ear.next() {
        Told::Close(words) => assert!(words.contains("given up"), "{words}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_caller_never_waits_and_the_queue_is_bounded() {
    let studio = Studio::start();
    studio.mute(Some("POST"));
    let mut client = Whip::new(quick(&studio.url()).with_queue(3));
    let (events, ear) = recorder();
    client.start(events).unwrap();
    ear.expect(&ready(0));
    client.send_msg(&offer(1, "ours")).unwrap();
    // From now on its thread waits for an answer.
    studio.wait_for("POST unheard");
    for port in 1..4 {
        client.send_msg(&candidate(port)).unwrap();
    }
    let full = client.send_msg(&candidate(4));
    assert_eq!(full, Err(esp_signaling::Error::WouldBlock));
    studio.mute(None);
    studio.wait_for("told 3");
}
