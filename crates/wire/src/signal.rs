//! What two peers tell each other before they are connected.

use std::borrow::Cow;

/// One message between two peers by way of signaling.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Signal<'a> {
    /// A session description; whether offer or answer is known from the role.
    Sdp(Cow<'a, str>),
    /// An ICE candidate, `candidate:...` without `a=`; empty for the end of candidates.
    Candidate {
        /// The candidate attribute.
        candidate: Cow<'a, str>,
        /// The `a=mid` of the m-section that it belongs to.
        mid: Option<Cow<'a, str>>,
        /// The index of that m-section.
        line: Option<u16>,
    },
    /// The peer leaves.
    Bye,
    /// A message of the application.
    Customized(Cow<'a, str>),
}

impl Signal<'_> {
    /// The same message, owning its text.
    pub fn into_owned(self) -> Signal<'static> {
        match self {
            Signal::Sdp(sdp) => Signal::Sdp(Cow::Owned(sdp.into_owned())),
            Signal::Candidate {
                candidate,
                mid,
                line,
            } => Signal::Candidate {
                candidate: Cow::Owned(candidate.into_owned()),
                mid: mid.map(|mid| Cow::Owned(mid.into_owned())),
                line,
            },
            Signal::Bye => Signal::Bye,
            Signal::Customized(text) => Signal::Customized(Cow::Owned(text.into_owned())),
        }
    }
}

/// How far a signaling carries candidates after the first description (RFC 8838 §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trickle {
    /// Both ways, at any time.
    #[default]
    Full,
    /// The peer's support is not known: the first description waits for gathering, later
    /// candidates are still taken.
    Half,
    /// Not at all: every description is complete.
    None,
}
