//! Who may ask: `Host` and `Origin` of every request, and the headers of every answer.
//!
//! A browser sends the `Origin` of the page that asks with every POST, DELETE and WebSocket; a native
//! client sends none, or the server's own. A page of another site whose name resolves to this server
//! (DNS rebinding) is known by its `Host`.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{self, HeaderMap, HeaderName};
use axum::http::{HeaderValue, Method, Uri};

use crate::Refusal;

/// One root URL of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Site {
    secure: bool,
    /// Lower case; IPv6 in brackets.
    host: String,
    port: u16,
}

impl Site {
    pub(crate) fn new(secure: bool, host: &str, port: u16) -> Self {
        Site {
            secure,
            host: host.to_ascii_lowercase(),
            port,
        }
    }

    pub(crate) fn of_address(secure: bool, address: IpAddr, port: u16) -> Self {
        let host = match address.to_canonical() {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        Site { secure, host, port }
    }

    /// From `http://host[:port]` or `https://host[:port]`, with nothing behind.
    pub(crate) fn parse(origin: &str) -> Option<Self> {
        let (secure, authority) = match origin.strip_prefix("https://") {
            Some(authority) => (true, authority),
            None => (false, origin.strip_prefix("http://")?),
        };
        let (host, port) = split_authority(authority)?;
        let port = port.unwrap_or(default_port(secure));
        Some(Site::new(secure, host, port))
    }

    fn authority(&self) -> String {
        if self.port == default_port(self.secure) {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// `http://localhost:8080`, without a slash at its end.
    pub(crate) fn root(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }

    /// `ws://localhost:8080`.
    pub(crate) fn socket_root(&self) -> String {
        let scheme = if self.secure { "wss" } else { "ws" };
        format!("{scheme}://{}", self.authority())
    }

    fn is_named(&self, host: &str, port: Option<u16>) -> bool {
        self.host.eq_ignore_ascii_case(host)
            && port.unwrap_or(default_port(self.secure)) == self.port
    }
}

const fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// Splits `host`, `host:port`, `[v6]` or `[v6]:port`; none for anything else.
fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.find(':').unwrap_or(authority.len())
    };
    let (host, rest) = authority.split_at(end);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
    if host.is_empty() || !host.bytes().all(plain) {
        return None;
    }
    match rest.strip_prefix(':') {
        None if rest.is_empty() => Some((host, None)),
        Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
            Some((host, Some(port.parse().ok()?)))
        }
        _ => None,
    }
}

/// The root URLs of one listener.
#[derive(Clone, Debug)]
pub(crate) struct Sites {
    pub(crate) secure: bool,
    pub(crate) port: u16,
    pub(crate) known: Vec<Site>,
}

impl Sites {
    /// The site that a request means, or why it is refused.
    pub(crate) fn check(
        &self,
        local: SocketAddr,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Site, Refusal> {
        let host = single(headers, &header::HOST).map_err(|()| Refusal::Host)?;
        // RFC 9112 §3.2.2: a target in absolute form overrules Host; here they must agree.
        let host = match (host, uri.authority()) {
            (Some(host), Some(target)) if host != target.as_str() => return Err(Refusal::Host),
            (Some(host), _) => host,
            (None, _) => return Err(Refusal::Host),
        };
        let (host, port) = split_authority(host).ok_or(Refusal::Host)?;
        // An address cannot be rebound, so the one where the connection arrived is always ours.
        let own = Site::of_address(self.secure, local.ip(), self.port);
        let site = self
            .known
            .iter()
            .chain([&own])
            .find(|site| site.is_named(host, port))
            .ok_or(Refusal::Host)?;
        if let Some(origin) = single(headers, &header::ORIGIN).map_err(|()| Refusal::Origin)? {
            let origin = Site::parse(origin).ok_or(Refusal::Origin)?;
            if origin != own && !self.known.contains(&origin) {
                return Err(Refusal::Origin);
            }
        }
        check_fetch(method, headers)?;
        Ok(site.clone())
    }
}

/// What browsers say about a request (Fetch Metadata): another site may link here, nothing else.
fn check_fetch(method: &Method, headers: &HeaderMap) -> Result<(), Refusal> {
    let value = |name: &'static str| {
        single(headers, &HeaderName::from_static(name)).map_err(|()| Refusal::Origin)
    };
    match value("sec-fetch-site")? {
        None | Some("same-origin" | "none") => Ok(()),
        Some(_) => {
            let link = method == Method::GET
                && value("sec-fetch-mode")? == Some("navigate")
                && value("sec-fetch-dest")? == Some("document");
            if link { Ok(()) } else { Err(Refusal::Origin) }
        }
    }
}

/// The value of a header that may stand once; an error when it stands twice or is not ASCII.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(());
    }
    value.to_str().map(Some).map_err(|_| ())
}

/// Sets the headers that every answer carries.
pub(crate) fn harden(headers: &mut HeaderMap, site: Option<&Site>) {
    let sockets = site.map(Site::socket_root).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {sockets}; \
         img-src 'self' data: blob:; media-src 'self' blob: mediastream:; manifest-src 'self'; \
         frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    );
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        (
            "permissions-policy",
            "camera=(self), microphone=(self), geolocation=(), display-capture=(), payment=(), usb=()",
        ),
    ] {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites() -> Sites {
        Sites {
            secure: false,
            port: 8080,
            known: vec![
                Site::new(false, "localhost", 8080),
                Site::parse("https://Rooms.example.org").unwrap(),
            ],
        }
    }

    fn ask(method: Method, pairs: &[(&'static str, &str)]) -> Result<String, Refusal> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        let local = "192.0.2.7:8080".parse().unwrap();
        let uri = Uri::from_static("/join/x");
        let site = sites().check(local, &method, &uri, &headers)?;
        Ok(site.socket_root())
    }

    #[test]
    fn a_request_must_name_this_server() {
        for (host, socket) in [
            ("localhost:8080", "ws://localhost:8080"),
            ("LOCALHOST:8080", "ws://localhost:8080"),
            ("192.0.2.7:8080", "ws://192.0.2.7:8080"),
            ("rooms.example.org", "wss://rooms.example.org"),
            ("rooms.example.org:443", "wss://rooms.example.org"),
        ] {
            let site = ask(Method::POST, &[("host", host)]);
            assert_eq!(site.as_deref(), Ok(socket), "{host}");
        }
        for host in [
            "",
            "localhost",
            "localhost:80",
            "localhost:08080x",
            "evil.example:8080",
            "192.0.2.8:8080",
            "localhost:8080@evil",
            "user@localhost:8080",
            "localhost.:8080",
            "[::1]:8080",
            "[::1",
            "localhost:8080/",
            "localhost:+8080",
        ] {
            let site = ask(Method::POST, &[("host", host)]);
            assert_eq!(site, Err(Refusal::Host), "{host}");
        }
        assert_eq!(ask(Method::GET, &[]), Err(Refusal::Host));
        let twice = [("host", "localhost:8080"), ("host", "localhost:8080")];
        assert_eq!(ask(Method::GET, &twice), Err(Refusal::Host));
    }

    #[test]
    fn an_origin_must_be_its_own() {
        for origin in [
            "http://localhost:8080",
            "http://192.0.2.7:8080",
            "https://rooms.example.org",
        ] {
            let pairs = [("host", "localhost:8080"), ("origin", origin)];
            assert!(ask(Method::POST, &pairs).is_ok(), "{origin}");
        }
        for origin in [
            "null",
            "",
            "https://localhost:8080",
            "http://localhost",
            "http://localhost:3000",
            "http://evil.example",
            "http://localhost:8080.evil.example",
            "http://localhost:8080/",
            "file://",
            "http://rooms.example.org",
        ] {
            let pairs = [("host", "localhost:8080"), ("origin", origin)];
            let site = ask(Method::POST, &pairs);
            assert_eq!(site, Err(Refusal::Origin), "{origin}");
        }
    }

    #[test]
    fn another_site_may_link_but_not_fetch() {
        let host = ("host", "localhost:8080");
        let link = [
            host,
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert!(ask(Method::GET, &link).is_ok());
        assert!(ask(Method::POST, &link).is_err());
        for (site, mode, dest) in [
            ("cross-site", "no-cors", "image"),
            ("same-site", "cors", "empty"),
            ("cross-site", "navigate", "iframe"),
        ] {
            let pairs = [
                host,
                ("sec-fetch-site", site),
                ("sec-fetch-mode", mode),
                ("sec-fetch-dest", dest),
            ];
            assert!(ask(Method::GET, &pairs).is_err(), "{site} {mode} {dest}");
        }
    }
}
