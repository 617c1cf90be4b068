//! Settings of a driver.

use std::time::Duration;

use crate::ServerTrust;

/// Bytes that a datagram has room in, whatever its path: more than any Ethernet carries.
pub(crate) const LEAST_MEMORY: usize = 2_048;

/// How many threads and how much memory a driver uses.
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// Threads that own peers and their sockets; each peer lives on one of them.
    pub shards: usize,
    /// The most threads that call applications; they start when all others are in a call.
    pub delivery_threads: usize,
    /// Bytes of frames that may wait for one application, and as many of messages and other events; over
    /// it, frames are dropped, and data channels close their window.
    pub mailbox_bytes: usize,
    /// Bytes of frames that may wait for the shard, for each connection (`send_pool_size`).
    pub media_outbox_bytes: usize,
    /// Bytes of data channel messages that may wait for the shard, for each connection.
    pub data_outbox_bytes: usize,
    /// Bytes that each shard receives datagrams and streams into, for all its peers; at least 2,048.
    ///
    /// From 65,535 on, the system may merge datagrams of one sender (GRO, on Linux and Android), and hands over one
    /// such run for each 65,535 bytes, eight of them at most in a call. With less, datagrams come one by one, up to
    /// eight in a call; each has an eighth, but no less than 2,048 bytes. What is longer is cut, and dropped by
    /// whoever it was for.
    pub receive_memory: usize,
    /// Bytes that each shard lays datagrams out in before they leave together, for all its peers; at least 2,048, of
    /// use up to 65,000. No datagram of a peer gets larger.
    pub send_memory: usize,
    /// Receive buffer asked of the system for each socket, in bytes.
    pub socket_receive_buffer: usize,
    /// Send buffer asked of the system for each socket, in bytes.
    pub socket_send_buffer: usize,
    /// How long a stream to a server may take until it is open, TLS included.
    pub stream_connect_timeout: Duration,
    /// Bytes that may wait in each stream; datagrams over it are dropped whole.
    pub stream_queue_bytes: usize,
    /// The most streams that the listeners of one peer hold at a time.
    pub accepted_streams: usize,
    /// Whose certificates the TLS streams to servers accept.
    pub server_trust: ServerTrust,
    /// How often the addresses of this host are looked at where the system does not tell of changes;
    /// where it does, 15 times more seldom.
    pub interface_interval: Duration,
    /// How long a name may take to resolve.
    pub resolve_timeout: Duration,
    /// How long one `main_loop` of a connection without threads waits for the network at most
    /// (`agent_recv_timeout`).
    pub main_loop_wait: Duration,
    /// The UDP port that all peers of a shard share on each address of this host, for servers with a firewall
    /// that lets in one port: shard `n`, counted from 0, takes this port plus `n`; 0 lets the system choose.
    /// With `None` each peer has sockets of its own. Peers with a port range of their own
    /// (`ice::Config::ports`) do not share. A TURN server knows its clients by address and port: towards servers over
    /// UDP each peer has sockets of its own, on ports of the system's choice, which nobody has to reach.
    pub shared_port: Option<u16>,
    /// Whether the peers of all drivers of this process together begin at most one check or request to a
    /// server in 5 ms (RFC 8445 §14.2).
    pub shared_pacing: bool,
}

impl Default for DriverConfig {
    fn default() -> Self {
        DriverConfig {
            shards: 1,
            delivery_threads: 4,
            mailbox_bytes: 1 << 20,
            media_outbox_bytes: 400_000,
            data_outbox_bytes: 1 << 20,
            receive_memory: 512 * 1024,
            send_memory: 65_000,
            socket_receive_buffer: 1 << 20,
            socket_send_buffer: 1 << 20,
            stream_connect_timeout: Duration::from_secs(10),
            stream_queue_bytes: 256 * 1024,
            accepted_streams: 64,
            server_trust: ServerTrust::default(),
            interface_interval: Duration::from_secs(2),
            resolve_timeout: Duration::from_secs(5),
            main_loop_wait: Duration::from_millis(100),
            shared_port: None,
            shared_pacing: true,
        }
    }
}

impl DriverConfig {
    /// Sets the number of threads that own peers; at least 1.
    pub fn with_shards(mut self, shards: usize) -> Self {
        self.shards = shards.max(1);
        self
    }

    /// Sets the most threads that call applications; at least 1.
    pub fn with_delivery_threads(mut self, threads: usize) -> Self {
        self.delivery_threads = threads.max(1);
        self
    }

    /// Sets the bytes that each shard receives into.
    pub fn with_receive_memory(mut self, bytes: usize) -> Self {
        self.receive_memory = bytes;
        self
    }

    /// Sets the bytes that each shard sends from.
    pub fn with_send_memory(mut self, bytes: usize) -> Self {
        self.send_memory = bytes;
        self
    }

    /// Sets the UDP port that the peers of a shard share.
    pub fn with_shared_port(mut self, port: Option<u16>) -> Self {
        self.shared_port = port;
        self
    }

    /// Sets whether the peers of this process share the pace of their checks.
    pub fn with_shared_pacing(mut self, shared: bool) -> Self {
        self.shared_pacing = shared;
        self
    }

    /// Sets whose certificates the TLS streams to servers accept.
    pub fn with_server_trust(mut self, trust: ServerTrust) -> Self {
        self.server_trust = trust;
        self
    }

    /// Whether it makes sense; in words what does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let memories = [
            ("receive_memory", self.receive_memory),
            ("send_memory", self.send_memory),
        ];
        for (name, bytes) in memories {
            if bytes < LEAST_MEMORY {
                return Err(format!(
                    "`{name}` is {bytes} bytes: a datagram needs {LEAST_MEMORY}"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use esp_peer::{Error, Handler, PeerConfig};

    use super::*;
    use crate::{Connection, Driver};

    struct Deaf;

    impl Handler for Deaf {}

    #[test]
    fn memory_that_holds_no_datagram_is_refused_in_words() {
        let few = [
            DriverConfig::default().with_receive_memory(LEAST_MEMORY - 1),
            DriverConfig::default().with_send_memory(0),
        ];
        for (config, name) in few.into_iter().zip(["receive_memory", "send_memory"]) {
            let started = Driver::start(config.clone()).map(drop);
            let refused = started.unwrap_err();
            assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
            assert!(refused.to_string().contains(name), "{refused}");
            let opened = Connection::open_manual(config, PeerConfig::default(), Box::new(Deaf));
            let Err(Error::InvalidArgument(words)) = opened.map(drop) else {
                panic!("it was opened");
            };
            assert!(words.contains(name), "{words}");
        }
        let least = DriverConfig::default()
            .with_receive_memory(LEAST_MEMORY)
            .with_send_memory(LEAST_MEMORY);
        Driver::start(least).unwrap();
    }
}
