//! What each server answers, and when: STUN over UDP by sockets of the probe's own, all others by a
//! peer for each that gathers from it alone.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use esp_webrtc::driver::behaviour::Findings;
use esp_webrtc::driver::{Connection, ServerTrust, survey};
use esp_webrtc::peer::{Handler, Notice};
use esp_webrtc::wire::{IceServer, Scheme, ServerUrl, Signal, Transport};
use esp_webrtc::{Driver, DriverConfig, PeerConfig, PeerConnection};

use super::nat::Nats;
use crate::failure::Failure;

/// A server and what came of it.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) url: String,
    /// What it is and how it is spoken to.
    pub(super) kind: ServerUrl,
    pub(super) outcome: Outcome,
    /// From the question to the answer; for all but STUN over UDP, the name's resolution included.
    pub(super) after: Option<Duration>,
}

/// What a server did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It told the address that it sees us at; over a stream that means nothing, and is not kept.
    Answered { mapped: Option<SocketAddr> },
    /// It gave a relay.
    Relay { relayed: SocketAddr },
    /// It did neither, in words.
    Failed(String),
}

impl Server {
    pub(super) fn relays(&self) -> bool {
        matches!(self.outcome, Outcome::Relay { .. })
    }

    pub(super) fn answers(&self) -> bool {
        !matches!(self.outcome, Outcome::Failed(_))
    }

    pub(super) fn is_turn(&self) -> bool {
        matches!(self.kind.scheme, Scheme::Turn | Scheme::Turns)
    }

    /// Whether it was reached, for good or ill.
    pub(super) fn is_there(&self) -> bool {
        match &self.outcome {
            Outcome::Failed(why) => why.contains("refused") || why.contains("certificate"),
            _ => true,
        }
    }

    /// Whether the way to it is UDP.
    pub(super) fn is_udp(&self) -> bool {
        self.kind.transport == Transport::Udp
    }
}

const SILENT: &str = "did not answer";

/// Asks all servers side by side, until `until` at the latest.
pub(super) fn ask(
    servers: Vec<IceServer>,
    trust: &ServerTrust,
    until: Instant,
) -> Result<(Vec<Server>, Nats), Failure> {
    let mut asked = Vec::new();
    for login in &servers {
        for url in &login.urls {
            asked.push(Server {
                url: url.clone(),
                kind: url.parse().map_err(Failure::of)?,
                outcome: Outcome::Failed(SILENT.into()),
                after: None,
            });
        }
    }
    let peers = Peers::open(&servers, &asked, trust)?;
    let nats = ask_by_survey(&mut asked, until);
    peers.wait(&mut asked, until);
    Ok((asked, nats))
}

fn is_surveyed(server: &Server) -> bool {
    server.kind.scheme == Scheme::Stun && server.is_udp()
}

/// STUN over UDP: names first, then both families at once.
fn ask_by_survey(asked: &mut [Server], until: Instant) -> Nats {
    let mut places: Vec<(usize, SocketAddr)> = Vec::new();
    let mut resolving = Vec::new();
    for (place, server) in asked.iter().enumerate().filter(|(_, one)| is_surveyed(one)) {
        resolving.push((place, resolve(&server.kind)));
    }
    for (place, answer) in resolving {
        let wait = until.saturating_duration_since(Instant::now());
        let failed = match answer.recv_timeout(wait) {
            Ok(Ok(found)) => {
                places.extend(found.into_iter().map(|address| (place, address)));
                continue;
            }
            Ok(Err(reason)) => format!("has a name that does not resolve: {reason}"),
            Err(_) => "has a name that does not resolve in time".into(),
        };
        asked[place].outcome = Outcome::Failed(failed);
    }
    let limit = until.saturating_duration_since(Instant::now());
    let of = |ipv4: bool| -> Vec<(usize, SocketAddr)> {
        let family = places.iter().filter(|(_, at)| at.is_ipv4() == ipv4);
        family.copied().collect()
    };
    let families = [of(true), of(false)];
    let running = families.clone().map(|family| {
        let servers: Vec<SocketAddr> = family.iter().map(|(_, at)| *at).collect();
        thread::spawn(move || (!servers.is_empty()).then(|| survey(&servers, limit)))
    });
    let [ipv4, ipv6] = running.map(|running| running.join().ok().flatten());
    let mut take = |found: Option<std::io::Result<Findings>>, family: &[(usize, SocketAddr)]| {
        let findings = found?.ok()?;
        for ((place, _), answer) in family.iter().zip(&findings.answers) {
            let server = &mut asked[*place];
            match (answer.mapped, &answer.refused) {
                (Some(mapped), _) if !server.answers() => {
                    server.outcome = Outcome::Answered {
                        mapped: Some(mapped),
                    };
                    server.after = answer.after;
                }
                (None, Some((code, words))) if !server.answers() => {
                    server.outcome = Outcome::Failed(format!("refused: {} {words}", code.0));
                    server.after = answer.after;
                }
                _ => {}
            }
        }
        Some(findings)
    };
    Nats {
        ipv4: take(ipv4, &families[0]),
        ipv6: take(ipv6, &families[1]),
    }
}

/// Resolves a name on a thread of its own: the first address of each family.
fn resolve(server: &ServerUrl) -> Receiver<Result<Vec<SocketAddr>, String>> {
    let (answer, answered) = channel();
    let (host, port) = (server.host.clone(), server.port);
    thread::spawn(move || {
        let found = (host.as_str(), port).to_socket_addrs().map(|all| {
            let all: Vec<SocketAddr> = all.collect();
            let first = |ipv4| all.iter().find(|at| at.is_ipv4() == ipv4).copied();
            [first(true), first(false)].into_iter().flatten().collect()
        });
        // Nobody may wait any more.
        let _ = answer.send(found.map_err(|error| error.to_string()));
    });
    answered
}

/// The peers that ask the other servers.
struct Peers {
    hearing: Receiver<(usize, Instant, Heard)>,
    connections: Vec<Connection>,
    began: Instant,
    /// Ends with the connections.
    _driver: Option<Driver>,
}

enum Heard {
    Candidate(String),
    Failed(String),
    Finished,
}

struct Listener {
    place: usize,
    heard: Sender<(usize, Instant, Heard)>,
}

impl Handler for Listener {
    fn on_msg(&mut self, msg: Signal<'_>) {
        if let Signal::Candidate { candidate, .. } = msg
            && candidate.is_empty()
        {
            self.pass(Heard::Finished);
        }
    }

    fn on_notice(&mut self, notice: &Notice<'_>) {
        let heard = match notice {
            Notice::LocalCandidate(line) => Heard::Candidate(line.to_string()),
            Notice::ServerFailed { reason, .. } => Heard::Failed(reason.to_string()),
            _ => return,
        };
        self.pass(heard);
    }
}

impl Listener {
    fn pass(&self, heard: Heard) {
        // Nobody may listen any more.
        let _ = self.heard.send((self.place, Instant::now(), heard));
    }
}

impl Peers {
    fn open(servers: &[IceServer], asked: &[Server], trust: &ServerTrust) -> Result<Self, Failure> {
        let (heard, hearing) = channel();
        let mut peers = Peers {
            hearing,
            connections: Vec::new(),
            began: Instant::now(),
            _driver: None,
        };
        let others = asked
            .iter()
            .enumerate()
            .filter(|(_, one)| !is_surveyed(one));
        let others: Vec<_> = others.collect();
        if others.is_empty() {
            return Ok(peers);
        }
        let config = DriverConfig::default().with_server_trust(trust.clone());
        let driver = Driver::start(config).map_err(Failure::of)?;
        for (place, server) in others {
            let login = servers
                .iter()
                .find(|login| login.urls.contains(&server.url));
            let login = login.map(|login| IceServer {
                urls: vec![server.url.clone()],
                ..login.clone()
            });
            // A server on this host is reached by its loopback addresses alone.
            let config = PeerConfig::default()
                .with_data_channels(true)
                .with_loopback()
                .with_servers(login.into_iter().collect());
            let heard = heard.clone();
            let listener = Box::new(Listener { place, heard });
            let connection = driver.open(config, listener).map_err(Failure::of)?;
            connection.new_connection().map_err(Failure::of)?;
            peers.connections.push(connection);
        }
        peers._driver = Some(driver);
        Ok(peers)
    }

    /// Hears what comes of them.
    fn wait(self, asked: &mut [Server], until: Instant) {
        let mut open = self.connections.len();
        while open > 0 {
            let wait = until.saturating_duration_since(Instant::now());
            let Ok((place, at, heard)) = self.hearing.recv_timeout(wait) else {
                break;
            };
            let server = &mut asked[place];
            let after = at.saturating_duration_since(self.began);
            match heard {
                Heard::Candidate(line) => {
                    if let Some(outcome) = outcome(&line)
                        && !server.relays()
                    {
                        server.outcome = outcome;
                        server.after = Some(after);
                    }
                }
                Heard::Failed(reason) if !server.relays() => {
                    server.outcome = Outcome::Failed(format!("failed: {reason}"));
                    server.after = None;
                }
                Heard::Failed(_) => {}
                Heard::Finished => {
                    open -= 1;
                    let silent = server.outcome == Outcome::Failed(SILENT.into());
                    if server.is_turn() && !server.relays() && server.answers() {
                        server.outcome = Outcome::Failed("answers, but gave no relay".into());
                    } else if silent && !server.is_turn() {
                        // What fails is told before the end: all that was asked over it was answered.
                        server.outcome = Outcome::Answered { mapped: None };
                        server.after = Some(after);
                    }
                }
            }
        }
        for connection in &self.connections {
            connection.close();
        }
    }
}

/// What a candidate line tells of the server that it comes from (RFC 8839 §5.1).
fn outcome(line: &str) -> Option<Outcome> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, _, _, _, address, port, "typ", kind, ..] = words[..] else {
        return None;
    };
    let ip: IpAddr = address.parse().ok()?;
    let at = SocketAddr::new(ip, port.parse().ok()?);
    match kind {
        "relay" => Some(Outcome::Relay { relayed: at }),
        "srflx" => Some(Outcome::Answered { mapped: Some(at) }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_candidates_tell_of_servers() {
        let relay = "candidate:2 1 udp 1 203.0.113.1 4001 typ relay raddr 0.0.0.0 rport 0";
        let relayed = "203.0.113.1:4001".parse().unwrap();
        assert_eq!(outcome(relay), Some(Outcome::Relay { relayed }));
        let host = "candidate:1 1 UDP 2130706431 192.168.1.2 4000 typ host";
        assert_eq!(outcome(host), None);
        assert_eq!(outcome("nonsense"), None);
    }

    #[test]
    fn names_that_cannot_be_are_told_and_a_server_on_this_host_is_asked() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let dead = format!("stun:{}", socket.local_addr().unwrap());
        let servers = ["stun:nowhere.invalid", dead.as_str()].map(IceServer::stun);
        let until = Instant::now() + Duration::from_secs(60);
        let (asked, nats) = ask(servers.to_vec(), &ServerTrust::default(), until).unwrap();
        let words = |at: usize| match &asked[at].outcome {
            Outcome::Failed(words) => words.as_str(),
            other => panic!("{other:?}"),
        };
        assert!(words(0).contains("does not resolve"), "{}", words(0));
        assert_eq!(words(1), SILENT);
        assert!(nats.seen().next().is_none());
    }
}
