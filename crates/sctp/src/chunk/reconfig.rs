//! RE-CONFIG and its parameters (RFC 6525 §3, §4).

use esp_wire::Reader;

use super::{Parameters, Unknown, encode, kind, put_parameter};
use crate::Malformed;

mod parameter {
    pub(super) const OUTGOING_RESET: u16 = 13;
    pub(super) const INCOMING_RESET: u16 = 14;
    pub(super) const TSN_RESET: u16 = 15;
    pub(super) const RESPONSE: u16 = 16;
    pub(super) const ADD_OUTGOING: u16 = 17;
    pub(super) const ADD_INCOMING: u16 = 18;
}

/// Results of a request (RFC 6525 §4.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    NothingToDo,
    Performed,
    Denied,
    WrongStream,
    AlreadyInProgress,
    BadSequence,
    InProgress,
    Unknown(u32),
}

impl Outcome {
    pub(crate) fn code(self) -> u32 {
        match self {
            Outcome::NothingToDo => 0,
            Outcome::Performed => 1,
            Outcome::Denied => 2,
            Outcome::WrongStream => 3,
            Outcome::AlreadyInProgress => 4,
            Outcome::BadSequence => 5,
            Outcome::InProgress => 6,
            Outcome::Unknown(code) => code,
        }
    }

    pub(crate) fn from_code(code: u32) -> Self {
        match code {
            0 => Outcome::NothingToDo,
            1 => Outcome::Performed,
            2 => Outcome::Denied,
            3 => Outcome::WrongStream,
            4 => Outcome::AlreadyInProgress,
            5 => Outcome::BadSequence,
            6 => Outcome::InProgress,
            code => Outcome::Unknown(code),
        }
    }
}

/// One parameter of a RE-CONFIG chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// The sender resets its outgoing streams; none listed means all.
    OutgoingReset {
        sequence: u32,
        /// The request of ours that this answers, or the one before ours.
        response_to: u32,
        last_tsn: u32,
        streams: Vec<u16>,
    },
    /// The sender asks us to reset our outgoing streams.
    IncomingReset { sequence: u32, streams: Vec<u16> },
    /// The sender asks to reset all TSNs and streams.
    TsnReset { sequence: u32 },
    /// An answer.
    Response { sequence: u32, outcome: Outcome },
    /// The sender wants more outgoing streams.
    AddOutgoing { sequence: u32, count: u16 },
    /// The sender wants us to have more outgoing streams.
    AddIncoming { sequence: u32, count: u16 },
}

/// Reads the parameters of a chunk; unknown ones are skipped, or end it, as their upper bits say.
pub(crate) fn parse(value: &[u8]) -> Result<Vec<Request>, Malformed> {
    // RFC 6525 §3.1: one or two parameters a chunk.
    let mut requests = Vec::with_capacity(2);
    for parameter in Parameters::new(value).take(2) {
        let parameter = parameter?;
        let mut reader = Reader::new(parameter.value);
        let request = match parameter.kind {
            parameter::OUTGOING_RESET => Request::OutgoingReset {
                sequence: reader.u32()?,
                response_to: reader.u32()?,
                last_tsn: reader.u32()?,
                streams: streams(&mut reader)?,
            },
            parameter::INCOMING_RESET => Request::IncomingReset {
                sequence: reader.u32()?,
                streams: streams(&mut reader)?,
            },
            parameter::TSN_RESET => Request::TsnReset {
                sequence: reader.u32()?,
            },
            parameter::RESPONSE => Request::Response {
                sequence: reader.u32()?,
                outcome: Outcome::from_code(reader.u32()?),
            },
            parameter::ADD_OUTGOING => Request::AddOutgoing {
                sequence: reader.u32()?,
                count: reader.u16()?,
            },
            parameter::ADD_INCOMING => Request::AddIncoming {
                sequence: reader.u32()?,
                count: reader.u16()?,
            },
            // RFC 6525 §4: by its upper bits; what stands behind one that ends the reading belongs to it.
            kind if Unknown::parameter(kind).skip => continue,
            _ => break,
        };
        requests.push(request);
    }
    Ok(requests)
}

fn streams(reader: &mut Reader<'_>) -> Result<Vec<u16>, Malformed> {
    let mut streams = Vec::with_capacity(reader.remaining() / 2);
    while !reader.is_empty() {
        streams.push(reader.u16()?);
    }
    Ok(streams)
}

/// Encodes a chunk of one or two parameters.
pub(crate) fn emit(requests: &[Request]) -> Vec<u8> {
    let mut value = Vec::with_capacity(32);
    for request in requests {
        emit_parameter(&mut value, request);
    }
    encode(kind::RE_CONFIG, 0, &value)
}

fn emit_parameter(out: &mut Vec<u8>, request: &Request) {
    let mut value = Vec::with_capacity(16);
    let mut words = |words: &[u32]| {
        for word in words {
            value.extend_from_slice(&word.to_be_bytes());
        }
    };
    let kind = match request {
        Request::OutgoingReset {
            sequence,
            response_to,
            last_tsn,
            streams,
        } => {
            words(&[*sequence, *response_to, *last_tsn]);
            value.extend(streams.iter().flat_map(|stream| stream.to_be_bytes()));
            parameter::OUTGOING_RESET
        }
        Request::IncomingReset { sequence, streams } => {
            words(&[*sequence]);
            value.extend(streams.iter().flat_map(|stream| stream.to_be_bytes()));
            parameter::INCOMING_RESET
        }
        Request::TsnReset { sequence } => {
            words(&[*sequence]);
            parameter::TSN_RESET
        }
        Request::Response { sequence, outcome } => {
            words(&[*sequence, outcome.code()]);
            parameter::RESPONSE
        }
        Request::AddOutgoing { sequence, count } => {
            words(&[*sequence, u32::from(*count) << 16]);
            parameter::ADD_OUTGOING
        }
        Request::AddIncoming { sequence, count } => {
            words(&[*sequence, u32::from(*count) << 16]);
            parameter::ADD_INCOMING
        }
    };
    put_parameter(out, kind, &value);
}
