//! Typed session descriptions and the rules of offer and answer.
//!
//! A [`Description`] is the text of RFC 8866 with a typed view of everything that WebRTC needs. The
//! rules of JSEP (RFC 8829) work on it for one bundled transport:
//!
//! 1. The offerer calls [`offer`] with its [`Local`] and sends the text.
//! 2. The answerer parses it, calls [`answer`], sends the text and runs what [`Negotiated`] says.
//! 3. The offerer parses the answer and calls [`accept`], which gives its own [`Negotiated`].
//!
//! Nothing in here makes a system call or keeps state: [`Negotiated`] is handed back for the next
//! round, which keeps mids, the order of m-sections, payload types and the DTLS roles.

mod accept;
mod answer;
mod attributes;
mod codec;
mod description;
mod error;
mod fragment;
mod h264;
mod lines;
mod local;
mod matching;
mod negotiated;
mod offer;
mod payload;
mod section;

pub use accept::accept;
pub use answer::answer;
pub use attributes::{
    DtlsRole, ExtMap, Extension, Feedback, Fingerprint, Ice, Msid, Setup, SsrcGroup, SsrcInfo,
};
pub use codec::{CodecSpec, OpusParams, Params};
pub use description::{Description, Limits};
pub use error::Error;
pub use fragment::{Fragment, FragmentSection};
pub use h264::{H264Params, Profile, ProfileLevelId};
pub use local::{DataLocal, Local, MediaLocal};
pub use negotiated::{
    Changes, Described, Negotiated, NegotiatedCodec, NegotiatedData, NegotiatedMedia,
    RemoteCandidate, SectionState, Transport,
};
pub use offer::offer;
pub use payload::Payload;
pub use section::{MediaSection, SectionKind};
