//! The limits of the machine: plain UDP, UDP in trains, sealing and opening; 1,200 bytes each.

use std::io::IoSliceMut;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

use super::{Arrived, Contender, Pair, Wish};

const DATAGRAM: usize = 1_200;
/// Datagrams of one train; more do not fit into 64 KiB.
const TRAIN: usize = 50;
/// What may be under way, so that little is lost: receivers are slower than senders.
const AHEAD: u64 = 2_000_000;

/// Which limit.
#[derive(Clone, Copy)]
pub(crate) enum Raw {
    /// `send` and `recv` of single datagrams.
    Plain,
    /// GSO out, GRO in.
    Segmented,
    /// AES-128-GCM, sealed and opened, without a network.
    Sealed,
}

struct RawPair {
    raw: Raw,
    arrived: Arc<Arrived>,
    stop: Arc<AtomicBool>,
}

impl Contender for Raw {
    fn connect(&mut self, _wish: Wish, arrived: Arc<Arrived>) -> Result<Box<dyn Pair>, String> {
        Ok(Box::new(RawPair {
            raw: *self,
            arrived,
            stop: Arc::default(),
        }))
    }

    fn apart(&self) -> Option<String> {
        Some("limits of the machine".into())
    }
}

impl Pair for RawPair {
    fn pour(&mut self, _message: usize) {
        let (arrived, stop) = (Arc::clone(&self.arrived), Arc::clone(&self.stop));
        let raw = self.raw;
        thread::spawn(move || {
            let done = match raw {
                Raw::Plain => plain(&arrived, &stop),
                Raw::Segmented => segmented(&arrived, &stop),
                Raw::Sealed => sealed(&arrived, &stop),
            };
            if let Err(why) = done {
                eprintln!("{why}");
            }
        });
    }
}

impl Drop for RawPair {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

type Done = Result<(), Box<dyn std::error::Error>>;

fn sockets() -> std::io::Result<(UdpSocket, UdpSocket)> {
    let (from, to) = (
        UdpSocket::bind("127.0.0.1:0")?,
        UdpSocket::bind("127.0.0.1:0")?,
    );
    from.connect(to.local_addr()?)?;
    to.set_read_timeout(Some(std::time::Duration::from_millis(100)))?;
    Ok((from, to))
}

/// Lets the receiver come near: UDP itself knows no window, and loss would cost the sender alone.
fn keep_near(sent: u64, arrived: &Arrived) {
    let mut patience = 1_000;
    while sent.saturating_sub(arrived.so_far()) > AHEAD && patience > 0 {
        thread::yield_now();
        patience -= 1;
    }
}

fn plain(arrived: &Arc<Arrived>, stop: &Arc<AtomicBool>) -> Done {
    let (from, to) = sockets()?;
    let state = UdpSocketState::new((&to).into())?;
    let _ = state.set_recv_buffer_size((&to).into(), 8 << 20);
    to.set_nonblocking(false)?;
    let (counted, ended) = (Arc::clone(arrived), Arc::clone(stop));
    thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while !ended.load(Ordering::Relaxed) {
            if let Ok(got) = to.recv(&mut buffer) {
                counted.add(got);
            }
        }
    });
    let data = [7; DATAGRAM];
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        if from.send(&data).is_ok() {
            sent += DATAGRAM as u64;
        }
        if sent - arrived.so_far().min(sent) > AHEAD {
            keep_near(sent, arrived);
            // What is still missing then was lost.
            sent = sent.min(arrived.so_far() + AHEAD);
        }
    }
    Ok(())
}

fn segmented(arrived: &Arc<Arrived>, stop: &Arc<AtomicBool>) -> Done {
    let (from, to) = sockets()?;
    let out = UdpSocketState::new((&from).into())?;
    let back = UdpSocketState::new((&to).into())?;
    let _ = back.set_recv_buffer_size((&to).into(), 8 << 20);
    let destination = to.local_addr()?;
    from.set_nonblocking(false)?;
    to.set_nonblocking(false)?;
    let (counted, ended) = (Arc::clone(arrived), Arc::clone(stop));
    thread::spawn(move || {
        let mut buffer = vec![0; 8 * 65_535];
        let mut metas = [RecvMeta::default(); 8];
        while !ended.load(Ordering::Relaxed) {
            let mut chunks = buffer.chunks_exact_mut(65_535);
            let mut slices: [IoSliceMut<'_>; 8] =
                std::array::from_fn(|_| IoSliceMut::new(chunks.next().unwrap_or_default()));
            if let Ok(count) = back.recv((&to).into(), &mut slices, &mut metas) {
                counted.add(metas[..count].iter().map(|meta| meta.len).sum());
            }
        }
    });
    let most = out.max_gso_segments().clamp(1, TRAIN);
    let data = vec![7; DATAGRAM * most];
    let mut sent = 0;
    while !stop.load(Ordering::Relaxed) {
        let transmit = Transmit {
            destination,
            ecn: None,
            contents: &data,
            segment_size: Some(DATAGRAM),
            src_ip: None,
        };
        if out.try_send((&from).into(), &transmit).is_ok() {
            sent += data.len() as u64;
        }
        if sent - arrived.so_far().min(sent) > AHEAD {
            keep_near(sent, arrived);
            sent = sent.min(arrived.so_far() + AHEAD);
        }
    }
    Ok(())
}

fn sealed(arrived: &Arc<Arrived>, stop: &Arc<AtomicBool>) -> Done {
    let unspecified = |_| "no such key";
    let key = UnboundKey::new(&AES_128_GCM, &[1; 16]).map_err(unspecified)?;
    let key = LessSafeKey::new(key);
    let mut data = vec![7; DATAGRAM];
    for count in 0_u64.. {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&count.to_be_bytes());
        let of = || Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(of(), Aad::empty(), &mut data)
            .map_err(unspecified)?;
        key.open_in_place(of(), Aad::empty(), &mut data)
            .map_err(unspecified)?;
        data.truncate(DATAGRAM);
        arrived.add(DATAGRAM);
        if count % 1_024 == 0 && stop.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}
