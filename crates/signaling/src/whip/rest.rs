//! The requests to a WHIP or WHEP server.

use std::time::{Duration, SystemTime};

use esp_sdp::{Description, Fragment};
use esp_wire::IceServer;

use super::describe::{self, Ours};
use super::reply::{self, Refusal};
use super::{Kind, WhipConfig, link};
use crate::Error;
use crate::http::{Answer, Http, Request};
use crate::url::{Url, is_loopback};

const SDP: &str = "application/sdp";
const FRAGMENT: &str = "application/trickle-ice-sdpfrag";

/// The server as one client of it sees it.
pub(super) struct Rest {
    http: Http,
    kind: Kind,
    home: Url,
    secret: Option<String>,
    timeout: Duration,
    redirects: usize,
    /// ICE servers that one answer may tell.
    ice_servers: usize,
    /// How long the request of a goodbye may take.
    goodbye: Duration,
}

/// A session at the server.
pub(super) struct Place {
    /// None where the server told none: it can only be left.
    url: Option<Url>,
    etag: Option<String>,
    /// What the server described, as it is by now.
    pub(super) theirs: String,
}

/// What came of an offer.
pub(super) enum Offered {
    Answered(Place, Vec<IceServer>),
    /// The server offers instead.
    Countered(Place, Vec<IceServer>),
    Refused(Refusal),
}

/// Why the server did not take a change of a session.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// It knows nothing of the session.
    Gone,
    /// It never will.
    Never(String),
    /// It may, later.
    Later(String),
}

impl Rest {
    pub(super) fn new(http: Http, kind: Kind, config: &WhipConfig) -> Self {
        Rest {
            http,
            kind,
            home: config.url.clone(),
            secret: config.auth.header(),
            timeout: config.common.request_timeout,
            redirects: config.redirects,
            goodbye: config.common.goodbye_part(),
            ice_servers: config.ice_servers,
        }
    }

    /// The server's kind in words.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// Asks for ICE servers before the offer.
    ///
    /// # Errors
    /// Why the server is out of reach; one that will not say is there.
    pub(super) fn options(&self) -> Result<Vec<IceServer>, String> {
        match self.follow("OPTIONS", &self.home, &[], None) {
            Ok((answer, _)) if (200..300).contains(&answer.status) => Ok(self.servers_of(&answer)),
            Err(Error::Unreachable(reason)) => Err(reason),
            // The offer will tell what is wrong.
            Ok(_) | Err(_) => Ok(Vec::new()),
        }
    }

    /// Sends our offer.
    pub(super) fn post(&self, offer: &str) -> Offered {
        let headers = [("content-type", SDP), ("accept", SDP)];
        let refused = |reason: String, later| {
            Offered::Refused(Refusal {
                reason,
                later,
                after: None,
            })
        };
        match self.follow("POST", &self.home, &headers, Some(offer)) {
            Err(Error::Unreachable(reason)) => refused(reason, true),
            Err(error) => refused(error.to_string(), false),
            Ok((answer, url)) => match self.read_offered(answer, &url) {
                Ok(offered) => offered,
                Err(reason) => refused(reason, false),
            },
        }
    }

    fn read_offered(&self, answer: Answer, url: &Url) -> Result<Offered, String> {
        let is_sdp = has_type(&answer, SDP);
        let counters = self.kind == Kind::Play && answer.status == 406 && is_sdp;
        if !matches!(answer.status, 200 | 201) && !counters {
            return Ok(Offered::Refused(self.refusal(&answer, url)));
        }
        let server = self.kind.server();
        let odd = |what: &str| format!("the {server} server's answer {what}");
        let place = answer
            .header("location")
            .map(|link| self.session_url(url, link))
            .transpose()?;
        // From here on a session may exist that nobody would end.
        let leave = |what: String| {
            if let Some(url) = &place {
                self.end(url);
            }
            what
        };
        if !is_sdp {
            return Err(leave(odd("is not of the type application/sdp")));
        }
        let description = Description::parse(&answer.body)
            .map_err(|error| leave(odd(&format!("is no description: {error}"))))?;
        if description.leaves_setup() != counters {
            return Err(leave(odd(match counters {
                true => "is no offer",
                false => "is an offer",
            })));
        }
        if place.is_none() {
            if counters {
                return Err(odd("says no Location to answer to"));
            }
            tracing::warn!(
                "the {server} server tells no Location: candidates stay here, nothing is ended there"
            );
        }
        let servers = self.servers_of(&answer);
        let place = Place {
            url: place,
            etag: answer.header("etag").map(str::to_owned),
            theirs: answer.body,
        };
        Ok(match counters {
            true => Offered::Countered(place, servers),
            false => Offered::Answered(place, servers),
        })
    }

    /// Answers the offer of the server (draft-ietf-wish-whep).
    pub(super) fn answer(&self, place: &Place, answer: &str) -> Result<(), NotTaken> {
        self.patch(place, place.etag.as_deref(), SDP, answer)
            .map(drop)
    }

    /// Tells candidates (RFC 9725 §4.3.2).
    pub(super) fn trickle(&self, place: &Place, ours: &Ours) -> Result<(), NotTaken> {
        let fragment = ours.untold().to_string();
        self.patch(place, place.etag.as_deref(), FRAGMENT, &fragment)
            .map(drop)
    }

    /// Restarts ICE (RFC 9725 §4.3.3); the server's description is renewed.
    pub(super) fn restart(&self, place: &mut Place, ours: &Ours) -> Result<(), NotTaken> {
        let fragment = ours.whole().to_string();
        let answer = self.patch(place, Some("*"), FRAGMENT, &fragment)?;
        let odd = |what: String| {
            NotTaken::Never(format!(
                "the answer to a restart of ICE makes no sense: {what}"
            ))
        };
        if !has_type(&answer, FRAGMENT) {
            return Err(odd("it is no fragment".into()));
        }
        let fragment = Fragment::parse(&answer.body).map_err(|error| odd(error.to_string()))?;
        place.theirs = describe::renewed(&place.theirs, &fragment).map_err(odd)?;
        place.etag = answer.header("etag").map(str::to_owned);
        Ok(())
    }

    fn patch(
        &self,
        place: &Place,
        tag: Option<&str>,
        content: &str,
        body: &str,
    ) -> Result<Answer, NotTaken> {
        let Some(url) = &place.url else {
            return Err(NotTaken::Never("the server told no Location".into()));
        };
        let mut headers = vec![("content-type", content)];
        headers.extend(tag.map(|tag| ("if-match", tag)));
        let (answer, url) = match self.follow("PATCH", url, &headers, Some(body)) {
            Ok(done) => done,
            Err(Error::Unreachable(reason)) => return Err(NotTaken::Later(reason)),
            Err(error) => return Err(NotTaken::Never(error.to_string())),
        };
        match answer.status {
            200..=299 => Ok(answer),
            404 | 410 => Err(NotTaken::Gone),
            status => {
                let later = self.refusal(&answer, &url).later;
                let words = answer.header("content-type").unwrap_or_default();
                let said = reply::problem(words, &answer.body)
                    .map(|words| format!(": {words}"))
                    .unwrap_or_default();
                let reason = format!("{} refuses (status {status}){said}", url.origin());
                Err(match later {
                    true => NotTaken::Later(reason),
                    false => NotTaken::Never(reason),
                })
            }
        }
    }

    /// Ends a session.
    pub(super) fn delete(&self, place: &Place) {
        if let Some(url) = &place.url {
            self.end(url);
        }
    }

    fn end(&self, url: &Url) {
        // The server finds us gone in any case.
        match self.once("DELETE", url, &[], None, self.goodbye) {
            Ok(answer) => tracing::debug!(status = answer.status, "the session is ended"),
            Err(error) => tracing::debug!(%error, "the end of the session was not heard"),
        }
    }

    fn refusal(&self, answer: &Answer, url: &Url) -> Refusal {
        let words = answer.header("content-type").unwrap_or_default();
        let problem = reply::problem(words, &answer.body);
        let after = answer
            .header("retry-after")
            .and_then(|value| reply::retry_after(value, SystemTime::now()));
        let known = self.secret.is_some();
        reply::refusal(
            self.kind,
            &url.origin(),
            answer.status,
            known,
            problem,
            after,
        )
    }

    /// The URL of a session, if we may go there.
    fn session_url(&self, from: &Url, link: &str) -> Result<Url, String> {
        let url = from.join(link).map_err(|_| {
            let server = self.kind.server();
            format!("the {server} server's Location is no URL")
        })?;
        self.may_go(from, &url).map_err(|error| error.to_string())?;
        Ok(url)
    }

    /// Sends a request and follows 307 and 308, which keep method and body.
    fn follow(
        &self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Result<(Answer, Url), Error> {
        let mut url = url.clone();
        for _ in 0..=self.redirects {
            let answer = self.once(method, &url, headers, body, self.timeout)?;
            let Some(link) = answer
                .header("location")
                .filter(|_| is_redirect(answer.status))
            else {
                return Ok((answer, url));
            };
            let next = url.join(link)?;
            if !matches!(answer.status, 307 | 308) {
                // RFC 9725 §4.5: others would make a GET of it.
                let server = self.kind.server();
                return Err(Error::Refused(format!(
                    "{} sends us on to {} by status {}, as no {server} server may; if that is the place, give its URL",
                    url.origin(),
                    next.origin(),
                    answer.status
                )));
            }
            self.may_go(&url, &next)?;
            url = next;
        }
        Err(Error::Refused(format!(
            "{} sends us on more than {} times; name the server that answers in the end, or allow more redirects",
            self.home.origin(),
            self.redirects
        )))
    }

    /// Whether what `from` names may be asked, with the token if there is one.
    fn may_go(&self, from: &Url, next: &Url) -> Result<(), Error> {
        let refused = |why: &str| {
            let (from, next) = (from.origin(), next.origin());
            Err(Error::Refused(format!(
                "{from} sends us on to {next}, {why}"
            )))
        };
        if !matches!(next.scheme.as_str(), "http" | "https") {
            return refused("which is not reached by HTTP");
        }
        if from.is_secure() && !next.is_secure() {
            return refused("which is not secured");
        }
        let other = !next.host.eq_ignore_ascii_case(&self.home.host);
        let private = next.is_secure() || is_loopback(&next.host);
        if other && self.secret.is_some() && !private {
            return refused("another host, to which the token does not go unsecured");
        }
        Ok(())
    }

    fn servers_of(&self, answer: &Answer) -> Vec<IceServer> {
        let headers = answer.headers.get_all("link");
        let texts = headers.iter().filter_map(|value| value.to_str().ok());
        link::ice_servers(texts, self.ice_servers)
    }

    fn once(
        &self,
        method: &str,
        url: &Url,
        headers: &[(&str, &str)],
        body: Option<&str>,
        timeout: Duration,
    ) -> Result<Answer, Error> {
        let mut headers = headers.to_vec();
        if let Some(secret) = &self.secret {
            headers.push(("authorization", secret));
        }
        self.http.exchange(&Request {
            method,
            url,
            headers: &headers,
            body,
            timeout,
        })
    }
}

fn is_redirect(status: u16) -> bool {
    matches!(status, 301 | 302 | 303 | 307 | 308)
}

fn has_type(answer: &Answer, wanted: &str) -> bool {
    let content = answer.header("content-type").unwrap_or_default();
    let kind = content.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case(wanted)
}
