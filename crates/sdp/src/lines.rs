//! Writing descriptions: each function adds the lines of one concern.

use std::net::IpAddr;

use esp_wire::{Direction, Kind};
use sdp_types::{Attribute, Connection, Media, Origin, Session, Time};

use crate::attributes::direction_name;
use crate::{DataLocal, Extension, Local, MediaLocal, NegotiatedCodec, SectionKind, Setup};

pub(crate) fn session(local: &Local, version: u64, bundle: &[String]) -> Session {
    let origin = Origin {
        username: None,
        sess_id: local.session_id.to_string(),
        sess_version: version,
        nettype: sdp_types::NetType::In,
        addrtype: sdp_types::AddrType::Ip4,
        unicast_address: "127.0.0.1".to_owned(),
    };
    let mut session = Session::new(origin, "-");
    session.times.push(Time::new(0, 0));
    if !bundle.is_empty() {
        push(
            &mut session.attributes,
            "group",
            format!("BUNDLE {}", bundle.join(" ")),
        );
    }
    if local.ice.lite {
        session.attributes.push(Attribute::new("ice-lite"));
    }
    if let Some(pacing) = local.ice.pacing {
        push(&mut session.attributes, "ice-pacing", pacing);
    }
    if local.extmap_allow_mixed {
        session
            .attributes
            .push(Attribute::new("extmap-allow-mixed"));
    }
    session
}

fn push(attributes: &mut Vec<Attribute>, name: &str, value: impl ToString) {
    attributes.push(Attribute::with_value(name, value));
}

/// The m-line alone: `c=` is a dummy until [`address`] knows better.
pub(crate) fn section(kind: &SectionKind, protocol: &str, formats: &str, port: u16) -> Media {
    Media {
        media: kind.name().to_owned(),
        port,
        num_ports: None,
        proto: protocol.to_owned(),
        fmt: formats.to_owned(),
        media_title: None,
        connections: vec![Connection {
            nettype: sdp_types::NetType::In,
            addrtype: sdp_types::AddrType::Ip4,
            connection_address: "0.0.0.0".to_owned(),
        }],
        bandwidths: Vec::new(),
        key: None,
        attributes: Vec::new(),
    }
}

/// An m-section that is refused or stopped.
pub(crate) fn rejected(kind: &SectionKind, protocol: &str, format: &str, mid: &str) -> Media {
    let mut media = section(kind, protocol, format, 0);
    if !mid.is_empty() {
        push(&mut media.attributes, "mid", mid);
    }
    media.attributes.push(Attribute::new("inactive"));
    media
}

/// The default candidate in the m-line and `c=` (RFC 8839 §4.2.1.2), when there is one.
pub(crate) fn address(media: &mut Media, local: &Local) {
    if let Some((address, port)) = default_candidate(&local.candidates) {
        media.port = port;
        media.connections = vec![Connection::from_ip_addr(address)];
    }
}

fn default_candidate(candidates: &[String]) -> Option<(IpAddr, u16)> {
    candidates
        .iter()
        .filter_map(|candidate| {
            let words: Vec<&str> = candidate.split_ascii_whitespace().take(8).collect();
            let [_, "1", transport, _, address, port, "typ", kind] = words[..] else {
                return None;
            };
            let address: IpAddr = address.parse().ok()?;
            let port = port.parse().ok().filter(|port| *port != 0)?;
            let rank = match kind {
                "relay" => 0,
                "srflx" => 2,
                "host" => 4,
                _ => return None,
            };
            transport
                .eq_ignore_ascii_case("udp")
                .then_some((rank + u8::from(address.is_ipv6()), (address, port)))
        })
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, found)| found)
}

/// ICE and DTLS; candidates only on the m-section that tags the bundle.
pub(crate) fn transport(media: &mut Media, local: &Local, setup: Setup, mid: &str, tagged: bool) {
    let lines = &mut media.attributes;
    if tagged {
        for candidate in &local.candidates {
            let value = candidate.strip_prefix("a=").unwrap_or(candidate);
            push(
                lines,
                "candidate",
                value.strip_prefix("candidate:").unwrap_or(value),
            );
        }
        if local.end_of_candidates {
            lines.push(Attribute::new("end-of-candidates"));
        }
    }
    push(lines, "ice-ufrag", &local.ice.ufrag);
    push(lines, "ice-pwd", &local.ice.pwd);
    if !local.ice.options.is_empty() {
        push(lines, "ice-options", local.ice.options.join(" "));
    }
    for print in &local.fingerprints {
        push(lines, "fingerprint", print);
    }
    push(lines, "setup", setup.name());
    if !mid.is_empty() {
        push(lines, "mid", mid);
    }
}

/// What the lines of an RTP m-section are made of.
pub(crate) struct RtpLines<'a> {
    pub(crate) kind: Kind,
    pub(crate) local: &'a MediaLocal,
    pub(crate) direction: Direction,
    pub(crate) codecs: &'a [NegotiatedCodec],
    pub(crate) extensions: &'a [(u8, Extension)],
    pub(crate) rtcp_rsize: bool,
    /// RFC 8858 §4: in offers only.
    pub(crate) mux_only: bool,
}

/// The formats of the m-line, retransmissions behind what they repair.
pub(crate) fn formats(codecs: &[NegotiatedCodec]) -> String {
    codecs
        .iter()
        .flat_map(|codec| [Some(codec.payload_type), codec.rtx_payload_type])
        .flatten()
        .map(|payload_type| payload_type.to_string())
        .collect::<Vec<_>>()
        .join(" ")
}

pub(crate) fn rtp(media: &mut Media, rtp: &RtpLines<'_>) {
    if let Some(bits) = rtp.local.bandwidth {
        media.bandwidths.push(sdp_types::Bandwidth {
            bwtype: "TIAS".to_owned(),
            bandwidth: bits,
        });
    }
    let lines = &mut media.attributes;
    for (id, extension) in rtp.extensions {
        push(lines, "extmap", format!("{id} {}", extension.uri()));
    }
    lines.push(Attribute::new(direction_name(rtp.direction)));
    if rtp.direction.sends()
        && let Some(msid) = &rtp.local.msid
    {
        let stream = match msid.stream.as_str() {
            "" => "-",
            stream => stream,
        };
        push(lines, "msid", format!("{stream} {}", msid.track).trim_end());
    }
    lines.push(Attribute::new("rtcp-mux"));
    if rtp.mux_only {
        lines.push(Attribute::new("rtcp-mux-only"));
    }
    if rtp.rtcp_rsize {
        lines.push(Attribute::new("rtcp-rsize"));
    }
    for codec in rtp.codecs {
        codec_lines(lines, rtp.kind, codec);
    }
    if rtp.direction.sends() {
        sources(lines, rtp);
    }
}

fn codec_lines(lines: &mut Vec<Attribute>, kind: Kind, codec: &NegotiatedCodec) {
    let (number, clock) = (codec.payload_type, codec.codec.clock_rate());
    let name = codec.codec.name();
    let map = match codec.channels {
        channels if channels > 1 && kind == Kind::Audio => {
            format!("{number} {name}/{clock}/{channels}")
        }
        _ => format!("{number} {name}/{clock}"),
    };
    push(lines, "rtpmap", map);
    for feedback in &codec.feedback {
        push(lines, "rtcp-fb", format!("{number} {}", feedback.name()));
    }
    let params = codec.params.to_string();
    if !params.is_empty() {
        push(lines, "fmtp", format!("{number} {params}"));
    }
    if let Some(rtx) = codec.rtx_payload_type {
        push(lines, "rtpmap", format!("{rtx} rtx/{clock}"));
        push(lines, "fmtp", format!("{rtx} apt={number}"));
    }
}

fn sources(lines: &mut Vec<Attribute>, rtp: &RtpLines<'_>) {
    let local = rtp.local;
    let rtx = local.rtx_ssrc.filter(|_| {
        rtp.codecs
            .iter()
            .any(|codec| codec.rtx_payload_type.is_some())
    });
    if let Some(rtx) = rtx {
        push(lines, "ssrc-group", format!("FID {} {rtx}", local.ssrc));
    }
    for ssrc in [Some(local.ssrc), rtx].into_iter().flatten() {
        push(lines, "ssrc", format!("{ssrc} cname:{}", local.cname));
    }
}

pub(crate) fn data(media: &mut Media, local: &DataLocal, legacy: bool, sctp_init: bool) {
    let lines = &mut media.attributes;
    if legacy {
        push(
            lines,
            "sctpmap",
            format!("{} webrtc-datachannel 65535", local.sctp_port),
        );
    } else {
        push(lines, "sctp-port", local.sctp_port);
    }
    // RFC 8841 §6.1: 0 stands for any size.
    let size = Some(local.max_message_size).filter(|size| *size != u64::MAX);
    push(lines, "max-message-size", size.unwrap_or(0));
    if let Some(init) = local.sctp_init.as_ref().filter(|_| sctp_init) {
        push(lines, "sctp-init", init);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_candidate_is_the_most_likely_to_work() {
        let of = |list: &[&str]| {
            default_candidate(&list.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>())
        };
        let host = "candidate:1 1 udp 2 192.0.2.1 5000 typ host";
        let six = "candidate:2 1 udp 9 2001:db8::1 5001 typ host";
        let mirrored = "candidate:3 1 UDP 1 198.51.100.1 6000 typ srflx raddr 0.0.0.0 rport 0";
        let name = "candidate:4 1 udp 1 1f4712db.local 7000 typ host";
        let tcp = "candidate:5 1 tcp 1 192.0.2.1 9 typ host tcptype active";
        assert_eq!(of(&[name, tcp, "", "candidate:"]), None);
        assert_eq!(of(&[six, host]).unwrap().1, 5000);
        assert_eq!(of(&[six, host, mirrored]).unwrap().1, 6000);
    }
}
