//! libdatachannel over its C interface: callbacks on its own threads, signals handed over in them.

use std::ffi::{c_char, c_int, c_void};
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, Once};
use std::thread;
use std::time::{Duration, Instant};

use datachannel_sys as sys;

use super::{Arrived, BUFFERED, Contender, PATIENCE, Pair, Wish, Writable, sized};
use crate::suite::RTP_PAYLOAD;

/// What its setting of the MTU counts besides a datagram: the headers of UDP and IPv6.
const HEADERS: usize = 48;
/// Packets written at a time.
const BURST: u32 = 20;
const RTP_HEADER: usize = 12;
const PAYLOAD_TYPE: u8 = 102;
const SSRC: u32 = 0x5ca1_ab1e;

/// libdatachannel.
pub(crate) struct LibDataChannel {
    datagram: usize,
}

impl LibDataChannel {
    /// With datagrams of at most this size.
    pub(crate) fn new(datagram: usize) -> Self {
        static ONCE: Once = Once::new();
        // SAFETY: plain calls without arguments that would have to live on.
        ONCE.call_once(|| unsafe {
            sys::rtcInitLogger(sys::rtcLogLevel_RTC_LOG_NONE, None);
            sys::rtcPreload();
        });
        LibDataChannel { datagram }
    }
}

enum Told {
    Connected,
    Open,
    Failed,
}

/// What the callbacks of one connection, its channels and its track are given.
struct End {
    told: Sender<Told>,
    other: AtomicI32,
    arrived: Arc<Arrived>,
    writable: Arc<Writable>,
    /// Channels and tracks of this end, deleted with it.
    ids: Mutex<Vec<c_int>>,
}

impl End {
    fn keep(&self, id: c_int) {
        if let Ok(mut ids) = self.ids.lock() {
            ids.push(id);
        }
    }

    fn tell(&self, told: Told) {
        // Nobody listens once the pair is up.
        let _ = self.told.send(told);
    }
}

/// The end behind a user pointer.
///
/// # Safety
///
/// The pointer is that of an `End`, which is never freed.
unsafe fn end<'a>(user: *mut c_void) -> &'a End {
    unsafe { &*user.cast::<End>() }
}

unsafe extern "C" fn on_description(
    _: c_int,
    sdp: *const c_char,
    kind: *const c_char,
    user: *mut c_void,
) {
    unsafe {
        let other = end(user).other.load(Ordering::Acquire);
        sys::rtcSetRemoteDescription(other, sdp, kind);
    }
}

unsafe extern "C" fn on_candidate(
    _: c_int,
    candidate: *const c_char,
    mid: *const c_char,
    user: *mut c_void,
) {
    unsafe {
        let other = end(user).other.load(Ordering::Acquire);
        sys::rtcAddRemoteCandidate(other, candidate, mid);
    }
}

unsafe extern "C" fn on_state(_: c_int, state: sys::rtcState, user: *mut c_void) {
    let end = unsafe { end(user) };
    match state {
        sys::rtcState_RTC_CONNECTED => end.tell(Told::Connected),
        sys::rtcState_RTC_FAILED => end.tell(Told::Failed),
        _ => {}
    }
}

unsafe extern "C" fn on_open(_: c_int, user: *mut c_void) {
    unsafe { end(user) }.tell(Told::Open);
}

unsafe extern "C" fn on_buffered_low(_: c_int, user: *mut c_void) {
    unsafe { end(user) }.writable.set();
}

unsafe extern "C" fn on_message(_: c_int, _: *const c_char, size: c_int, user: *mut c_void) {
    unsafe { end(user) }
        .arrived
        .add(size.unsigned_abs() as usize);
}

unsafe extern "C" fn on_rtp(_: c_int, _: *const c_char, size: c_int, user: *mut c_void) {
    // What comes besides the packets are short reports.
    if size.unsigned_abs() as usize == RTP_HEADER + RTP_PAYLOAD {
        unsafe { end(user) }.arrived.add(RTP_PAYLOAD);
    }
}

/// A channel that the other side opened; it inherits the user pointer of its connection.
unsafe extern "C" fn on_channel(_: c_int, channel: c_int, user: *mut c_void) {
    unsafe {
        sys::rtcSetMessageCallback(channel, Some(on_message));
        end(user).keep(channel);
        end(user).tell(Told::Open);
    }
}

unsafe extern "C" fn on_track(_: c_int, track: c_int, user: *mut c_void) {
    unsafe {
        sys::rtcSetMessageCallback(track, Some(on_rtp));
        end(user).keep(track);
    }
}

fn check(code: c_int) -> Result<c_int, String> {
    match code {
        0.. => Ok(code),
        _ => Err(format!("libdatachannel answered {code}")),
    }
}

struct LibDataChannelPair {
    connections: [c_int; 2],
    channels: Vec<c_int>,
    track: Option<c_int>,
    writable: Arc<Writable>,
    heard: [Receiver<Told>; 2],
    sender: Option<thread::JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    /// Never freed: a late callback may still look at them.
    ends: [&'static End; 2],
}

fn connection(end: &'static End, datagram: usize) -> Result<c_int, String> {
    let config = sys::rtcConfiguration {
        iceServers: ptr::null_mut(),
        iceServersCount: 0,
        proxyServer: ptr::null(),
        bindAddress: c"127.0.0.1".as_ptr(),
        certificateType: sys::rtcCertificateType_RTC_CERTIFICATE_ECDSA,
        iceTransportPolicy: sys::rtcTransportPolicy_RTC_TRANSPORT_POLICY_ALL,
        enableIceTcp: false,
        enableIceUdpMux: false,
        disableAutoNegotiation: false,
        forceMediaTransport: false,
        portRangeBegin: 0,
        portRangeEnd: 0,
        mtu: c_int::try_from(datagram + HEADERS).map_err(|it| it.to_string())?,
        maxMessageSize: 0,
    };
    // SAFETY: the configuration lives through the call, the end as long as the connection.
    unsafe {
        let made = check(sys::rtcCreatePeerConnection(&raw const config))?;
        sys::rtcSetUserPointer(made, ptr::from_ref(end).cast_mut().cast());
        sys::rtcSetLocalDescriptionCallback(made, Some(on_description));
        sys::rtcSetLocalCandidateCallback(made, Some(on_candidate));
        sys::rtcSetStateChangeCallback(made, Some(on_state));
        sys::rtcSetDataChannelCallback(made, Some(on_channel));
        sys::rtcSetTrackCallback(made, Some(on_track));
        Ok(made)
    }
}

impl LibDataChannelPair {
    fn make(wish: Wish, arrived: &Arc<Arrived>, datagram: usize) -> Result<Self, String> {
        let writable = Arc::new(Writable::default());
        let made = || {
            let (told, heard) = channel();
            let end = End {
                told,
                other: AtomicI32::new(-1),
                arrived: Arc::clone(arrived),
                writable: Arc::clone(&writable),
                ids: Mutex::default(),
            };
            let end: &'static End = Box::leak(Box::new(end));
            (end, heard)
        };
        let ((a, heard_a), (b, heard_b)) = (made(), made());
        let connections = [connection(a, datagram)?, connection(b, datagram)?];
        a.other.store(connections[1], Ordering::Release);
        b.other.store(connections[0], Ordering::Release);
        LibDataChannelPair {
            connections,
            channels: Vec::new(),
            track: None,
            writable: Arc::clone(&writable),
            heard: [heard_a, heard_b],
            sender: None,
            stop: Arc::default(),
            ends: [a, b],
        }
        .offer(wish)
    }

    fn offer(mut self, wish: Wish) -> Result<Self, String> {
        match wish {
            Wish::Channels(channels) => {
                for _ in 0..channels {
                    self.open_channel()?;
                }
            }
            Wish::Media => self.open_track()?,
        }
        let channels = self.channels.len();
        for heard in &self.heard {
            let (mut connected, mut open) = (false, 0);
            while !connected || open < channels {
                match heard.recv_timeout(PATIENCE) {
                    Ok(Told::Connected) => connected = true,
                    Ok(Told::Open) => open += 1,
                    Ok(Told::Failed) => return Err("the connection failed".into()),
                    Err(_) => return Err("it took too long".into()),
                }
            }
        }
        Ok(self)
    }

    fn open_channel(&mut self) -> Result<(), String> {
        // SAFETY: the label lives through the call; the channel inherits the user pointer.
        unsafe {
            let made = sys::rtcCreateDataChannel(self.connections[0], c"bench".as_ptr());
            let made = check(made)?;
            sys::rtcSetOpenCallback(made, Some(on_open));
            sys::rtcSetBufferedAmountLowCallback(made, Some(on_buffered_low));
            self.ends[0].keep(made);
            self.channels.push(made);
        }
        Ok(())
    }

    fn open_track(&mut self) -> Result<(), String> {
        let init = sys::rtcTrackInit {
            direction: sys::rtcDirection_RTC_DIRECTION_SENDONLY,
            codec: sys::rtcCodec_RTC_CODEC_H264,
            payloadType: c_int::from(PAYLOAD_TYPE),
            ssrc: SSRC,
            mid: c"video".as_ptr(),
            name: c"bench".as_ptr(),
            msid: ptr::null(),
            trackId: ptr::null(),
            profile: ptr::null(),
        };
        // SAFETY: what it points to lives through the calls.
        unsafe {
            let made = check(sys::rtcAddTrackEx(self.connections[0], &raw const init))?;
            self.ends[0].keep(made);
            self.track = Some(made);
            check(sys::rtcSetLocalDescription(
                self.connections[0],
                ptr::null(),
            ))?;
        }
        Ok(())
    }
}

impl Contender for LibDataChannel {
    fn connect(&mut self, wish: Wish, arrived: Arc<Arrived>) -> Result<Box<dyn Pair>, String> {
        Ok(Box::new(LibDataChannelPair::make(
            wish,
            &arrived,
            self.datagram,
        )?))
    }

    fn apart(&self) -> Option<String> {
        sized(self.datagram)
    }

    fn allocates_in_rust(&self) -> bool {
        false
    }
}

fn send(id: c_int, data: &[u8]) -> bool {
    let Ok(size) = c_int::try_from(data.len()) else {
        return false;
    };
    // SAFETY: the library copies what it is given.
    unsafe { sys::rtcSendMessage(id, data.as_ptr().cast(), size) >= 0 }
}

impl Pair for LibDataChannelPair {
    fn pour(&mut self, message: usize) {
        let (channels, stop) = (self.channels.clone(), Arc::clone(&self.stop));
        let writable = Arc::clone(&self.writable);
        let most = (BUFFERED / channels.len().max(1)).max(message);
        let least = c_int::try_from(most / 2).unwrap_or(c_int::MAX);
        for &channel in &channels {
            // SAFETY: plain numbers.
            unsafe { sys::rtcSetBufferedAmountLowThreshold(channel, least) };
        }
        self.sender = Some(thread::spawn(move || {
            let data = vec![7; message];
            for &channel in channels.iter().cycle() {
                // SAFETY: a plain number.
                while unsafe { sys::rtcGetBufferedAmount(channel) } as usize >= most {
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                    writable.wait();
                }
                if stop.load(Ordering::Relaxed) || !send(channel, &data) {
                    return;
                }
            }
        }));
    }

    fn stream(&mut self, packets: u32) {
        let (Some(track), stop) = (self.track, Arc::clone(&self.stop)) else {
            return;
        };
        self.sender = Some(thread::spawn(move || {
            let mut packet = vec![0xa5; RTP_HEADER + RTP_PAYLOAD];
            packet[..2].copy_from_slice(&[0x80, PAYLOAD_TYPE]);
            packet[8..12].copy_from_slice(&SSRC.to_be_bytes());
            packet[12] = 0x41;
            let each = Duration::from_secs(1) * BURST / packets;
            let begun = Instant::now();
            for burst in 0_u32.. {
                if let Some(wait) = (each * burst).checked_sub(begun.elapsed()) {
                    thread::sleep(wait);
                }
                packet[4..8].copy_from_slice(&burst.wrapping_mul(90).to_be_bytes());
                for at in 0..BURST {
                    let number = (burst.wrapping_mul(BURST).wrapping_add(at) & 0xffff) as u16;
                    packet[2..4].copy_from_slice(&number.to_be_bytes());
                    // It is not told from a full socket that the track is gone.
                    let _ = send(track, &packet);
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            }
        }));
    }
}

impl Drop for LibDataChannelPair {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.writable.set();
        if let Some(sender) = self.sender.take() {
            let _ = sender.join();
        }
        for (connection, end) in self.connections.into_iter().zip(self.ends) {
            let ids = end.ids.lock().map(|mut ids| std::mem::take(&mut *ids));
            // SAFETY: nothing uses these numbers after it, and ends outlive late callbacks.
            unsafe {
                for id in ids.unwrap_or_default() {
                    sys::rtcDelete(id);
                }
                sys::rtcDeletePeerConnection(connection);
            }
        }
    }
}
