//! What an answer of the server means, in words that its user can act on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::{Kind, NEEDS_TOKEN};

/// Characters of the server's own words that are shown.
const MOST_WORDS: usize = 300;

/// Why an offer was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    /// Whether it may be taken later, and the server's own word for when.
    pub(crate) later: bool,
    pub(crate) after: Option<Duration>,
}

/// Reads a refusal: its status, and its body and its headers as far as they were told.
pub(crate) fn refusal(
    kind: Kind,
    place: &str,
    status: u16,
    known: bool,
    problem: Option<String>,
    after: Option<Duration>,
) -> Refusal {
    let server = kind.server();
    let words = match status {
        401 if !known => format!("{place} lets nobody in without a token: {NEEDS_TOKEN}"),
        401 => format!("{place} does not take this token or password: {NEEDS_TOKEN}"),
        403 if known => format!("{place} does not allow this with this token: {NEEDS_TOKEN}"),
        403 => format!("{place} does not allow this: {NEEDS_TOKEN}"),
        404 | 410 => format!("{place} has no {server} endpoint at this path; check the URL"),
        405 | 501 => {
            format!("what is at this path of {place} is no {server} endpoint; check the URL")
        }
        406 => format!("{place} has nothing in common with what we offer (codecs, or ways)"),
        409 if kind == Kind::Play => format!("nobody publishes at {place} yet"),
        409 => format!("somebody else publishes at this path of {place}"),
        413 => format!("our offer is too long for {place}"),
        415 => {
            format!("{place} takes no SDP at this path: it is no {server} endpoint; check the URL")
        }
        400 | 422 => format!("{place} does not understand our offer"),
        429 => format!("{place} was asked too often"),
        503 => format!("{place} is too busy"),
        500..=599 => format!("{place} is out of order"),
        _ => format!("{place} answers what a {server} server does not"),
    };
    let said = problem
        .map(|words| format!(": {words}"))
        .unwrap_or_default();
    Refusal {
        reason: format!("{words} (status {status}){said}"),
        later: matches!(status, 408 | 409 | 423 | 425 | 429 | 500 | 502..=599),
        after,
    }
}

/// The server's own words: `title` and `detail` of problem details (RFC 9457 §3.1), or a short plain text.
pub(crate) fn problem(content_type: &str, body: &str) -> Option<String> {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let words = if kind.to_ascii_lowercase().ends_with("json") {
        let value: Value = serde_json::from_str(body).ok()?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        // `error` and `message` are what servers say that do not know RFC 9457.
        let parts: Vec<&str> = ["title", "detail", "error", "message"]
            .iter()
            .map(|name| text(name).trim())
            .filter(|part| !part.is_empty())
            .collect();
        parts.join("; ")
    } else if kind.eq_ignore_ascii_case("text/plain") {
        body.lines().next().unwrap_or_default().trim().to_owned()
    } else {
        return None;
    };
    let mut shown: String = words
        .chars()
        .map(|letter| if letter.is_whitespace() { ' ' } else { letter })
        .filter(|letter| !letter.is_control())
        .take(MOST_WORDS)
        .collect();
    if words.chars().nth(MOST_WORDS).is_some() {
        shown.push('…');
    }
    (!shown.trim().is_empty()).then_some(shown)
}

/// `Retry-After`: seconds, or a moment (RFC 9110 §10.2.3).
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let moment = UNIX_EPOCH.checked_add(Duration::from_secs(http_date(value)?))?;
    Some(moment.duration_since(now).unwrap_or_default())
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 §5.6.7) in seconds since 1970.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (_, rest) = text.split_once(", ")?;
    let words: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, time, "GMT"] = words[..] else {
        return None;
    };
    let day: u64 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64;
    let year: u64 = year
        .parse()
        .ok()
        .filter(|year| (1970..=9999).contains(year))?;
    let clock: Vec<u64> = time
        .split(':')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let [hour @ 0..24, minute @ 0..60, second @ 0..=60] = clock[..] else {
        return None;
    };
    // Years that begin with March: leap days stand at their end.
    let (years, months) = if month < 2 {
        (year - 1, month + 10)
    } else {
        (year, month - 2)
    };
    let days = years * 365 + years / 4 - years / 100 + years / 400 + (153 * months + 2) / 5 + day;
    // 719,469: the same sum for 1970-01-01, plus one for its day of the month.
    let since = days.checked_sub(719_469)?;
    Some(since * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_and_seconds() {
        assert_eq!(
            http_date("Sun, 06 Nov 1994 08:49:37 GMT"),
            Some(784_111_777)
        );
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        assert_eq!(
            http_date("Tue, 29 Feb 2000 00:00:00 GMT"),
            Some(951_782_400)
        );
        for wrong in [
            "",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
        ] {
            assert_eq!(http_date(wrong), None, "{wrong}");
        }
        let now = UNIX_EPOCH + Duration::from_secs(784_111_770);
        let seconds = |text| retry_after(text, now).map(|after| after.as_secs());
        assert_eq!(seconds(" 120 "), Some(120));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(seconds("-1"), None);
        assert_eq!(seconds("soon"), None);
    }

    #[test]
    fn problems_are_shown_without_harm() {
        let json = "application/problem+json; charset=utf-8";
        let told = problem(
            json,
            r#"{"title":"Taken","detail":"by\u001b[31m a\nnother","status":409}"#,
        );
        assert_eq!(told.unwrap(), "Taken; by[31m a nother");
        assert_eq!(problem(json, "{"), None);
        assert_eq!(problem(json, r#"{"title":7}"#), None);
        assert_eq!(problem("text/html", "<html>"), None);
        assert_eq!(problem("text/plain", "no\nmore").unwrap(), "no");
        let long = problem("text/plain", &"x".repeat(5_000)).unwrap();
        assert_eq!(long.chars().count(), MOST_WORDS + 1);
    }

    #[test]
    fn statuses_have_words() {
        let of = |kind, status, known| refusal(kind, "http://a", status, known, None, None);
        assert!(
            of(Kind::Publish, 401, false)
                .reason
                .contains("without a token")
        );
        assert!(of(Kind::Publish, 401, true).reason.contains("this token"));
        assert!(
            of(Kind::Publish, 404, false)
                .reason
                .contains("check the URL")
        );
        assert!(
            of(Kind::Play, 409, false)
                .reason
                .contains("nobody publishes")
        );
        for status in [408, 409, 429, 500, 502, 503, 504] {
            assert!(of(Kind::Play, status, false).later, "{status}");
        }
        for status in [200, 400, 401, 403, 404, 405, 406, 410, 415, 422, 501] {
            assert!(!of(Kind::Play, status, false).later, "{status}");
        }
    }
}
