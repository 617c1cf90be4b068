//! Between whole descriptions, which the peer connection speaks, and fragments, which the server takes.

use esp_sdp::{Description, Fragment, FragmentSection};

/// Our side of one ICE generation.
#[derive(Clone)]
pub(crate) struct Ours {
    /// The description as it is posted.
    pub(crate) text: String,
    /// The session of its `o=` line: another one is another connection.
    pub(crate) session: String,
    fragment: Fragment,
    candidates: Vec<String>,
    ended: bool,
    /// How many candidates the server was told, and whether that they are all.
    told: usize,
    told_end: bool,
}

impl Ours {
    /// Reads our offer or answer.
    pub(crate) fn of(text: &str) -> Result<Self, esp_sdp::Error> {
        let description = Description::parse(text)?;
        let nothing = || esp_sdp::Error::Misuse("there is nothing in it".into());
        let bundle = description.bundle().first().cloned().unwrap_or_default();
        let sections = description.sections();
        let tagged = sections
            .iter()
            .find(|section| bundle.first() == Some(&section.mid))
            .or(sections.first())
            .ok_or_else(nothing)?;
        let ice = tagged.ice.as_ref().ok_or_else(nothing)?;
        let candidates = tagged.candidates.clone();
        let m_line = format!(
            "{} 9 {} {}",
            tagged.kind.name(),
            tagged.protocol,
            tagged.formats.join(" ")
        );
        Ok(Ours {
            session: description.version().0.to_owned(),
            fragment: Fragment {
                ufrag: ice.ufrag.clone(),
                pwd: ice.pwd.clone(),
                options: ice.options.clone(),
                bundle,
                sections: vec![FragmentSection {
                    m_line,
                    mid: tagged.mid.clone(),
                    ..FragmentSection::default()
                }],
            },
            told: candidates.len(),
            candidates,
            ended: tagged.end_of_candidates,
            told_end: tagged.end_of_candidates,
            text: text.to_owned(),
        })
    }

    /// The ICE generation.
    pub(crate) fn ufrag(&self) -> &str {
        &self.fragment.ufrag
    }

    /// A candidate was found; an empty one says that there are no more. More than `most` are not kept.
    pub(crate) fn add(&mut self, candidate: &str, most: usize) {
        if candidate.is_empty() {
            self.ended = true;
        } else if self.candidates.len() < most
            && !self.candidates.iter().any(|known| known == candidate)
        {
            self.candidates.push(candidate.to_owned());
        }
    }

    /// Whether there is something that the server was not told.
    pub(crate) fn is_untold(&self) -> bool {
        self.told < self.candidates.len() || self.told_end != self.ended
    }

    /// The fragment for what the server was not told yet (RFC 8840 §4.4).
    pub(crate) fn untold(&self) -> Fragment {
        self.from(self.told)
    }

    /// The fragment for a restart: everything.
    pub(crate) fn whole(&self) -> Fragment {
        self.from(0)
    }

    fn from(&self, first: usize) -> Fragment {
        let mut fragment = self.fragment.clone();
        if let Some(section) = fragment.sections.first_mut() {
            section.candidates = self.candidates[first..].to_vec();
            section.end_of_candidates = self.ended;
        }
        fragment
    }

    /// The server has taken what such a fragment says.
    pub(crate) fn mark_told(&mut self) {
        self.told = self.candidates.len();
        self.told_end = self.ended;
    }
}

/// The answer of before with the ICE of a restart (RFC 9725 §4.3.3): all else still holds. Without candidates in the
/// fragment those of before stay.
pub(crate) fn renewed(answer: &str, fragment: &Fragment) -> Result<String, String> {
    if fragment.ufrag.is_empty() || fragment.pwd.is_empty() {
        return Err("it has no ice-ufrag or no ice-pwd".into());
    }
    let told = fragment.sections.first();
    let candidates = told.map_or(&[][..], |section| &section.candidates);
    let ended = told.is_some_and(|section| section.end_of_candidates);
    let mid = told.map(|section| section.mid.as_str()).unwrap_or_default();
    let description = Description::parse(answer).map_err(|error| error.to_string())?;
    let sections = description.sections();
    let tagged = sections
        .iter()
        .position(|section| !mid.is_empty() && section.mid == mid)
        .or_else(|| sections.iter().position(|section| !section.is_rejected()))
        .unwrap_or_default();
    let mut out = String::with_capacity(answer.len() + 1_024);
    // How many m-lines were passed.
    let mut passed = 0;
    for line in answer
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty())
    {
        if line.starts_with("m=") {
            if passed == tagged + 1 {
                push_candidates(&mut out, candidates, ended);
            }
            passed += 1;
        }
        let name = line.split(':').next().unwrap_or(line);
        match name {
            "a=ice-ufrag" => push(&mut out, &format!("a=ice-ufrag:{}", fragment.ufrag)),
            "a=ice-pwd" => push(&mut out, &format!("a=ice-pwd:{}", fragment.pwd)),
            "a=candidate" | "a=end-of-candidates" if !candidates.is_empty() => {}
            _ if line.starts_with("o=") => push(&mut out, &next_version(line)),
            _ => push(&mut out, line),
        }
    }
    if passed == tagged + 1 {
        push_candidates(&mut out, candidates, ended);
    }
    match Description::parse(&out) {
        Ok(_) => Ok(out),
        Err(error) => Err(error.to_string()),
    }
}

fn push(out: &mut String, line: &str) {
    out.push_str(line);
    out.push_str("\r\n");
}

fn push_candidates(out: &mut String, candidates: &[String], ended: bool) {
    for candidate in candidates {
        push(out, &format!("a={candidate}"));
    }
    if ended && !candidates.is_empty() {
        push(out, "a=end-of-candidates");
    }
}

/// `o=` with the next version (RFC 8866 §5.2).
fn next_version(line: &str) -> String {
    let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    if let Some(version) = words.get_mut(2)
        && let Ok(number) = version.parse::<u64>()
    {
        *version = number.wrapping_add(1).to_string();
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 7 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE a v\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:a\r\na=ice-ufrag:abcd\r\n\
        a=ice-pwd:0123456789012345678901\r\na=ice-options:trickle\r\n\
        a=candidate:1 1 udp 1 192.0.2.1 1 typ host\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=mid:v\r\na=ice-ufrag:abcd\r\n\
        a=ice-pwd:0123456789012345678901\r\n";

    #[test]
    fn candidates_are_told_once_in_the_tagged_section() {
        let mut ours = Ours::of(OFFER).unwrap();
        assert_eq!((ours.session.as_str(), ours.ufrag()), ("7", "abcd"));
        assert!(!ours.is_untold());
        ours.add("candidate:1 1 udp 1 192.0.2.1 1 typ host", 128);
        assert!(!ours.is_untold(), "that one stands in the offer");
        ours.add("candidate:2 1 udp 1 192.0.2.1 2 typ host", 128);
        ours.add("", 128);
        assert!(ours.is_untold());
        assert_eq!(
            ours.untold().to_string(),
            "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=ice-options:trickle\r\n\
             a=group:BUNDLE a v\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a\r\n\
             a=candidate:2 1 udp 1 192.0.2.1 2 typ host\r\na=end-of-candidates\r\n"
        );
        assert_eq!(ours.whole().sections[0].candidates.len(), 2);
        ours.mark_told();
        assert!(!ours.is_untold());
        for n in 0..1_000 {
            ours.add(&format!("candidate:{n} 1 udp 1 192.0.2.9 2 typ host"), 128);
        }
        assert_eq!(ours.whole().sections[0].candidates.len(), 128);
    }

    #[test]
    fn an_answer_is_renewed() {
        let fragment = "a=ice-ufrag:wxyz\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\nm=audio 9 X 0\r\n\
            a=mid:a\r\na=candidate:9 1 udp 1 192.0.2.9 9 typ host\r\na=end-of-candidates\r\n";
        let fragment = Fragment::parse(fragment).unwrap();
        let text = renewed(OFFER, &fragment).unwrap();
        let renewed_once = Description::parse(&text).unwrap();
        assert_eq!(renewed_once.version(), ("7", 2));
        for section in renewed_once.sections() {
            assert_eq!(section.ice.as_ref().unwrap().ufrag, "wxyz");
        }
        let candidates = &renewed_once.sections()[0].candidates;
        assert_eq!(candidates[..], ["candidate:9 1 udp 1 192.0.2.9 9 typ host"]);
        assert!(renewed_once.sections()[0].end_of_candidates);
        assert!(renewed_once.sections()[1].candidates.is_empty());

        // A server may tell credentials alone: it is where it was.
        let bare = Fragment::parse("a=ice-ufrag:wxyz\r\na=ice-pwd:abcdefghijklmnopqrstuv").unwrap();
        let text = renewed(OFFER, &bare).unwrap();
        assert!(text.contains("candidate:1 ") && text.contains("a=ice-ufrag:wxyz"));
        assert!(renewed(OFFER, &Fragment::default()).is_err());
    }
}
