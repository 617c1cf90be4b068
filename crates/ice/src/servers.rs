//! The STUN and TURN servers that an agent was given, and their names.

use std::net::{IpAddr, SocketAddr};

use esp_wire::{Action, IceServer, Instant, QueryId, Resolution, Scheme, ServerUrl, Transport};

use crate::agent::Agent;
use crate::event::Event;

/// Most server URLs that are used.
const MAX_SERVERS: usize = 16;

#[derive(Debug)]
pub(crate) struct Server {
    /// Its number, never used twice.
    pub(crate) id: u32,
    pub(crate) url: String,
    pub(crate) host: String,
    scheme: Scheme,
    pub(crate) transport: Transport,
    /// User name and password.
    pub(crate) login: IceServer,
    port: u16,
    pub(crate) query: Option<QueryId>,
    pub(crate) addresses: Vec<SocketAddr>,
    /// Whether any answer came, and whether its silence or refusal was told.
    pub(crate) answered: bool,
    pub(crate) told: bool,
}

impl Server {
    pub(crate) fn relays(&self) -> bool {
        matches!(self.scheme, Scheme::Turn | Scheme::Turns)
    }
}

impl Agent {
    /// Sets the servers to gather from, in place of those before; candidates learned stay.
    ///
    /// Servers that speak UDP are asked for our reflexive address (`stuns:` ones, and `stun:` ones over TCP,
    /// whether they answer: the address of a stream makes no candidate), `turn:` and `turns:` URLs for
    /// relayed ones. Other credentials of a known URL are tried on its allocations, which stay whatever
    /// comes of it; allocations of a URL that is gone are given back when data does not take them. A
    /// URL that cannot be used is told by [`Event::ServerFailed`]. A lite agent asks nobody.
    pub fn set_servers(&mut self, now: Instant, servers: &[IceServer]) {
        if self.closed || self.config.lite {
            return;
        }
        let mut kept = Vec::new();
        let urls = |server: &'_ IceServer| server.urls.len();
        let each = servers.iter().flat_map(|server| {
            let numbers = 0..urls(server);
            numbers.map(move |number| (server, &server.urls[number]))
        });
        for (login, url) in each {
            if kept.len() >= MAX_SERVERS || kept.iter().any(|other: &Server| other.url == *url) {
                continue;
            }
            let known = (self.gathering.servers.iter()).position(|server| server.url == *url);
            match known {
                Some(at) => {
                    let mut server = self.gathering.servers.swap_remove(at);
                    self.renew_login(now, &mut server, login);
                    kept.push(server);
                }
                None => match self.open_server(url, login) {
                    Ok(server) => kept.push(server),
                    Err(reason) => self.push_event(Event::ServerFailed {
                        url: url.clone(),
                        reason,
                    }),
                },
            }
        }
        let used = |address: &SocketAddr| {
            (kept.iter()).any(|server: &Server| server.addresses.contains(address))
        };
        self.gathering.retain_tasks(used);
        for relay in &mut self.relays.list {
            relay.retired |= !kept.iter().any(|server| server.id == relay.server);
        }
        self.gathering.servers = kept;
        self.drop_queries();
        self.plan_requests();
        self.plan_relays();
        self.run(now);
    }

    /// Takes what may be other credentials for a server that is known.
    fn renew_login(&mut self, now: Instant, server: &mut Server, login: &IceServer) {
        let (username, credential) = (&login.username, &login.credential);
        if (&server.login.username, &server.login.credential) == (username, credential) {
            return;
        }
        server.login.username.clone_from(username);
        server.login.credential.clone_from(credential);
        server.told = false;
        self.relays.ask_again(Some(server.id));
        let relays = self.relays.list.iter_mut();
        for relay in relays.filter(|relay| relay.server == server.id && !relay.retired) {
            if let Some(client) = &mut relay.client
                && let Err(error) = client.set_credentials(now, username, credential)
            {
                server.told = true;
                let (url, reason) = (server.url.clone(), error.to_string());
                self.events.push_back(Event::ServerFailed { url, reason });
            }
        }
    }

    fn open_server(&mut self, url: &str, login: &IceServer) -> Result<Server, String> {
        let parsed: ServerUrl = url.parse().map_err(|error| format!("{error}"))?;
        self.gathering.next_server += 1;
        let mut server = Server {
            id: self.gathering.next_server,
            url: url.to_owned(),
            host: parsed.host.clone(),
            scheme: parsed.scheme,
            transport: parsed.transport,
            login: IceServer {
                urls: Vec::new(),
                ..login.clone()
            },
            port: parsed.port,
            query: None,
            addresses: Vec::new(),
            answered: false,
            told: false,
        };
        match parsed.host.parse::<IpAddr>() {
            Ok(ip) => server.addresses.push(SocketAddr::new(ip, parsed.port)),
            Err(_) => {
                let query = self.next_query;
                self.next_query = QueryId(query.0.wrapping_add(1));
                server.query = Some(query);
                self.gathering.reopen();
                self.actions.push_back(Action::Resolve {
                    query,
                    name: parsed.host,
                    by: Resolution::Dns,
                });
            }
        }
        Ok(server)
    }

    /// Takes the answer to the name of a server.
    pub(crate) fn on_server_resolved(&mut self, query: QueryId, addresses: &[IpAddr]) {
        let servers = &mut self.gathering.servers;
        let Some(server) = (servers.iter_mut()).find(|server| server.query == Some(query)) else {
            return;
        };
        server.query = None;
        for ipv4 in [false, true] {
            let first = addresses.iter().find(|address| address.is_ipv4() == ipv4);
            let port = server.port;
            server
                .addresses
                .extend(first.map(|ip| SocketAddr::new(*ip, port)));
        }
        if server.addresses.is_empty() {
            server.told = true;
            let url = server.url.clone();
            self.push_event(Event::ServerFailed {
                url,
                reason: "its name has no address".to_owned(),
            });
        }
        self.plan_requests();
        self.plan_relays();
    }
}
