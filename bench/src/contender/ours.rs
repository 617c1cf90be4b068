//! Our own stack: two drivers, as two applications would have, and signals handed over in memory.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use esp_driver::{Connection, Driver, DriverConfig};
use esp_ice::InterfaceFilter;
use esp_peer::{
    Certificate, ChannelConfig, ChannelInfo, DtlsVersions, Error, Handler, Notice, PeerConfig,
    PeerConnection, State,
};
use esp_wire::{Codec, DataFrame, DataKind, Direction, Frame, Role, Signal, VideoInfo};

use super::{Arrived, Contender, PATIENCE, Pair, SMALL, Wish, Writable, sized};
use crate::suite::RTP_PAYLOAD;

/// Packets of one frame: what an encoder at a few Mbit/s hands over at a time.
const PACKETS_OF_FRAME: u32 = 20;

/// Our stack.
#[derive(Default)]
pub(crate) struct Ours {
    drivers: Option<[Driver; 2]>,
    certificate: Option<Certificate>,
    variant: Variant,
}

/// What is not as by default.
#[derive(Clone, Copy, Default)]
struct Variant {
    dtls: DtlsVersions,
    datagram: Option<usize>,
    paced: bool,
}

impl Ours {
    /// With these versions of DTLS.
    pub(crate) fn with_dtls(mut self, versions: DtlsVersions) -> Self {
        self.variant.dtls = versions;
        self
    }

    /// With datagrams of up to this size.
    pub(crate) fn with_datagrams(mut self, most: usize) -> Self {
        self.variant.datagram = Some(most);
        self
    }

    /// With the pacer of media as it is by default.
    pub(crate) fn with_default_pacer(mut self) -> Self {
        self.variant.paced = true;
        self
    }
}

enum Told {
    Connected,
    Open(u16),
    Secured(&'static str),
    Ended(String),
}

struct End {
    told: Sender<Told>,
    other: Arc<OnceLock<Weak<Connection>>>,
    arrived: Arc<Arrived>,
    writable: Arc<Writable>,
}

impl End {
    fn tell(&self, told: Told) {
        // Nobody listens once the pair is up.
        let _ = self.told.send(told);
    }
}

impl Handler for End {
    fn on_state(&mut self, state: State) {
        if state == State::Connected {
            self.tell(Told::Connected);
        }
    }

    fn on_msg(&mut self, msg: Signal<'_>) {
        if let Some(other) = self.other.get().and_then(Weak::upgrade)
            && let Err(error) = other.send_msg(&msg)
        {
            self.tell(Told::Ended(error.to_string()));
        }
    }

    fn on_channel_open(&mut self, channel: &ChannelInfo) {
        self.tell(Told::Open(channel.stream_id));
    }

    fn on_data(&mut self, frame: DataFrame<'_>) {
        self.arrived.add(frame.data.len());
    }

    fn on_video_data(&mut self, frame: Frame<'_>) {
        // Start codes of four bytes come with each packet's unit.
        let units = frame.data.len() / (RTP_PAYLOAD + 4);
        self.arrived.add(units * RTP_PAYLOAD);
    }

    fn on_writable(&mut self, _stream_id: u16) {
        self.writable.set();
    }

    fn on_notice(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Secured { version, .. } => self.tell(Told::Secured(version)),
            Notice::Ended { reason } => self.tell(Told::Ended(reason.to_string())),
            _ => {}
        }
    }
}

/// What each end was told.
type Ears = [Receiver<Told>; 2];

struct OurPair {
    ends: [Arc<Connection>; 2],
    channels: Vec<u16>,
    writable: Arc<Writable>,
    security: &'static str,
}

fn settings(role: Role, wish: Wish, certificate: Certificate, variant: Variant) -> PeerConfig {
    let mut config = PeerConfig::default()
        .with_role(role)
        .with_dtls(variant.dtls)
        .with_certificate(certificate)
        .with_loopback();
    config.ice.interfaces = InterfaceFilter::Only(vec!["lo".into()]);
    config.ice.ipv6 = false;
    config.ice.resolve_mdns = false;
    // By default it looks for the largest that the path takes.
    config = config.with_largest_datagram(variant.datagram.unwrap_or(SMALL));
    match wish {
        Wish::Channels(_) => config.with_data_channels(true),
        Wish::Media => {
            let video = VideoInfo {
                codec: Codec::H264,
                width: 640,
                height: 480,
                fps: 30,
            };
            if !variant.paced {
                // The others do not pace: what is measured is the work.
                config.rtp = config.rtp.with_pacing(2_000_000_000, 256 * 1024);
            }
            config.with_video(Direction::SendRecv, vec![video])
        }
    }
}

impl Ours {
    /// A driver for each end, which stands for a host: only the peers of one host share the pace of their checks.
    fn drivers(&mut self) -> Result<&[Driver; 2], String> {
        let made = match self.drivers.take() {
            Some(known) => known,
            None => {
                let config = DriverConfig::default().with_shared_pacing(false);
                let driver = || Driver::start(config.clone()).map_err(|it| it.to_string());
                [driver()?, driver()?]
            }
        };
        Ok(self.drivers.insert(made))
    }

    fn certificate(&mut self) -> Result<Certificate, String> {
        let made = match self.certificate.take() {
            Some(known) => known,
            None => Certificate::generate().map_err(|it| it.to_string())?,
        };
        Ok(self.certificate.insert(made).clone())
    }

    /// Two ends that hand each other their signals.
    fn open(&mut self, wish: Wish, arrived: &Arc<Arrived>) -> Result<(OurPair, Ears), String> {
        let (variant, certificate) = (self.variant, self.certificate()?);
        let drivers = self.drivers()?;
        let writable = Arc::new(Writable::default());
        let others = [Arc::new(OnceLock::new()), Arc::new(OnceLock::new())];
        let open = |at: usize, role| {
            let (told, heard) = channel();
            let end = End {
                told,
                other: Arc::clone(&others[1 - at]),
                arrived: Arc::clone(arrived),
                writable: Arc::clone(&writable),
            };
            let config = settings(role, wish, certificate.clone(), variant);
            let opened = drivers[at].open(config, Box::new(end));
            let connection = Arc::new(opened.map_err(|it| it.to_string())?);
            let _ = others[at].set(Arc::downgrade(&connection));
            Ok::<_, String>((connection, heard))
        };
        let (near, near_told) = open(0, Role::Controlling)?;
        let (far, far_told) = open(1, Role::Controlled)?;
        let pair = OurPair {
            ends: [near, far],
            channels: Vec::new(),
            writable,
            security: "",
        };
        Ok((pair, [near_told, far_told]))
    }
}

impl Contender for Ours {
    fn connect(&mut self, wish: Wish, arrived: Arc<Arrived>) -> Result<Box<dyn Pair>, String> {
        let (mut pair, told) = self.open(wish, &arrived)?;
        for end in pair.ends.iter().rev() {
            end.new_connection().map_err(|it| it.to_string())?;
        }
        pair.wait_connected(&told)?;
        if let Wish::Channels(channels) = wish {
            pair.open_channels(channels, &told)?;
        }
        Ok(Box::new(pair))
    }

    fn apart(&self) -> Option<String> {
        self.variant.datagram.and_then(sized)
    }
}

fn wait<T>(heard: &Receiver<Told>, fits: impl Fn(Told) -> Option<T>) -> Result<T, String> {
    loop {
        match heard.recv_timeout(PATIENCE) {
            Ok(Told::Ended(reason)) => return Err(reason),
            Ok(told) => {
                if let Some(found) = fits(told) {
                    return Ok(found);
                }
            }
            Err(_) => return Err("it took too long".into()),
        }
    }
}

impl OurPair {
    fn open_channels(&mut self, channels: usize, told: &Ears) -> Result<(), String> {
        for _ in 0..channels {
            self.ends[0]
                .create_data_channel(ChannelConfig::new("bench"))
                .map_err(|it| it.to_string())?;
        }
        for (at, heard) in told.iter().enumerate() {
            for _ in 0..channels {
                let stream_id = wait(heard, |told| match told {
                    Told::Open(stream_id) => Some(stream_id),
                    _ => None,
                })?;
                if at == 0 {
                    self.channels.push(stream_id);
                }
            }
        }
        Ok(())
    }

    fn wait_connected(&mut self, told: &Ears) -> Result<(), String> {
        for heard in told {
            let mut security = "";
            while security.is_empty() {
                security = wait(heard, |told| match told {
                    Told::Secured(version) => Some(version),
                    _ => None,
                })?;
            }
            self.security = security;
            wait(heard, |told| matches!(told, Told::Connected).then_some(()))?;
        }
        Ok(())
    }
}

impl Pair for OurPair {
    fn pour(&mut self, message: usize) {
        let from = Arc::downgrade(&self.ends[0]);
        let writable = Arc::clone(&self.writable);
        let channels = self.channels.clone();
        thread::spawn(move || {
            let data = vec![7; message];
            for &stream_id in channels.iter().cycle() {
                loop {
                    let Some(from) = from.upgrade() else {
                        return;
                    };
                    let frame = DataFrame {
                        kind: DataKind::Binary,
                        stream_id,
                        data: &data,
                    };
                    match from.send_data(frame) {
                        Ok(()) => break,
                        Err(Error::WouldBlock) => {
                            drop(from);
                            writable.wait();
                        }
                        Err(_) => return,
                    }
                }
            }
        });
    }

    fn stream(&mut self, packets: u32) {
        let from = Arc::downgrade(&self.ends[0]);
        thread::spawn(move || {
            let mut unit = vec![0, 0, 0, 1, 0x41];
            unit.resize(4 + RTP_PAYLOAD, 0xa5);
            let frame = unit.repeat(PACKETS_OF_FRAME as usize);
            // Parameter sets and a key frame come first.
            let mut key = vec![0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0x96];
            key.extend_from_slice(&[0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80]);
            key.extend_from_slice(&[0, 0, 0, 1, 0x65, 0xa5, 0xa5, 0xa5]);
            let mut begins = true;
            let each = Duration::from_secs(1) * PACKETS_OF_FRAME / packets;
            let begun = Instant::now();
            for count in 0.. {
                let pts = each * count;
                if let Some(wait) = pts.checked_sub(begun.elapsed()) {
                    thread::sleep(wait);
                }
                let Some(from) = from.upgrade() else {
                    return;
                };
                let data = if begins { &key } else { &frame };
                match from.send_video(Frame { pts, data }) {
                    Ok(()) => begins = false,
                    // It is dropped, as a camera's would be.
                    Err(Error::WouldBlock) => {}
                    Err(error) => return eprintln!("{error}"),
                }
            }
        });
    }

    fn security(&self) -> Option<String> {
        Some(self.security.to_owned())
    }
}

impl Drop for OurPair {
    fn drop(&mut self) {
        for end in &self.ends {
            end.close();
        }
    }
}
