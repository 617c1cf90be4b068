//! Every way in which a TURN server refuses, what the client does then, and its words; and the options of an
//! allocation.

use std::net::SocketAddr;
use std::time::Duration;

use esp_stun::turn::{Families, Incoming, TurnClient, TurnConfig, TurnError, TurnEvent};
use esp_stun::{
    AttributeType, ErrorCode, Icmp, Key, Message, MessageBuilder, Method, PasswordAlgorithm,
    TransactionId,
};
use esp_wire::{Instant, Origin, SocketId, Train};

fn server() -> SocketAddr {
    "198.51.100.1:3478".parse().unwrap()
}

fn peer() -> SocketAddr {
    "203.0.113.5:700".parse().unwrap()
}

/// A client and the server's answers, written by the test.
pub(crate) struct Bench {
    pub(crate) client: TurnClient,
    pub(crate) now: Instant,
    pub(crate) train: Train,
}

impl Bench {
    pub(crate) fn with(config: impl FnOnce(TurnConfig) -> TurnConfig) -> Self {
        let base = TurnConfig::new(SocketId(0), server(), "user", "secret");
        let mut bench = Bench {
            client: TurnClient::new(config(base), Origin::seeded(2)).unwrap(),
            now: Instant::ZERO,
            train: Train::with_capacity(Train::MAX_BYTES),
        };
        bench.client.start(bench.now);
        let first = bench.request();
        assert!(Message::parse(&first).unwrap().integrity().is_none());
        bench.refuse(&first, 401, |builder| {
            builder.realm("realm").nonce("nonce");
        });
        bench
    }

    pub(crate) fn new() -> Self {
        Bench::with(|config| config)
    }

    pub(crate) fn allocated() -> Self {
        let mut bench = Bench::new();
        bench.grant(|_| ());
        assert!(matches!(bench.event(), TurnEvent::Allocated { .. }));
        bench
    }

    pub(crate) fn request(&mut self) -> Vec<u8> {
        assert!(self.client.poll_transmit(self.now, &mut self.train));
        self.train.segment(0).to_vec()
    }

    pub(crate) fn event(&mut self) -> TurnEvent {
        self.client.poll_event().expect("an event")
    }

    pub(crate) fn key() -> Key {
        Key::long_term("user", "realm", "secret", PasswordAlgorithm::Md5)
    }

    pub(crate) fn refuse(
        &mut self,
        request: &[u8],
        code: u16,
        more: impl FnOnce(&mut MessageBuilder<'_>),
    ) {
        let request = Message::parse(request).unwrap();
        let mut buffer = [0; 512];
        let mut builder = MessageBuilder::error(&mut buffer, &request);
        more(builder.error_code(ErrorCode(code)));
        if request.integrity().is_some() {
            builder.integrity(&Bench::key());
        }
        let len = builder.finish().unwrap();
        let incoming = self.client.handle_message(self.now, &mut buffer[..len]);
        assert_eq!(incoming, Incoming::Consumed);
    }

    /// Refuses the request that comes next.
    pub(crate) fn refuse_next(&mut self, code: u16) {
        let request = self.request();
        self.refuse(&request, code, |_| ());
    }

    /// Grants the request that comes next, and hands it out.
    pub(crate) fn grant(&mut self, more: impl FnOnce(&mut MessageBuilder<'_>)) -> Vec<u8> {
        let bytes = self.request();
        let request = Message::parse(&bytes).unwrap();
        let mut buffer = [0; 512];
        let mut builder = MessageBuilder::success(&mut buffer, &request);
        if request.method() == Method::ALLOCATE {
            builder.xor_relayed_address("198.51.100.1:50000".parse().unwrap());
            builder.lifetime(Duration::from_secs(600));
        }
        more(&mut builder);
        let len = builder.integrity(&Bench::key()).finish().unwrap();
        self.client.handle_message(self.now, &mut buffer[..len]);
        bytes
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
        self.client.handle_timeout(self.now);
    }
}

fn words(event: &TurnEvent) -> String {
    match event {
        TurnEvent::Failed(error) | TurnEvent::PeerRefused(_, error) => error.to_string(),
        TurnEvent::CredentialsRefused(error) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_allocation_that_is_refused_is_told_in_words() {
    for (code, word) in [
        (400, "does not understand"),
        (403, "administrator"),
        (420, "does not know"),
        (437, "holds another allocation"),
        (440, "no address of this kind"),
        (441, "another user"),
        (442, "does not relay by this protocol"),
        (486, "as many allocations"),
        (500, "in trouble"),
        (508, "no port or capacity"),
        (300, "another server"),
        (599, "599"),
    ] {
        let mut bench = Bench::new();
        bench.refuse_next(code);
        let told = words(&bench.event());
        assert!(
            told.contains(word) && told.contains(&code.to_string()),
            "{told}"
        );
        assert!(bench.client.is_over() && bench.client.poll_timeout().is_none());
    }
    let mut bench = Bench::new();
    bench.refuse_next(437);
    let TurnEvent::Failed(error) = bench.event() else {
        panic!("no failure");
    };
    assert!(error.wants_other_socket());
}

#[test]
fn a_401_again_is_a_wrong_password_and_a_438_is_a_new_nonce() {
    let mut bench = Bench::new();
    let request = bench.request();
    bench.refuse(&request, 438, |builder| {
        builder.realm("realm").nonce("second");
    });
    let request = bench.request();
    assert_eq!(Message::parse(&request).unwrap().nonce(), Some("second"));
    bench.refuse(&request, 401, |builder| {
        builder.realm("realm").nonce("third");
    });
    assert!(words(&bench.event()).contains("refused user name and password"));
}

#[test]
fn a_300_sends_the_client_on() {
    let mut bench = Bench::new();
    let other: SocketAddr = "198.51.100.9:3478".parse().unwrap();
    let request = bench.request();
    bench.refuse(&request, 300, |builder| {
        builder.alternate_server(other);
    });
    assert_eq!(bench.event(), TurnEvent::Redirected(other));
    let request = bench.request();
    assert!(Message::parse(&request).unwrap().integrity().is_none());
    assert_eq!(bench.train.destination().unwrap().remote, other);
}

#[test]
fn a_peer_that_is_refused_is_told_in_words() {
    for (code, word) in [
        (400, "does not understand"),
        (403, "administrator"),
        (443, "of another kind"),
        (446, "connection to this peer already"),
        (447, "cannot connect to the peer"),
        (508, "no port or capacity"),
    ] {
        let mut bench = Bench::allocated();
        bench.client.permit(bench.now, peer().ip());
        bench.refuse_next(code);
        let told = words(&bench.event());
        assert!(told.contains(word), "{told}");
        assert!(bench.client.is_allocated() && !bench.client.is_permitted(peer().ip()));
    }
}

#[test]
fn what_a_refused_refresh_means_depends_on_the_code() {
    // The server has forgotten it.
    let mut bench = Bench::allocated();
    bench.wait(541);
    bench.refuse_next(437);
    assert_eq!(bench.event(), TurnEvent::Failed(TurnError::Lost));
    // It is in trouble: it is asked again while there is time.
    let mut bench = Bench::allocated();
    bench.wait(541);
    bench.refuse_next(500);
    assert!(bench.client.is_allocated() && bench.client.poll_event().is_none());
    bench.wait(16);
    bench.grant(|_| ());
    assert!(bench.client.is_allocated());
    // Credentials that were to replace others are not good for this allocation.
    let mut bench = Bench::allocated();
    let changed = bench.client.set_credentials(bench.now, "other", "word");
    assert_eq!(changed, Ok(()));
    let request = bench.request();
    let mut buffer = [0; 512];
    let request = Message::parse(&request).unwrap();
    let mut builder = MessageBuilder::error(&mut buffer, &request);
    let other = Key::long_term("other", "realm", "word", PasswordAlgorithm::Md5);
    builder.error_code(ErrorCode(441)).integrity(&other);
    let len = builder.finish().unwrap();
    bench.client.handle_message(bench.now, &mut buffer[..len]);
    let event = bench.event();
    assert!(matches!(event, TurnEvent::CredentialsRefused(_)));
    assert!(words(&event).contains("another user") && bench.client.is_allocated());
}

#[test]
fn what_the_server_does_not_know_is_named_or_left_out() {
    let unknown = |kind: AttributeType| {
        move |builder: &mut MessageBuilder<'_>| {
            builder.unknown_attributes(&[kind]);
        }
    };
    let mut bench = Bench::with(|config| config.with_even_port(false));
    let request = bench.request();
    assert_eq!(Message::parse(&request).unwrap().even_port(), Some(false));
    bench.refuse(&request, 420, unknown(AttributeType::EVEN_PORT));
    assert!(words(&bench.event()).contains("EVEN-PORT"));
    // Without DONT-FRAGMENT it goes on.
    let mut bench = Bench::with(|config| config.with_dont_fragment(true));
    let request = bench.request();
    assert!(Message::parse(&request).unwrap().dont_fragment());
    let with = bench.client.room(peer()).head;
    bench.refuse(&request, 420, unknown(AttributeType::DONT_FRAGMENT));
    let request = bench.grant(|_| ());
    assert!(!Message::parse(&request).unwrap().dont_fragment());
    assert_eq!(bench.client.room(peer()).head + 4, with);
}

#[test]
fn the_options_of_an_allocation() {
    let mut bench = Bench::with(|config| config.with_even_port(true).with_dont_fragment(true));
    let request = bench.grant(|builder| {
        builder.reservation_token(b"reserved");
    });
    assert_eq!(Message::parse(&request).unwrap().even_port(), Some(true));
    let token = bench.client.reservation().unwrap();
    assert_eq!(&token, b"reserved");
    bench.event();
    // Each Send indication asks for it, too.
    bench.train.begin(bench.client.room(peer()), 5);
    bench.train.push(b"hello");
    bench
        .client
        .wrap(bench.now, &mut bench.train, peer())
        .unwrap();
    let sent = Message::parse(bench.train.segment(0)).unwrap();
    assert!(sent.dont_fragment() && sent.data() == Some(b"hello"));
    assert_eq!(sent.xor_peer_address(), Some(peer()));
    let mut second = Bench::with(|config| config.with_reservation(token));
    let request = second.request();
    let request = Message::parse(&request).unwrap();
    assert_eq!(request.reservation_token(), Some(token));
    // RFC 8656 §7.1 has them exclude each other.
    let base = || TurnConfig::new(SocketId(0), server(), "user", "secret");
    for wrong in [
        base().with_even_port(true).with_reservation(token),
        base().with_families(Families::V6).with_reservation(token),
        base().with_families(Families::Both).with_even_port(false),
    ] {
        let refused = TurnClient::new(wrong, Origin::seeded(3)).err();
        assert!(matches!(refused, Some(TurnError::Options(_))));
    }
}

#[test]
fn icmp_says_unreachable_or_too_big() {
    let mut bench = Bench::allocated();
    bench.client.permit(bench.now, peer().ip());
    for (kind, code, data, expected) in [
        (3, 1, 0, Incoming::Unreachable(peer())),
        (3, 4, 1_300, Incoming::TooBig(peer(), 1_300)),
    ] {
        let mut buffer = [0; 128];
        let id = TransactionId([5; 12]);
        let mut builder = MessageBuilder::indication(&mut buffer, Method::DATA, id);
        let icmp = Icmp { kind, code, data };
        let len = builder
            .xor_peer_address(peer())
            .icmp(icmp)
            .finish()
            .unwrap();
        let incoming = bench.client.handle_message(bench.now, &mut buffer[..len]);
        assert_eq!(incoming, expected);
    }
}

#[test]
fn padding_that_a_server_takes_for_words_is_not_told() {
    let mut bench = Bench::new();
    let request = bench.request();
    let view = Message::parse(&request).unwrap();
    let mut buffer = [0; 512];
    let mut builder = MessageBuilder::error(&mut buffer, &view);
    builder.error_code_with(ErrorCode(486), "Allocation Quota Reached\0\0");
    let len = builder.integrity(&Bench::key()).finish().unwrap();
    bench.client.handle_message(bench.now, &mut buffer[..len]);
    let told = words(&bench.event());
    assert!(!told.contains("\\0") && !told.contains('"'), "{told}");
}
