//! The little of URLs that signaling needs: scheme, host, port, path.

use std::fmt;

use crate::Error;

/// A parsed `http`, `https`, `ws` or `wss` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    /// In lower case.
    pub(crate) scheme: String,
    /// A name or an address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// With the query, beginning with a slash.
    pub(crate) path: String,
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let wrong =
            |reason: &str| Error::Misuse(format!("{text:?} is not a URL of a server: {reason}"));
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| wrong("it must begin with http:// or https://"))?;
        let scheme = scheme.to_ascii_lowercase();
        let default = match scheme.as_str() {
            "http" | "ws" => 80,
            "https" | "wss" => 443,
            _ => return Err(wrong("its scheme is none of http, https, ws, wss")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        if authority.contains('@') {
            return Err(wrong("it carries a user name, which is not supported"));
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest
                    .split_once(']')
                    .ok_or_else(|| wrong("its bracket is not closed"))?;
                (host, rest.strip_prefix(':'))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            None | Some("") => default,
            Some(port) => port
                .parse()
                .map_err(|_| wrong("its port is not a number up to 65535"))?,
        };
        if host.is_empty()
            || !host
                .bytes()
                .chain(path.bytes())
                .all(|byte| byte.is_ascii_graphic())
        {
            return Err(wrong("its host or path is not plain ASCII"));
        }
        let path = if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        };
        Ok(Url {
            scheme,
            host: host.to_owned(),
            port,
            path,
        })
    }

    pub(crate) fn is_secure(&self) -> bool {
        matches!(self.scheme.as_str(), "https" | "wss")
    }

    /// `HOST[:PORT]`, as in `Host`.
    pub(crate) fn authority(&self) -> String {
        let host = if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        };
        let default = if self.is_secure() { 443 } else { 80 };
        if self.port == default {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    /// `SCHEME://HOST[:PORT]`, as in `Origin`.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority())
    }

    /// What `link` means when it stands in a document under this URL.
    pub(crate) fn join(&self, link: &str) -> Result<Url, Error> {
        if link.contains("://") {
            return Url::parse(link);
        }
        if let Some(rest) = link.strip_prefix("//") {
            return Url::parse(&format!("{}://{rest}", self.scheme));
        }
        let path = match link.strip_prefix('/') {
            Some(rest) => format!("/{rest}"),
            None => {
                let here = self.path.split('?').next().unwrap_or_default();
                match link.starts_with('?') {
                    true => format!("{here}{link}"),
                    false => format!("{}{link}", &here[..=here.rfind('/').unwrap_or(0)]),
                }
            }
        };
        Url::parse(&format!("{}{}", self.origin(), without_dots(&path)))
    }
}

/// A path without its `.` and `..` segments (RFC 3986 §5.2.4).
fn without_dots(path: &str) -> String {
    let (path, query) = match path.find(['?', '#']) {
        Some(at) => path.split_at(at),
        None => (path, ""),
    };
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if last {
                    kept.push("");
                }
            }
            other => kept.push(other),
        }
    }
    format!("/{}{query}", kept.join("/"))
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

/// Whether what is sent there never leaves this host.
pub(crate) fn is_loopback(host: &str) -> bool {
    let address = host.parse::<std::net::IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = Url::parse("HTTPS://[fd00::1]:8443/r/demo?x=1#y").unwrap();
        assert_eq!((url.host.as_str(), url.port), ("fd00::1", 8443));
        assert_eq!(url.to_string(), "https://[fd00::1]:8443/r/demo?x=1");
        assert_eq!(Url::parse("http://a").unwrap().to_string(), "http://a/");
        assert_eq!(Url::parse("ws://a:80/b").unwrap().authority(), "a");
        for wrong in [
            "a",
            "ftp://a",
            "http://",
            "http://a:x",
            "http://u@a",
            "http://a/ b",
        ] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn links_are_resolved() {
        let base = Url::parse("http://a:1/b/c?d").unwrap();
        for (link, full) in [
            ("/x", "http://a:1/x"),
            ("x", "http://a:1/b/x"),
            ("//b/x", "http://b/x"),
            ("https://c/", "https://c/"),
            ("../x/./y?../z", "http://a:1/x/y?../z"),
            ("../../x/..", "http://a:1/"),
            ("?e", "http://a:1/b/c?e"),
        ] {
            assert_eq!(base.join(link).unwrap().to_string(), full);
        }
    }
}
