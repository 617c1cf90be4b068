//! ICE servers out of `Link` headers (RFC 8288, RFC 9725 §4.6).

use esp_wire::{IceServer, Scheme, ServerUrl};

/// Bytes of all headers that are read at most.
const MOST_TEXT: usize = 32 * 1024;

/// The STUN and TURN servers that these headers tell, `most` of them; what makes no sense is left out.
pub(crate) fn ice_servers<'a>(
    headers: impl IntoIterator<Item = &'a str>,
    most: usize,
) -> Vec<IceServer> {
    let mut servers: Vec<IceServer> = Vec::new();
    let mut left = MOST_TEXT;
    for header in headers {
        let Some(rest) = left.checked_sub(header.len()) else {
            break;
        };
        left = rest;
        let mut reader = Reader { text: header };
        while servers.len() < most
            && let Some(link) = reader.link()
        {
            if let Some(server) = link.server()
                && !servers.contains(&server)
            {
                servers.push(server);
            }
        }
    }
    servers
}

/// One link with the parameters that matter; the first one of each name counts.
#[derive(Default)]
struct Link<'a> {
    target: &'a str,
    rel: Option<String>,
    username: Option<String>,
    credential: Option<String>,
    credential_type: Option<String>,
}

impl Link<'_> {
    fn server(self) -> Option<IceServer> {
        let rel = self.rel?;
        let mut relations = rel.split_ascii_whitespace();
        if !relations.any(|name| name.eq_ignore_ascii_case("ice-server")) {
            return None;
        }
        let url: ServerUrl = self.target.parse().ok()?;
        match url.scheme {
            Scheme::Stun | Scheme::Stuns => Some(IceServer::stun(self.target)),
            Scheme::Turn | Scheme::Turns => {
                let kind = self.credential_type.as_deref().unwrap_or("password");
                let user = self.username.filter(|user| !user.is_empty())?;
                let credential = self.credential?;
                kind.eq_ignore_ascii_case("password")
                    .then(|| IceServer::turn(self.target, user, credential))
            }
        }
    }

    fn set(&mut self, name: &str, value: String) {
        let place = match name.to_ascii_lowercase().as_str() {
            "rel" => &mut self.rel,
            "username" => &mut self.username,
            "credential" => &mut self.credential,
            "credential-type" => &mut self.credential_type,
            _ => return,
        };
        place.get_or_insert(value);
    }
}

/// Reads links one by one.
struct Reader<'a> {
    text: &'a str,
}

impl<'a> Reader<'a> {
    /// The next link; none at the end, or where no link begins any more.
    fn link(&mut self) -> Option<Link<'a>> {
        let (_, rest) = self.text.split_once('<')?;
        let (target, rest) = rest.split_once('>')?;
        self.text = rest;
        let mut link = Link {
            target: target.trim(),
            ..Link::default()
        };
        loop {
            self.text = self.text.trim_start();
            match self.text.strip_prefix(';') {
                Some(rest) => self.text = rest.trim_start(),
                // Some servers leave out semicolons; a comma ends the link.
                None if self.text.is_empty() || self.text.starts_with([',', '<']) => {
                    return Some(link);
                }
                None => {}
            }
            let end = self.text.find(['=', ';', ',']).unwrap_or(self.text.len());
            let (name, rest) = self.text.split_at(end);
            self.text = rest;
            if let Some(rest) = rest.strip_prefix('=') {
                self.text = rest.trim_start();
                let value = self.value();
                link.set(name.trim(), value);
            }
        }
    }

    /// A token or a quoted string, taken off the text.
    fn value(&mut self) -> String {
        let Some(quoted) = self.text.strip_prefix('"') else {
            let end = self.text.find([';', ',']).unwrap_or(self.text.len());
            let (token, rest) = self.text.split_at(end);
            self.text = rest;
            return token.trim().to_owned();
        };
        let mut value = String::new();
        let mut letters = quoted.char_indices();
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.text = &quoted[at + 1..];
                    return value;
                }
                '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
                letter => value.push(letter),
            }
        }
        self.text = "";
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_of_rfc_9725() {
        let headers = [
            "<stun:stun.example.net>; rel=\"ice-server\"",
            "<turn:turn.example.net?transport=udp>; rel=\"ice-server\"; username=\"user\"; \
             credential=\"my,Pass\\\"word\"; credential-type=\"password\", \
             <turns:turn.example.net?transport=tcp>;rel=ice-server ; username=u;credential=c",
        ];
        let servers = ice_servers(headers, 16);
        assert_eq!(servers.len(), 3);
        assert_eq!(servers[0], IceServer::stun("stun:stun.example.net"));
        assert_eq!(servers[1].credential, "my,Pass\"word");
        assert_eq!(servers[2].urls, ["turns:turn.example.net?transport=tcp"]);
    }

    #[test]
    fn what_is_no_ice_server_is_left_out() {
        for header in [
            "",
            "<",
            "<stun:a",
            "stun:a; rel=ice-server",
            "<stun:a>",
            "<stun:a>; rel=next",
            "<http://a>; rel=ice-server",
            "<turn:a>; rel=ice-server",
            "<turn:a>; rel=ice-server; username=\"\"; credential=x",
            "<turn:a>; rel=ice-server; username=u; credential=x; credential-type=oauth",
            "<stun:a>; rel=\"next",
        ] {
            assert!(ice_servers([header], 16).is_empty(), "{header}");
        }
        // Others stand between; relations may be several; what follows nonsense still counts.
        let header = "<https://a/sse>; rel=\"urn:ietf:params:whep:ext:core:server-sent-events\" \
             events=\"active,inactive\", <x>;;;, <stun:b>; foo; rel=\"prev Ice-Server\"";
        assert_eq!(ice_servers([header], 16), [IceServer::stun("stun:b")]);
        // One that is told twice is one; many are cut.
        let many: Vec<String> = (0..40)
            .map(|n| format!("<stun:a{}>; rel=ice-server", n / 2))
            .collect();
        assert_eq!(ice_servers(many.iter().map(String::as_str), 16).len(), 16);
    }
}
