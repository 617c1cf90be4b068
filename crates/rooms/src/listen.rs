//! Listening, TLS, and connections that are never allowed to stall.

use std::convert::Infallible;
use std::future::Future;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;

use crate::guard::{Site, Sites};
use crate::rate::AddressKey;
use crate::routes::Connection;
use crate::server::Shared;
use crate::{Error, Listener, Refusal};

/// A listener that is bound.
pub(crate) struct Bound {
    pub(crate) socket: TcpListener,
    pub(crate) address: SocketAddr,
    pub(crate) sites: Arc<Sites>,
    pub(crate) tls: Option<TlsAcceptor>,
}

/// Binds them all, or none.
pub(crate) fn bind(listeners: &[Listener]) -> Result<Vec<Bound>, Error> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        match bind_once(listeners) {
            // Where the system chose a port for the first, another program may have it on the second.
            Err(Error::PortTaken(_)) if listeners[0].address.port() == 0 && attempts < 16 => {}
            result => return result,
        }
    }
}

fn bind_once(listeners: &[Listener]) -> Result<Vec<Bound>, Error> {
    let mut bound: Vec<Bound> = Vec::new();
    for listener in listeners {
        let mut address = listener.address;
        if address.port() == 0
            && listener.optional
            && let Some(first) = bound.first()
        {
            address.set_port(first.address.port());
        }
        let socket = match TcpListener::bind(address) {
            Ok(socket) => socket,
            Err(why) if why.kind() == ErrorKind::AddrInUse => {
                return Err(Error::PortTaken(address));
            }
            // No IPv6, or not this address.
            Err(_) if listener.optional => continue,
            Err(why) => return Err(Error::Bind(address, why)),
        };
        let address = socket.local_addr().map_err(Error::System)?;
        socket.set_nonblocking(true).map_err(Error::System)?;
        bound.push(Bound {
            socket,
            address,
            sites: Arc::new(sites(listener, address.port())?),
            tls: listener
                .tls
                .as_ref()
                .map(|tls| TlsAcceptor::from(tls.server_config())),
        });
    }
    if bound.is_empty() {
        return Err(Error::Misuse("there is nothing to listen on".to_owned()));
    }
    Ok(bound)
}

/// The first is the one to print.
fn sites(listener: &Listener, port: u16) -> Result<Sites, Error> {
    let secure = listener.tls.is_some();
    let mut known = Vec::new();
    if let Some(url) = &listener.public_url {
        let site = Site::parse(url.trim_end_matches('/'));
        let wrong = || {
            Error::Misuse(format!(
                "{url:?} is not a root URL like https://rooms.example.org"
            ))
        };
        known.push(site.ok_or_else(wrong)?);
    }
    known.extend(
        listener
            .names
            .iter()
            .map(|name| Site::new(secure, name, port)),
    );
    let ip = listener.address.ip();
    if !ip.is_unspecified() && !ip.is_loopback() {
        known.push(Site::of_address(secure, ip, port));
    }
    if ip.is_unspecified() || ip.is_loopback() {
        known.push(Site::new(secure, "localhost", port));
    }
    Ok(Sites {
        secure,
        port,
        known,
    })
}

/// Accepts until the server stops.
pub(crate) async fn accept(shared: Arc<Shared>, router: Router, bound: Bound) {
    let Ok(listener) = tokio::net::TcpListener::from_std(bound.socket) else {
        tracing::error!(address = %bound.address, "cannot listen");
        return;
    };
    loop {
        let (stream, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(why) => {
                // Out of descriptors: some will close.
                tracing::warn!(%why, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(permit) = shared.doors.enter(AddressKey::from(remote.ip())) else {
            shared.refuse(remote.ip(), Refusal::Connections);
            continue;
        };
        let Ok(local) = stream.local_addr() else {
            continue;
        };
        // Messages are short and wait for nobody.
        let _ = stream.set_nodelay(true);
        let connection = Connection {
            remote,
            local,
            sites: bound.sites.clone(),
            _permit: Arc::new(permit),
        };
        let tls = bound.tls.clone();
        tokio::spawn(serve(
            shared.clone(),
            router.clone(),
            stream,
            tls,
            connection,
        ));
    }
}

async fn serve(
    shared: Arc<Shared>,
    router: Router,
    stream: TcpStream,
    tls: Option<TlsAcceptor>,
    connection: Connection,
) {
    let patience = shared.limits.patience;
    let stream = Impatient::new(stream, patience);
    let Some(tls) = tls else {
        return serve_http(router, stream, connection, patience).await;
    };
    match tokio::time::timeout(patience, tls.accept(stream)).await {
        Ok(Ok(stream)) => serve_http(router, stream, connection, patience).await,
        Ok(Err(why)) => tracing::debug!(remote = %connection.remote, %why, "no TLS"),
        Err(_) => shared.refuse(connection.remote.ip(), Refusal::Slow),
    }
}

async fn serve_http<S>(router: Router, stream: S, connection: Connection, patience: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let remote = connection.remote;
    let service = WithConnection {
        inner: TowerToHyperService::new(router),
        connection,
    };
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        // Who has said all and closed its side still waits for the answer.
        .half_close(true)
        .header_read_timeout(patience)
        .max_buf_size(16 * 1024)
        .max_headers(64)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
    if let Err(why) = served {
        tracing::debug!(%remote, %why, "connection ended");
    }
}

/// Tells each request of its connection.
struct WithConnection {
    inner: TowerToHyperService<Router>,
    connection: Connection,
}

impl Service<Request<Incoming>> for WithConnection {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = <TowerToHyperService<Router> as Service<Request<Incoming>>>::Future;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.connection.clone());
        self.inner.call(request)
    }
}

/// A stream whose writes fail when the other side takes nothing for too long.
struct Impatient {
    stream: TcpStream,
    patience: Duration,
    waiting: bool,
    timer: Pin<Box<Sleep>>,
}

impl Impatient {
    fn new(stream: TcpStream, patience: Duration) -> Self {
        Impatient {
            stream,
            patience,
            waiting: false,
            timer: Box::pin(tokio::time::sleep(patience)),
        }
    }

    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.waiting = false;
            return poll;
        }
        if !self.waiting {
            self.waiting = true;
            self.timer.as_mut().reset(Instant::now() + self.patience);
        }
        ready!(self.timer.as_mut().poll(context));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.watch(context, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
