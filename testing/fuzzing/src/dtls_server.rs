//! Our end of an association with a server: an honest one, records of it that are lost, repeated, replayed, cut or
//! changed on the way, and one that makes its bytes up.

use std::collections::{BTreeSet, VecDeque};
use std::io::{self, ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use esp_dtls::{Error, Judge, Received, ServerAssociation, ServerContext};
use esp_wire::Instant;
use openssl::pkey::PKey;
use openssl::ssl::{
    ErrorCode, Ssl, SslContext, SslMethod, SslOptions, SslStream, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;

use crate::Bytes;
use crate::dtls::certificate;

/// Datagrams that wait on one way at most.
const WAITING: usize = 64;
/// How long the handshake may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Records that carry what the application says.
const APPLICATION_DATA: u8 = 23;

/// One end of the way between the two.
#[derive(Default)]
struct Wire {
    incoming: VecDeque<Vec<u8>>,
    outgoing: VecDeque<Vec<u8>>,
    /// More than a handshake was written.
    spoken: bool,
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let datagram = self.incoming.pop_front().ok_or(ErrorKind::WouldBlock)?;
        let len = datagram.len().min(buffer.len());
        buffer[..len].copy_from_slice(&datagram[..len]);
        Ok(len)
    }
}

impl Write for Wire {
    fn write(&mut self, datagram: &[u8]) -> io::Result<usize> {
        self.spoken |= kinds(datagram).any(|kind| kind == APPLICATION_DATA);
        if self.outgoing.len() < WAITING {
            self.outgoing.push_back(datagram.to_vec());
        }
        Ok(datagram.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The honest server.
struct Server {
    session: SslStream<Wire>,
    complete: bool,
    /// It has ended the association, whatever for.
    ended: bool,
    /// Datagrams that it has sent so far.
    sent: u32,
}

/// The settings of the client.
fn settings() -> &'static ServerContext {
    static MADE: OnceLock<ServerContext> = OnceLock::new();
    MADE.get_or_init(|| ServerContext::new().expect("settings that OpenSSL takes"))
}

/// Settings of servers: by the certificate that they show, and by what is not as usual.
fn contexts() -> &'static [SslContext] {
    static MADE: OnceLock<Vec<SslContext>> = OnceLock::new();
    MADE.get_or_init(|| {
        let make = |kind: usize| {
            let mut context = SslContext::builder(SslMethod::dtls_server())?;
            let shown = certificate(kind & 1);
            let certificate = X509::from_der(shown.certificate_der())?;
            let key = PKey::private_key_from_der(shown.private_key_pkcs8())?;
            context.set_certificate(&certificate)?;
            context.set_private_key(&key)?;
            context.set_options(SslOptions::NO_QUERY_MTU);
            match kind / 2 {
                1 => context.set_verify_callback(SslVerifyMode::PEER, |_, _| true),
                2 => context.set_max_proto_version(Some(SslVersion::DTLS1))?,
                3 => context.set_cipher_list("ECDHE+CHACHA20")?,
                _ => {}
            }
            Ok::<_, openssl::error::ErrorStack>(context.build())
        };
        let made: Result<_, _> = (0..8).map(make).collect();
        made.expect("settings that OpenSSL takes")
    })
}

impl Server {
    fn new(kind: usize, mtu: u32) -> Self {
        let mut ssl = Ssl::new(&contexts()[kind]).expect("a server");
        ssl.set_mtu(mtu).expect("an MTU");
        Server {
            session: SslStream::new(ssl, Wire::default()).expect("a server"),
            complete: false,
            ended: false,
            sent: 0,
        }
    }

    /// Does what it can with what has come.
    fn go_on(&mut self) {
        if self.ended {
            return;
        }
        if !self.complete {
            match self.session.accept() {
                Ok(()) => self.complete = true,
                Err(error) => self.ended = !waits(&error),
            }
        }
        let mut buffer = [0; 2_048];
        while self.complete && !self.ended {
            if let Err(error) = self.session.ssl_read(&mut buffer) {
                self.ended = !waits(&error);
                return;
            }
        }
    }

    /// Sends a datagram that says which one it is.
    fn say(&mut self, len: usize) {
        if self.complete && !self.ended && self.session.ssl_write(&words(self.sent, len)).is_ok() {
            self.sent += 1;
        }
    }

    fn end(&mut self) {
        if self.complete && !self.ended {
            let _ = self.session.shutdown();
            self.ended = true;
        }
    }
}

fn waits(error: &openssl::ssl::Error) -> bool {
    matches!(error.code(), ErrorCode::WANT_READ | ErrorCode::WANT_WRITE)
}

/// A datagram: its number, and bytes that follow from it.
fn words(number: u32, len: usize) -> Vec<u8> {
    let mut words = number.to_be_bytes().to_vec();
    words.resize(4 + len, number as u8);
    words
}

struct World {
    client: ServerAssociation<Wire>,
    server: Server,
    now: Instant,
    until: Instant,
    /// The certificates were judged and believed.
    believed: Arc<AtomicBool>,
    open: bool,
    over: bool,
    heard: BTreeSet<u32>,
    /// The last datagrams that went to the client.
    history: VecDeque<Vec<u8>>,
}

/// Nothing panics; nothing opens before the server is believed, and nothing but the handshake is sent before; each
/// datagram comes as the server has sent it and once; what others send ends no association that is open.
pub(crate) fn steps(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let setup = bytes.u8();
    let believed = Arc::new(AtomicBool::new(false));
    let judge: Judge = {
        let believed = Arc::clone(&believed);
        Box::new(move |shown| {
            if shown[0] != certificate(0).certificate_der() {
                return Err("a stranger".into());
            }
            assert!(!believed.swap(true, Ordering::Relaxed), "judged once");
            Ok(())
        })
    };
    let name = (setup & 8 != 0).then_some("turn.example");
    let (now, wire) = (Instant::ZERO, Wire::default());
    let until = now + PATIENCE;
    let client = ServerAssociation::new(settings(), name, wire, judge, now, until);
    let mtu = [1_200, 256][usize::from(setup >> 4 & 1)];
    let mut world = World {
        client: client.expect("an association"),
        server: Server::new(usize::from(setup & 7), mtu),
        now,
        until,
        believed,
        open: false,
        over: false,
        heard: BTreeSet::new(),
        history: VecDeque::new(),
    };
    // Most of what can happen happens behind the handshake.
    if setup & 32 != 0 {
        world.exchange();
    }
    for _ in 0..80 {
        if bytes.is_empty() {
            return;
        }
        world.step(&mut bytes);
    }
}

impl World {
    fn step(&mut self, bytes: &mut Bytes<'_>) {
        let code = bytes.u8();
        match code & 15 {
            0 => self.exchange(),
            1 | 2 => (0..=code >> 4 & 3).for_each(|_| self.reach_client()),
            3 => (0..=code >> 4 & 3).for_each(|_| self.reach_server()),
            4..=9 => self.disturb(code, bytes),
            10 => {
                let noise = bytes.short().to_vec();
                self.hand(noise);
            }
            11 => {
                let record = record(bytes);
                self.hand(record);
            }
            12 => {
                let which = usize::from(bytes.u8());
                if let Some(old) = self.history.get(which % self.history.len().max(1)) {
                    let mut old = old.clone();
                    if code & 16 != 0 {
                        bytes.change(&mut old);
                    }
                    self.hand(old);
                }
            }
            13 => self.wait((u64::from(bytes.u8()) * 8) << (code >> 4 & 3)),
            14 => match code >> 4 & 7 {
                7 => self.server.end(),
                6 => self.close(),
                _ => self.server.say(usize::from(bytes.u8()) * 5),
            },
            _ => {
                let datagram = vec![7; usize::from(bytes.u16() % 1_200)];
                let sent = self.client.send(&datagram);
                assert!(!sent || self.open && !self.over);
            }
        }
        assert!(self.open || !self.client.wire().spoken);
    }

    /// Something happens to what is under way.
    fn disturb(&mut self, code: u8, bytes: &mut Bytes<'_>) {
        let way = match code & 128 {
            0 => &mut self.server.session.get_mut().outgoing,
            _ => &mut self.client.wire_mut().outgoing,
        };
        match code & 15 {
            4 => drop(way.pop_front()),
            5 => {
                let first = way.pop_front();
                way.extend(first);
            }
            6 => way.extend(way.front().cloned()),
            7 => {
                if let Some(datagram) = way.front_mut() {
                    bytes.change(datagram);
                }
            }
            8 => {
                if let Some(datagram) = way.front_mut() {
                    datagram.truncate(usize::from(bytes.u8()));
                }
            }
            _ => {
                // Two records in one datagram.
                if let (Some(mut first), Some(second)) = (way.pop_front(), way.pop_front()) {
                    first.extend(second);
                    way.push_front(first);
                }
            }
        }
    }

    /// All that waits arrives, and what is answered to it.
    fn exchange(&mut self) {
        self.advance();
        for _ in 0..200 {
            self.reach_server();
            self.reach_client();
            let waiting = self.server.session.get_ref().outgoing.len();
            if waiting + self.client.wire().outgoing.len() == 0 {
                return;
            }
        }
        // What wants to be heard at once waits behind what was changed; nothing goes on for ever.
        assert!(self.open || self.over, "a handshake of that many datagrams");
    }

    fn reach_server(&mut self) {
        if let Some(datagram) = self.client.wire_mut().outgoing.pop_front() {
            let incoming = &mut self.server.session.get_mut().incoming;
            incoming.push_back(datagram);
            self.server.go_on();
        }
    }

    fn reach_client(&mut self) {
        if let Some(datagram) = self.server.session.get_mut().outgoing.pop_front() {
            self.history.push_back(datagram.clone());
            if self.history.len() > WAITING {
                self.history.pop_front();
            }
            self.hand(datagram);
        }
    }

    fn hand(&mut self, datagram: Vec<u8>) {
        self.client.wire_mut().incoming.push_back(datagram);
        self.advance();
    }

    /// The client does what the driver has it do.
    fn advance(&mut self) {
        if self.over {
            assert!(self.client.advance().is_err());
            return;
        }
        let advanced = self.client.advance();
        assert!(self.open || !self.client.wire().spoken);
        match advanced {
            Ok(open) => self.open = open,
            Err(error) => {
                assert!(!self.open, "{error}");
                self.over = true;
                return;
            }
        }
        assert!(!self.open || self.believed.load(Ordering::Relaxed));
        if !self.open {
            return;
        }
        let mut buffer = [0; 2_048];
        loop {
            match self.client.receive(&mut buffer) {
                Ok(Received::Datagram(len)) => self.hear(&buffer[..len]),
                Ok(Received::Nothing) => return,
                ended => {
                    assert!(self.server.ended, "noise has ended it: {ended:?}");
                    self.over = true;
                    return;
                }
            }
        }
    }

    fn hear(&mut self, datagram: &[u8]) {
        let number = datagram
            .first_chunk()
            .map(|first| u32::from_be_bytes(*first));
        let number = number.expect("no datagram is that short");
        assert!(number < self.server.sent, "the server has not sent it");
        assert_eq!(datagram, words(number, datagram.len() - 4));
        assert!(self.heard.insert(number), "it came twice");
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        let late = self.now >= self.until;
        match self.client.handle_timeout(self.now) {
            Ok(due) => {
                assert!(self.open || self.over || !late, "it waits for ever");
                if due {
                    assert!(!self.open && !self.over);
                    self.advance();
                }
            }
            Err(error) => {
                assert!(late && !self.open && !self.over);
                assert_eq!(error, Error::Timeout);
                self.over = true;
            }
        }
        if let Some(at) = self.client.poll_timeout() {
            assert!(at > self.now && at <= self.until && !self.open);
        }
    }

    fn close(&mut self) {
        self.client.close();
        self.over = true;
    }
}

/// A record with a head that makes sense.
fn record(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let (kind, epoch, number) = (20 + bytes.u8() % 6, bytes.u8() & 3, bytes.u8());
    let body = bytes.short();
    let mut record = vec![kind, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, number];
    record.extend((body.len() as u16).to_be_bytes());
    record.extend(body);
    record
}

/// The types of the records in a datagram.
fn kinds(datagram: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        let head = rest.get(..13)?;
        let len = usize::from(u16::from_be_bytes([head[11], head[12]]));
        rest = rest.get(13 + len..).unwrap_or_default();
        Some(head[0])
    })
}
