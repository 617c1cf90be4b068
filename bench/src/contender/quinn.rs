//! The mark from the neighbouring field: one QUIC stream, in datagrams of 1,200 bytes too.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use quinn::rustls::pki_types::PrivateKeyDer;
use quinn::rustls::{self, RootCertStore};
use quinn::{
    ClientConfig, Connection, Endpoint, EndpointConfig, ServerConfig, TokioRuntime, TransportConfig,
};
use tokio::runtime::Runtime;

use super::{Arrived, Contender, Pair, Wish, runtime, sized};

/// QUIC by quinn.
pub(crate) struct Quinn {
    runtime: Option<Arc<Runtime>>,
    datagram: usize,
}

impl Quinn {
    /// With datagrams of at most this size.
    pub(crate) fn new(datagram: usize) -> Self {
        Quinn {
            runtime: None,
            datagram,
        }
    }
}

struct QuinnPair {
    runtime: Arc<Runtime>,
    client: Connection,
    _ends: [Endpoint; 2],
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn transport(datagram: u16) -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .initial_mtu(datagram)
        .min_mtu(datagram)
        .mtu_discovery_config(None);
    Arc::new(transport)
}

fn endpoint() -> Result<EndpointConfig, Failure> {
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(65_000)?;
    Ok(config)
}

fn ends(datagram: u16) -> Result<([Endpoint; 2], SocketAddr), Failure> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".into()])?;
    let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let mut server = ServerConfig::with_single_cert(vec![made.cert.der().clone()], key)?;
    server.transport_config(transport(datagram));
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone())?;
    let bind = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
    let runtime = || Arc::new(TokioRuntime);
    let server = Endpoint::new(endpoint()?, Some(server), bind()?, runtime())?;
    let tls = rustls::ClientConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_protocol_versions(&[&rustls::version::TLS13])?
    .with_root_certificates(roots)
    .with_no_client_auth();
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls)?;
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(transport(datagram));
    let mut client = Endpoint::new(endpoint()?, None, bind()?, runtime())?;
    client.set_default_client_config(config);
    let address = server.local_addr()?;
    Ok(([client, server], address))
}

async fn receive(connection: Connection, arrived: Arc<Arrived>) -> Result<(), Failure> {
    let mut stream = connection.accept_uni().await?;
    while let Some(chunk) = stream.read_chunk(usize::MAX, true).await? {
        arrived.add(chunk.bytes.len());
    }
    Ok(())
}

impl Contender for Quinn {
    fn connect(&mut self, _wish: Wish, arrived: Arc<Arrived>) -> Result<Box<dyn Pair>, String> {
        let runtime = runtime(&mut self.runtime)?;
        let datagram = u16::try_from(self.datagram).map_err(|it| it.to_string())?;
        let connected = runtime.block_on(async {
            let (ends, address) = ends(datagram)?;
            let accepting = ends[1].clone();
            tokio::spawn(async move {
                if let Some(incoming) = accepting.accept().await
                    && let Ok(connection) = incoming.await
                {
                    let _ = receive(connection, arrived).await;
                }
            });
            let client = ends[0].connect(address, "localhost")?.await?;
            Ok::<_, Failure>((client, ends))
        });
        let (client, ends) = connected.map_err(|it| it.to_string())?;
        Ok(Box::new(QuinnPair {
            runtime,
            client,
            _ends: ends,
        }))
    }

    fn apart(&self) -> Option<String> {
        sized(self.datagram)
    }

    fn has_messages(&self) -> bool {
        false
    }
}

impl Pair for QuinnPair {
    fn pour(&mut self, message: usize) {
        let client = self.client.clone();
        self.runtime.spawn(async move {
            let data = vec![7; message];
            let Ok(mut stream) = client.open_uni().await else {
                return;
            };
            while stream.write_all(&data).await.is_ok() {}
        });
    }

    fn security(&self) -> Option<String> {
        Some("TLS 1.3".into())
    }
}

impl Drop for QuinnPair {
    fn drop(&mut self) {
        self.client.close(0_u32.into(), b"");
    }
}
