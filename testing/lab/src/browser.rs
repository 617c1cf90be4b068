//! A page in a browser as an end of a call: it sends back every message that it receives.

use esp_e2e::Page;
use esp_webrtc::wire::IceServer;
use serde_json::{Value, json};

use crate::Outcome;
use crate::call::End;

const BEGIN: &str = r"(settings => {
    const pc = window.pc = new RTCPeerConnection(settings.pc);
    window.signals = [];
    window.echoes = channel => {
        channel.binaryType = 'arraybuffer';
        channel.onmessage = message => channel.send(message.data);
    };
    pc.ondatachannel = event => echoes(event.channel);
    pc.onicecandidate = ({candidate}) => signals.push(candidate
        ? {candidate: candidate.candidate, mid: candidate.sdpMid, line: candidate.sdpMLineIndex}
        : {candidate: '', mid: null, line: null});
    window.offer = async () => {
        echoes(pc.createDataChannel('lab'));
        await pc.setLocalDescription();
        signals.push({sdp: pc.localDescription.sdp});
    };
    window.hear = async signal => {
        if (!signal.sdp) {
            return pc.addIceCandidate({
                candidate: signal.candidate, sdpMid: signal.mid ?? '0', sdpMLineIndex: signal.line ?? 0});
        }
        await pc.setRemoteDescription({type: settings.offers ? 'answer' : 'offer', sdp: signal.sdp});
        if (settings.offers)
            return;
        echoes(pc.createDataChannel('lab'));
        await pc.setLocalDescription();
        signals.push({sdp: pc.localDescription.sdp});
    };
    window.look = async () => {
        const stats = await pc.getStats();
        const all = [...stats.values()];
        const transport = all.find(one => one.type === 'transport');
        const pair = stats.get(transport?.selectedCandidatePairId)
            ?? all.find(one => one.type === 'candidate-pair' && one.selected);
        const end = id => {
            const {candidateType, relayProtocol, address, port} = stats.get(id) ?? {};
            return {candidateType, relayProtocol, address, port};
        };
        return JSON.stringify({
            state: pc.connectionState,
            ice: pc.iceConnectionState,
            local: end(pair?.localCandidateId),
            remote: end(pair?.remoteCandidateId),
            signals: signals.splice(0),
        });
    };
})";

/// A connection in a page.
#[derive(Debug)]
pub struct Tab<'a> {
    page: &'a Page<'a>,
    offers: bool,
    report: Value,
    told: Vec<String>,
}

impl<'a> Tab<'a> {
    /// A connection that offers or answers, over these servers, each with its first URL; over relays alone when
    /// `relay` says so.
    ///
    /// # Errors
    /// What the page throws.
    pub fn new(
        page: &'a Page<'a>,
        offers: bool,
        servers: &[IceServer],
        relay: bool,
    ) -> Outcome<Self> {
        let servers: Vec<Value> = servers
            .iter()
            .map(|server| {
                json!({
                    "urls": server.urls.first(),
                    "username": server.username,
                    "credential": server.credential,
                })
            })
            .collect();
        let policy = if relay { "relay" } else { "all" };
        let settings = json!({
            "offers": offers,
            "pc": {"iceServers": servers, "iceTransportPolicy": policy},
        });
        page.evaluate(&format!("{BEGIN}({settings})"))?;
        Ok(Tab {
            page,
            offers,
            report: Value::Null,
            told: Vec::new(),
        })
    }

    /// The kinds of its own and of the other end's candidate in use, as the browser names them.
    pub fn path(&self) -> Option<(&str, &str)> {
        let kind = |end: &str| self.report[end]["candidateType"].as_str();
        Some((kind("local")?, kind("remote")?))
    }

    /// What it has told the other end: descriptions and candidates.
    pub fn told(&self) -> &[String] {
        &self.told
    }
}

impl End for Tab<'_> {
    fn begin(&mut self) -> Outcome<()> {
        match self.offers {
            true => self.page.evaluate("offer()").map(drop),
            false => Ok(()),
        }
    }

    fn poll(&mut self) -> Outcome<Vec<Value>> {
        let report = self.page.evaluate("look()")?;
        let report = report.as_str().ok_or("the page says nothing")?;
        self.report = serde_json::from_str(report).map_err(|error| error.to_string())?;
        let signals = self.report["signals"].as_array();
        let signals = signals.cloned().unwrap_or_default();
        self.told.extend(signals.iter().map(Value::to_string));
        Ok(signals)
    }

    fn deliver(&mut self, signal: &Value) -> Outcome<()> {
        self.page.evaluate(&format!("hear({signal})")).map(drop)
    }

    fn state(&self) -> String {
        format!("{}\n  | {}", self.report, self.told.join("\n  | "))
    }
}
