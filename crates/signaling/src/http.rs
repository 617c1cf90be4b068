//! Short requests over HTTP and HTTPS, with redirects that keep their method.

use std::fmt;
use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use ureq::Agent;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, TcpConnector,
    Transport, TransportAdapter,
};

use crate::Error;
use crate::url::Url;

const REDIRECTS: usize = 5;

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Post,
    Delete,
}

/// An answer of any status.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: String,
    /// Where it came from in the end.
    pub(crate) url: Url,
}

/// A request of any kind, for one exchange without redirects.
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a Url,
    /// Names and values; those of secrets are never logged.
    pub(crate) headers: &'a [(&'a str, &'a str)],
    pub(crate) body: Option<&'a str>,
    pub(crate) timeout: Duration,
}

/// The answer to one, of any status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// A header's text, the first one of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A client that keeps its connections.
pub(crate) struct Http {
    agent: Agent,
    most: u64,
}

impl Http {
    /// A client; answers longer than `most` bytes are refused.
    pub(crate) fn new(tls: Arc<ClientConfig>, most: u64) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("esp-webrtc/", env!("CARGO_PKG_VERSION")))
            .build();
        let connector = ().chain(TcpConnector::default()).chain(TlsConnector { tls });
        Http {
            agent: Agent::with_parts(config, connector, DefaultResolver::default()),
            most,
        }
    }

    /// Sends a request with `text` as its body and follows redirects.
    pub(crate) fn send(
        &self,
        method: Method,
        url: &Url,
        text: &str,
        timeout: Duration,
    ) -> Result<Reply, Error> {
        let mut url = url.clone();
        for _ in 0..REDIRECTS {
            let mut response = self.once(method, &url, text, timeout)?;
            let status = response.status().as_u16();
            let link = response
                .headers()
                .get("location")
                .and_then(|link| link.to_str().ok());
            if let (301 | 302 | 303 | 307 | 308, Some(link)) = (status, link) {
                let next = url.join(link)?;
                if url.is_secure() && !next.is_secure() {
                    return Err(Error::Refused(format!(
                        "{} sends us on to {}, which is not secured",
                        url.origin(),
                        next.origin()
                    )));
                }
                url = next;
                continue;
            }
            let body = self.text_of(&mut response, &url)?;
            return Ok(Reply { status, body, url });
        }
        Err(Error::Refused(format!(
            "{} sends us on more than {REDIRECTS} times",
            url.origin()
        )))
    }

    fn once(
        &self,
        method: Method,
        url: &Url,
        text: &str,
        timeout: Duration,
    ) -> Result<ureq::http::Response<ureq::Body>, Error> {
        let sent = match method {
            Method::Post => self
                .agent
                .post(url.to_string())
                .config()
                .timeout_global(Some(timeout))
                .build()
                .header("content-type", "text/plain; charset=utf-8")
                .send(text),
            Method::Delete => self
                .agent
                .delete(url.to_string())
                .config()
                .timeout_global(Some(timeout))
                .build()
                .call(),
        };
        sent.map_err(|error| unreachable(url, &error))
    }

    /// Sends a request, whose answer may be a redirect.
    pub(crate) fn exchange(&self, request: &Request<'_>) -> Result<Answer, Error> {
        let (url, patience) = (request.url, request.timeout);
        let mut head = ureq::http::Request::builder()
            .method(request.method)
            .uri(url.to_string());
        for (name, value) in request.headers {
            head = head.header(*name, *value);
        }
        let odd = |error: ureq::http::Error| Error::Misuse(format!("no such request: {error}"));
        let sent = match request.body {
            Some(text) => {
                let request = head.body(text).map_err(odd)?;
                let timed = self.agent.configure_request(request);
                let timed = timed.timeout_global(Some(patience));
                self.agent.run(timed.build())
            }
            None => {
                let request = head.body(()).map_err(odd)?;
                let timed = self.agent.configure_request(request);
                let timed = timed.timeout_global(Some(patience));
                self.agent.run(timed.build())
            }
        };
        let mut response = sent.map_err(|error| unreachable(url, &error))?;
        let body = self.text_of(&mut response, url)?;
        Ok(Answer {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }

    fn text_of(
        &self,
        response: &mut ureq::http::Response<ureq::Body>,
        url: &Url,
    ) -> Result<String, Error> {
        response
            .body_mut()
            .with_config()
            .limit(self.most)
            .read_to_string()
            .map_err(|error| {
                Error::Malformed(format!(
                    "the answer of {} is no text: {error}",
                    url.origin()
                ))
            })
    }
}

fn unreachable(url: &Url, error: &ureq::Error) -> Error {
    let why = match error {
        ureq::Error::Io(error) => esp_trust::words_of_io(error),
        other => other.to_string(),
    };
    Error::Unreachable(format!("{} cannot be reached: {why}", url.origin()))
}

/// Puts TLS of our own settings on a connection; ureq's own takes neither a pin nor other roots.
struct TlsConnector {
    tls: Arc<ClientConfig>,
}

impl fmt::Debug for TlsConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsConnector")
    }
}

impl<In: Transport> Connector<In> for TlsConnector {
    type Out = Either<In, TlsTransport>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, ureq::Error> {
        let Some(transport) = chained else {
            return Ok(None);
        };
        if !details.needs_tls() || transport.is_tls() {
            return Ok(Some(Either::A(transport)));
        }
        let host = details.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| ureq::Error::Tls("the host is not a name or an address"))?;
        let mut connection = ClientConnection::new(self.tls.clone(), name)
            .map_err(|_| ureq::Error::Tls("TLS cannot be set up"))?;
        let boxed: Box<dyn Transport> = Box::new(transport);
        let mut socket = TransportAdapter::new(boxed, details.current_time.clone());
        socket.set_timeout(details.timeout);
        connection.complete_io(&mut socket)?;
        let buffers = LazyBuffers::new(
            details.config.input_buffer_size(),
            details.config.output_buffer_size(),
        );
        Ok(Some(Either::B(TlsTransport {
            buffers,
            stream: StreamOwned::new(connection, socket),
        })))
    }
}

struct TlsTransport {
    buffers: LazyBuffers,
    stream: StreamOwned<ClientConnection, TransportAdapter>,
}

impl fmt::Debug for TlsTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsTransport")
    }
}

impl Transport for TlsTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        self.stream.write_all(&self.buffers.output()[..amount])?;
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        self.stream.get_mut().set_timeout(timeout);
        let amount = self.stream.read(self.buffers.input_append_buf())?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.get_mut().get_mut().is_open()
    }

    fn is_tls(&self) -> bool {
        true
    }
}
