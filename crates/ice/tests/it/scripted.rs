//! One agent against a peer that is written out message by message.

use std::net::SocketAddr;

use esp_ice::{Agent, Config, Credentials, Event, State};
use esp_stun::{
    AttributeType, Class, ErrorCode, Integrity, Key, Message, MessageBuilder, Method, TransactionId,
};
use esp_wire::{Action, Ecn, Input, Instant, Interface, Origin, Role, SocketId, Train};

const PEER: &str = "203.0.113.9:4000";
const OTHER: &str = "203.0.113.9:4001";

/// A packet of the agent.
struct Sent {
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Sent {
    fn message(&self) -> Message<'_> {
        Message::parse(&self.bytes).unwrap()
    }
}

struct Script {
    agent: Agent,
    now: Instant,
    theirs: Credentials,
    next: u8,
}

impl Script {
    fn new(role: Role) -> Self {
        Script::with(Config::default().with_role(role))
    }

    fn with(config: Config) -> Self {
        let mut agent = Agent::new(config, Origin::seeded(1)).unwrap();
        let now = Instant::ZERO;
        agent.start(now);
        let interface = Interface {
            name: "eth0".to_owned(),
            index: 1,
            address: "192.0.2.1".parse().unwrap(),
        };
        agent
            .handle_input(now, Input::Interfaces(&[interface]))
            .unwrap();
        let Some(Action::Bind { socket, local }) = agent.poll_action() else {
            panic!("no bind");
        };
        let local = SocketAddr::new(local.ip(), 5_000);
        agent
            .handle_input(now, Input::Bound { socket, local })
            .unwrap();
        Script {
            agent,
            now,
            theirs: Credentials::new("peerfrag", "peerpasswordpeerpassword"),
            next: 0,
        }
    }

    fn know_peer(&mut self) {
        let theirs = self.theirs.clone();
        self.agent.set_remote_credentials(self.now, theirs).unwrap();
    }

    fn receive<'a>(&mut self, from: &str, bytes: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let size = bytes.len();
        self.receive_train(from, size, bytes)
    }

    fn receive_train<'a>(
        &mut self,
        from: &str,
        size: usize,
        data: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let input = Input::Datagrams {
            socket: SocketId(0),
            remote: from.parse().unwrap(),
            ecn: Ecn::NotEct,
            size,
            data,
        };
        let received = self.agent.handle_input(self.now, input).unwrap();
        received.map(|received| received.data)
    }

    fn sent(&mut self) -> Vec<Sent> {
        let mut train = Train::with_capacity(2_000);
        let mut list = Vec::new();
        while self.agent.poll_transmit(self.now, &mut train) {
            list.push(Sent {
                to: train.destination().unwrap().remote,
                bytes: train.segment(0).to_vec(),
            });
        }
        list
    }

    /// Lets time pass and gives what was sent.
    fn pass(&mut self, millis: u64) -> Vec<Sent> {
        let end = self.now + std::time::Duration::from_millis(millis);
        let mut list = self.sent();
        while let Some(deadline) = self.agent.poll_timeout().filter(|next| next.at <= end) {
            self.now = self.now.max(deadline.at);
            self.agent.handle_timeout(self.now);
            list.extend(self.sent());
        }
        self.now = end;
        list
    }

    /// A check of the peer, to be changed by `edit` before it is protected.
    fn request(&mut self, edit: impl FnOnce(&mut MessageBuilder<'_>)) -> Vec<u8> {
        self.next += 1;
        let ours = self.agent.local_credentials().clone();
        let mut bytes = vec![0; 400];
        let id = TransactionId([self.next; 12]);
        let mut builder = MessageBuilder::request(&mut bytes, Method::BINDING, id);
        builder.username(&format!("{}:{}", ours.ufrag, self.theirs.ufrag));
        edit(&mut builder);
        builder.integrity(&Key::short_term(&ours.pwd)).fingerprint();
        let len = builder.finish().unwrap();
        bytes.truncate(len);
        bytes
    }

    fn check(&mut self, from: &str, nominate: bool) {
        let role = self.agent.role();
        let mut bytes = self.request(|builder| {
            builder.priority(1_000);
            match role {
                Role::Controlled => builder.ice_controlling(1),
                Role::Controlling => builder.ice_controlled(1),
            };
            if nominate {
                builder.use_candidate();
            }
        });
        self.receive(from, &mut bytes);
    }

    /// Answers every check in `sent`, as if the peer were at the destination.
    fn answer(&mut self, sent: &[Sent]) -> usize {
        let checks: Vec<_> = (sent.iter())
            .filter(|sent| sent.message().class() == Class::Request)
            .collect();
        for check in &checks {
            self.respond(check, check.to, &self.theirs.pwd.clone(), None);
        }
        checks.len()
    }

    fn respond(&mut self, check: &Sent, from: SocketAddr, pwd: &str, error: Option<ErrorCode>) {
        let mut bytes = [0; 200];
        let request = check.message();
        let mut builder = match error {
            None => MessageBuilder::success(&mut bytes, &request),
            Some(_) => MessageBuilder::error(&mut bytes, &request),
        };
        match error {
            None => builder.xor_mapped_address("192.0.2.1:5000".parse().unwrap()),
            Some(code) => builder.error_code(code),
        };
        builder.integrity(&Key::short_term(pwd)).fingerprint();
        let len = builder.finish().unwrap();
        self.receive(&from.to_string(), &mut bytes[..len]);
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.agent.poll_event()).collect()
    }

    /// A controlled agent with one selected pair.
    fn connected(&mut self) {
        self.know_peer();
        self.check(PEER, true);
        let sent = self.pass(100);
        assert!(self.answer(&sent) > 0);
        self.pass(100);
        assert_eq!(self.agent.state(), State::Completed);
    }
}

#[test]
fn a_good_request_is_answered_with_the_mapped_address() {
    let mut script = Script::new(Role::Controlled);
    script.check(PEER, false);
    let sent = script.sent();
    let answer = sent[0].message();
    assert_eq!(answer.class(), Class::Success);
    assert_eq!(answer.xor_mapped_address(), Some(PEER.parse().unwrap()));
    let key = Key::short_term(&script.agent.local_credentials().pwd);
    assert_eq!(answer.verify(&key), Ok(Integrity::Sha1));
    assert_eq!(sent[0].to, PEER.parse().unwrap());
}

#[test]
fn bad_requests_are_refused_by_the_right_code() {
    let mut script = Script::new(Role::Controlled);
    let pwd = script.agent.local_credentials().pwd.clone();
    let ufrag = script.agent.local_credentials().ufrag.clone();
    let good = format!("{ufrag}:peerfrag");
    // Username, password and a foreign attribute, each in order or not.
    let cases: [(Option<&str>, Option<&str>, bool, u16); 6] = [
        (None, Some(&pwd), false, 400),
        (Some(&good), None, false, 400),
        (Some("wrong:peerfrag"), Some(&pwd), false, 401),
        (Some(&ufrag), Some(&pwd), false, 401),
        (Some(&good), Some("another password, also long"), false, 401),
        (Some(&good), Some(&pwd), true, 420),
    ];
    for (username, password, foreign, code) in cases {
        let mut bytes = [0; 300];
        let id = TransactionId([9; 12]);
        let mut builder = MessageBuilder::request(&mut bytes, Method::BINDING, id);
        if let Some(username) = username {
            builder.username(username);
        }
        if foreign {
            builder.attribute(AttributeType(0x7777), &[1, 2, 3]);
        }
        if let Some(password) = password {
            builder.integrity(&Key::short_term(password));
        }
        let len = builder.fingerprint().finish().unwrap();
        script.receive(PEER, &mut bytes[..len]);
        let sent = script.sent();
        let answer = sent[0].message();
        assert_eq!(answer.error_code().unwrap().0, ErrorCode(code));
        assert_eq!(answer.integrity().is_some(), code == 420);
        if foreign {
            let unknown = answer.unknown_attributes().unwrap();
            assert_eq!(unknown.into_iter().next(), Some(AttributeType(0x7777)));
        }
    }
    assert_eq!(script.agent.counters().unauthenticated, 5);
}

#[test]
fn requests_without_fingerprint_and_garbage_are_dropped() {
    let mut script = Script::new(Role::Controlled);
    let mut bytes = script.request(|_| {});
    let len = bytes.len() - 8;
    bytes.truncate(len);
    bytes[3] -= 8;
    script.receive(PEER, &mut bytes);
    script.receive(PEER, &mut [0; 30]);
    script.receive(PEER, &mut [3]);
    assert_eq!(script.agent.counters().malformed, 3);
    assert!(script.sent().is_empty());
}

#[test]
fn application_data_passes_only_from_proved_addresses() {
    let mut script = Script::new(Role::Controlled);
    assert!(script.receive(PEER, &mut [22, 1, 2]).is_none());
    assert_eq!(script.agent.counters().unknown_source, 1);
    script.check(PEER, false);
    assert!(script.receive(PEER, &mut [22, 1, 2]).is_some());
    assert!(script.receive(OTHER, &mut [22, 1, 2]).is_none());
    script.know_peer();
    assert!(script.receive(PEER, &mut [22, 1, 2]).is_some());
}

#[test]
fn a_mixed_train_is_taken_apart() {
    let mut script = Script::new(Role::Controlled);
    script.connected();
    let stun = script.request(|builder| {
        builder.priority(1);
    });
    let size = stun.len();
    let mut train = vec![0x80; size];
    train.extend_from_slice(&stun);
    train.extend(vec![0x81; size]);
    train.extend([0x82; 3]);
    let data = script.receive_train(PEER, size, &mut train).unwrap();
    let mut wanted = vec![0x80; size];
    wanted.extend(vec![0x81; size]);
    wanted.extend([0x82; 3]);
    assert_eq!(data, wanted);
    assert_eq!(script.sent()[0].message().class(), Class::Success);
}

#[test]
fn early_checks_are_remembered_within_bounds() {
    let mut script = Script::with(
        Config::default()
            .with_role(Role::Controlled)
            .with_max_early_checks(4),
    );
    for port in 1..=9 {
        script.check(&format!("203.0.113.9:{port}"), false);
        script.check(&format!("203.0.113.9:{port}"), false);
    }
    assert_eq!(script.agent.counters().early_dropped, 10);
    script.know_peer();
    assert_eq!(script.agent.pairs().len(), 4);
    // Those of another peer's name are forgotten.
    let mut script = Script::new(Role::Controlled);
    script.theirs.ufrag = "stranger".to_owned();
    script.check(PEER, false);
    script.theirs.ufrag = "peerfrag".to_owned();
    script.know_peer();
    assert_eq!(script.agent.pairs().len(), 0);
}

#[test]
fn an_aggressive_nominator_ends_on_the_pair_of_highest_priority() {
    let mut script = Script::new(Role::Controlled);
    script.know_peer();
    let candidate = format!(
        "candidate:1 1 udp 2000000000 {} 4001 typ host",
        "203.0.113.9"
    );
    script.check(PEER, true);
    script.check(OTHER, true);
    let sent = script.pass(60);
    assert_eq!(script.answer(&sent), 2);
    script
        .agent
        .add_remote_candidate(script.now, &candidate)
        .unwrap();
    let low = script.agent.selected().unwrap();
    script.check(OTHER, true);
    script.check(PEER, true);
    script.pass(1_000);
    let chosen = script.agent.selected().unwrap();
    assert!(low.nominated);
    assert_eq!(chosen.remote.address, OTHER.parse().unwrap());
    // Long after, a new choice of the peer is followed, whatever its priority.
    script.pass(3_500);
    script.check(PEER, true);
    assert_eq!(
        script.agent.selected().unwrap().remote.address,
        PEER.parse().unwrap()
    );
}

#[test]
fn a_controlling_agent_nominates_once_and_ignores_nominations() {
    let mut script = Script::new(Role::Controlling);
    script.know_peer();
    script.check(PEER, true);
    let mut nominations = 0;
    for _ in 0..40 {
        let sent = script.pass(50);
        let nominating = |sent: &&Sent| sent.message().use_candidate();
        nominations += sent.iter().filter(nominating).count();
        script.answer(&sent);
    }
    assert_eq!(nominations, 1);
    assert_eq!(script.agent.state(), State::Completed);
    let events = script.events();
    let at = |wanted: fn(&Event) -> bool| events.iter().position(wanted).unwrap();
    assert!(
        at(|event| matches!(event, Event::PathAvailable(_)))
            < at(|event| matches!(event, Event::Selected(_)))
    );
}

#[test]
fn role_conflicts_follow_the_tie_breakers() {
    // The agent controls, and so says the peer.
    for (tie_breaker, code, role) in [
        (0, Some(487), Role::Controlling),
        (u64::MAX, None, Role::Controlled),
    ] {
        let mut script = Script::new(Role::Controlling);
        script.know_peer();
        let mut bytes = script.request(|builder| {
            builder.priority(1).ice_controlling(tie_breaker);
        });
        script.receive(PEER, &mut bytes);
        let sent = script.sent();
        let answer = sent[0].message();
        assert_eq!(answer.error_code().map(|(code, _)| code.0), code);
        assert_eq!(script.agent.role(), role);
    }
    for (tie_breaker, code, role) in [
        (u64::MAX, Some(487), Role::Controlled),
        (0, None, Role::Controlling),
    ] {
        let mut script = Script::new(Role::Controlled);
        script.know_peer();
        let mut bytes = script.request(|builder| {
            builder.priority(1).ice_controlled(tie_breaker);
        });
        script.receive(PEER, &mut bytes);
        let sent = script.sent();
        assert_eq!(sent[0].message().error_code().map(|(code, _)| code.0), code);
        assert_eq!(script.agent.role(), role);
    }
}

#[test]
fn a_487_changes_role_and_tie_breaker_and_repeats_the_check() {
    let mut script = Script::new(Role::Controlling);
    script.know_peer();
    script.check(PEER, false);
    let sent = script.pass(40);
    let check = sent
        .iter()
        .find(|sent| sent.message().class() == Class::Request)
        .unwrap();
    let before = check.message().ice_controlling().unwrap();
    let pwd = script.theirs.pwd.clone();
    script.respond(check, check.to, &pwd, Some(ErrorCode::ROLE_CONFLICT));
    assert_eq!(script.agent.role(), Role::Controlled);
    let again = script.pass(40);
    let after = again[0].message().ice_controlled().unwrap();
    assert_ne!(before, after);
    assert_eq!(script.answer(&again), 1);
    script.pass(1);
    assert_eq!(script.agent.state(), State::Connected);
}

#[test]
fn responses_must_be_authentic_and_symmetric() {
    let mut script = Script::new(Role::Controlling);
    script.know_peer();
    script.check(PEER, false);
    let sent = script.pass(40);
    let check = sent
        .iter()
        .find(|sent| sent.message().class() == Class::Request)
        .unwrap();
    script.respond(check, check.to, "another password, also long", None);
    script.respond(
        check,
        check.to,
        "another password, also long",
        Some(ErrorCode::BAD_REQUEST),
    );
    assert_eq!(script.agent.counters().unauthenticated, 2);
    assert!(script.agent.path().is_none());
    let pwd = script.theirs.pwd.clone();
    script.respond(check, OTHER.parse().unwrap(), &pwd, None);
    assert_eq!(script.agent.pairs()[0].state, esp_ice::PairState::Failed);
    // The same response again answers nothing.
    script.respond(check, check.to, &pwd, None);
    assert_eq!(script.agent.counters().unknown_responses, 1);
    assert!(script.agent.path().is_none());
}

#[test]
fn a_403_revokes_consent_at_once() {
    let mut script = Script::new(Role::Controlled);
    script.connected();
    let sent = script.pass(6_500);
    let consent = sent
        .iter()
        .find(|sent| sent.message().class() == Class::Request)
        .unwrap();
    assert!(!consent.message().use_candidate());
    let pwd = script.theirs.pwd.clone();
    script.respond(
        consent,
        consent.to,
        "another password, also long",
        Some(ErrorCode::FORBIDDEN),
    );
    assert!(script.agent.path().is_some());
    script.respond(consent, consent.to, &pwd, Some(ErrorCode::FORBIDDEN));
    assert!(script.agent.path().is_none());
    assert!(script.events().contains(&Event::ConsentExpired));
}

#[test]
fn checks_stay_within_the_pace() {
    let mut script = Script::new(Role::Controlling);
    script.know_peer();
    for number in 1..=60 {
        let line = format!(
            "candidate:{number} 1 udp {} 203.0.113.{number} 9 typ host",
            1_000 + number
        );
        script
            .agent
            .add_remote_candidate(script.now, &line)
            .unwrap();
    }
    let mut total = 0;
    for _ in 0..150 {
        let sent = script.pass(20).len();
        // One new check and one repetition in each slot.
        assert!(sent <= 2, "{sent}");
        total += sent;
    }
    assert!(total > 60);
}

#[test]
fn a_lite_peer_makes_us_control() {
    let mut script = Script::new(Role::Controlled);
    script.know_peer();
    script.agent.set_remote_lite(script.now, true);
    let line = "candidate:1 1 udp 1000 203.0.113.9 4000 typ host";
    script.agent.add_remote_candidate(script.now, line).unwrap();
    for _ in 0..20 {
        let sent = script.pass(50);
        script.answer(&sent);
    }
    assert_eq!(script.agent.state(), State::Completed);
    assert_eq!(script.agent.role(), Role::Controlling);
}
