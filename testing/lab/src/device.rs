//! A device of the lab as its tests see it.

use std::collections::BTreeSet;
use std::time::Duration;

use esp_webrtc::wire::IceServer;
use serde_json::{Value, json};

use crate::call::End;
use crate::{Host, Outcome, Process};

/// How long it may take to report.
const ANSWER: Duration = Duration::from_secs(180);

/// What a device is told at its birth.
#[derive(Clone, Debug, Default)]
pub struct DeviceConfig {
    servers: Vec<IceServer>,
    relay: bool,
    sound: bool,
    echoed: bool,
    roots: Option<String>,
    lifetime: Option<Duration>,
    renewal: Option<Duration>,
    warning: Option<Duration>,
    settled: bool,
    tcp_relays: bool,
}

impl DeviceConfig {
    /// With these STUN and TURN servers, each with its first URL.
    #[must_use]
    pub fn with_servers(mut self, servers: &[IceServer]) -> Self {
        self.servers = servers.to_vec();
        self
    }

    /// With candidates of relays alone.
    #[must_use]
    pub fn relay_only(mut self) -> Self {
        self.relay = true;
        self
    }

    /// With sound both ways.
    #[must_use]
    pub fn with_sound(mut self) -> Self {
        self.sound = true;
        self
    }

    /// With a peer that opens the channel, and sends back what it receives.
    #[must_use]
    pub fn echoed(mut self) -> Self {
        self.echoed = true;
        self
    }

    /// With these certificates as the roots of servers' (PEM).
    #[must_use]
    pub fn with_roots(mut self, pem: &str) -> Self {
        self.roots = Some(pem.to_owned());
        self
    }

    /// Asks servers for allocations of this lifetime, in whole seconds.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }

    /// Renews permissions and channels after this time, in whole seconds.
    #[must_use]
    pub fn with_renewal(mut self, renewal: Duration) -> Self {
        self.renewal = Some(renewal);
        self
    }

    /// Takes the path for lost after so long a silence, in whole seconds.
    #[must_use]
    pub fn with_warning(mut self, warning: Duration) -> Self {
        self.warning = Some(warning);
        self
    }

    /// Takes no other path without an ICE restart.
    #[must_use]
    pub fn without_roaming(mut self) -> Self {
        self.settled = true;
        self
    }

    /// Asks servers for relays of TCP, too.
    #[must_use]
    pub fn with_tcp_relays(mut self) -> Self {
        self.tcp_relays = true;
        self
    }

    fn settings(&self, role: &str) -> Value {
        let (own, other) = match role {
            "controlling" => (1, 2),
            _ => (2, 1),
        };
        json!({
            "role": role,
            "relay": self.relay,
            "sound": self.sound,
            "roots": self.roots,
            "lifetime": self.lifetime.map(|lifetime| lifetime.as_secs()),
            "renewal": self.renewal.map(|renewal| renewal.as_secs()),
            "warning": self.warning.map(|warning| warning.as_secs()),
            "settled": self.settled,
            "tcp_relays": self.tcp_relays,
            "servers": servers(&self.servers),
            "waits": self.echoed,
            "send": own,
            "expect": if self.echoed { own } else { other },
        })
    }
}

fn servers(servers: &[IceServer]) -> Value {
    let all = servers.iter().map(|server| {
        json!({
            "url": server.urls.first(),
            "username": server.username,
            "credential": server.credential,
        })
    });
    all.collect()
}

/// What data channels know of explicit congestion notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Data leaves as ECN-capable.
    pub are_sent: bool,
    /// Packets that came with the mark of a long queue.
    pub received: u64,
    /// Reductions of the congestion window, for whatever reason.
    pub reductions: u64,
}

/// A pair of candidates that data takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// Our end: `host`, `srflx`, `prflx` or `relay`.
    pub local_kind: String,
    /// Our end as the peer sees it.
    pub local: String,
    /// The peer's end: `host`, `srflx`, `prflx` or `relay`.
    pub remote_kind: String,
    /// The peer's end.
    pub remote: String,
}

impl Path {
    /// Whether it goes over a relay at either end.
    pub fn is_relayed(&self) -> bool {
        self.local_kind == "relay" || self.remote_kind == "relay"
    }

    /// Whether both ends were found by asking (or by the peer's checks), none is a relay, and each has the
    /// public address of its site.
    pub fn is_punched(&self, ours: &str, theirs: &str) -> bool {
        let reflexive = |kind: &str| ["srflx", "prflx"].contains(&kind);
        let at = |address: &str, site: &str| address.starts_with(&format!("{site}:"));
        reflexive(&self.local_kind)
            && reflexive(&self.remote_kind)
            && at(&self.local, ours)
            && at(&self.remote, theirs)
    }
}

/// A peer in a process of its own.
#[derive(Debug)]
pub struct Device {
    process: Process,
    role: &'static str,
    report: Value,
    notices: Vec<(u64, String)>,
}

impl Device {
    /// The side that offers.
    ///
    /// # Errors
    /// When it does not start.
    pub fn offering(host: &Host, program: &str, config: &DeviceConfig) -> Outcome<Self> {
        Device::start(host, program, config, "controlling")
    }

    /// The side that answers.
    ///
    /// # Errors
    /// When it does not start.
    pub fn answering(host: &Host, program: &str, config: &DeviceConfig) -> Outcome<Self> {
        Device::start(host, program, config, "controlled")
    }

    fn start(
        host: &Host,
        program: &str,
        config: &DeviceConfig,
        role: &'static str,
    ) -> Outcome<Self> {
        let mut process = Process::start(host.namespace(), program, &[])?;
        process.tell(&config.settings(role).to_string())?;
        Ok(Device {
            process,
            role,
            report: Value::Null,
            notices: Vec::new(),
        })
    }

    /// Replaces its servers.
    ///
    /// # Errors
    /// When it has ended.
    pub fn update_servers(&mut self, list: &[IceServer]) -> Outcome<()> {
        let order = json!({"do": "servers", "role": self.role, "servers": servers(list)});
        self.process.tell(&order.to_string())
    }

    /// Messages that have arrived, each byte as it was sent.
    pub fn messages(&self) -> u64 {
        self.report["messages"].as_u64().unwrap_or(0)
    }

    /// Packets of sound that have arrived, each byte as it was sent.
    pub fn sound(&self) -> u64 {
        self.report["sound"].as_u64().unwrap_or(0)
    }

    /// The path in use.
    pub fn path(&self) -> Option<Path> {
        let path = &self.report["path"];
        let text = |name: &str| path[name].as_str().unwrap_or_default().to_owned();
        path.is_object().then(|| Path {
            local_kind: text("local_kind"),
            local: text("local"),
            remote_kind: text("remote_kind"),
            remote: text("remote"),
        })
    }

    /// What its data channels know of ECN.
    pub fn marks(&self) -> Option<Marks> {
        let marks = &self.report["marks"];
        Some(Marks {
            are_sent: marks["sent"].as_bool()?,
            received: marks["received"].as_u64()?,
            reductions: marks["reductions"].as_u64()?,
        })
    }

    /// What it has said of its connection, oldest first, with the Unix time in milliseconds.
    pub fn notices(&self) -> &[(u64, String)] {
        &self.notices
    }

    /// How often it has changed its ICE credentials.
    pub fn restarts(&self) -> usize {
        let own = self.notices.iter().map(|(_, text)| text.as_str());
        let own = own.filter(|text| text.starts_with("LocalCandidate"));
        let fragments: BTreeSet<_> = own
            .filter_map(|text| text.split(" ufrag ").nth(1))
            .collect();
        fragments.len().saturating_sub(1)
    }

    fn hear(&mut self, line: &str, signals: &mut Vec<Value>) -> Outcome<()> {
        let event: Value =
            serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?;
        match event["event"].as_str() {
            Some("signal") => signals.push(event),
            Some("notice") => {
                let text = event["text"].as_str().unwrap_or_default();
                let at = event["at"].as_u64().unwrap_or(0);
                self.notices.push((at, text.to_owned()));
            }
            Some("report") => self.report = event,
            _ => {}
        }
        match self.report["wrong"].as_u64() {
            None | Some(0) => Ok(()),
            Some(wrong) => Err(format!("{wrong} messages arrived changed")),
        }
    }
}

impl End for Device {
    fn begin(&mut self) -> Outcome<()> {
        self.process.tell(r#"{"do": "start"}"#)
    }

    fn poll(&mut self) -> Outcome<Vec<Value>> {
        let mut signals = Vec::new();
        self.process.tell(r#"{"do": "report"}"#)?;
        loop {
            let line = self.process.line(ANSWER)?;
            let reported = line.contains(r#""event":"report""#);
            self.hear(&line, &mut signals)?;
            if reported {
                return Ok(signals);
            }
        }
    }

    fn deliver(&mut self, signal: &Value) -> Outcome<()> {
        let mut order = signal.clone();
        order["do"] = "signal".into();
        self.process.tell(&order.to_string())
    }

    fn state(&self) -> String {
        let notices = self.notices.iter();
        let notices: String = notices
            .map(|(at, text)| format!("\n  | {at} {text}"))
            .collect();
        let said = self.process.complaints();
        format!("{} {}{notices}{said}", self.role, self.report)
    }
}
