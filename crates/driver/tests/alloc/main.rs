//! What a peer takes of the heap, and what a flow takes of it, counted over all threads of the process.
#![allow(unsafe_code, reason = "a global allocator that counts")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use esp_driver::{Connection, Driver, DriverConfig};
use esp_peer::{
    Certificate, ChannelConfig, ChannelInfo, DtlsVersions, Error, Handler, PeerConfig,
    PeerConnection,
};
use esp_wire::{DataFrame, DataKind, Role, Signal};

static HELD: AtomicI64 = AtomicI64::new(0);
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Longer than anything takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// No stream has this number.
const NONE: u32 = u32::MAX;

struct Counting;

fn count(bytes: i64) {
    COUNT.fetch_add(u64::from(bytes > 0), Ordering::Relaxed);
    HELD.fetch_add(bytes, Ordering::Relaxed);
}

// SAFETY: every call goes on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(-(layout.size() as i64));
        count(size as i64);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// One at a time: the counters belong to all.
static TURN: Mutex<()> = Mutex::new(());

struct Far {
    to: Arc<Mutex<Vec<Signal<'static>>>>,
    opened: Arc<AtomicU32>,
    arrived: Arc<AtomicU64>,
    writable: Arc<Writable>,
}

/// Whether a channel that was full takes messages again.
#[derive(Default)]
struct Writable(Mutex<bool>, Condvar);

impl Writable {
    fn wait(&self) {
        let told = self.0.lock().unwrap();
        let (mut told, timeout) = self
            .1
            .wait_timeout_while(told, PATIENCE, |told| !*told)
            .unwrap();
        assert!(!timeout.timed_out(), "never writable");
        *told = false;
    }
}

impl Handler for Far {
    fn on_msg(&mut self, msg: Signal<'_>) {
        self.to.lock().unwrap().push(msg.into_owned());
    }

    fn on_channel_open(&mut self, channel: &ChannelInfo) {
        let stream_id = u32::from(channel.stream_id);
        self.opened.store(stream_id, Ordering::Release);
    }

    fn on_data(&mut self, frame: DataFrame<'_>) {
        self.arrived
            .fetch_add(frame.data.len() as u64, Ordering::Relaxed);
    }

    fn on_writable(&mut self, _: u16) {
        *self.writable.0.lock().unwrap() = true;
        self.writable.1.notify_one();
    }
}

struct End {
    connection: Connection,
    opened: Arc<AtomicU32>,
    arrived: Arc<AtomicU64>,
    writable: Arc<Writable>,
}

/// Two ends with an open channel.
fn pair(driver: &Driver, certificate: &Certificate, dtls: DtlsVersions) -> ([End; 2], u16) {
    let [for_a, for_b] = [(); 2].map(|()| Arc::<Mutex<Vec<Signal<'static>>>>::default());
    let end = |role, to| {
        let mut config = PeerConfig::default()
            .with_role(role)
            .with_data_channels(false)
            .with_certificate(certificate.clone())
            .with_dtls(dtls)
            .with_loopback();
        config.ice.interfaces = esp_peer::ice::InterfaceFilter::Only(vec!["lo".into()]);
        config.ice.ipv6 = false;
        config.automatic_channel = ChannelConfig::new("data");
        let opened = Arc::new(AtomicU32::new(NONE));
        let writable = Arc::<Writable>::default();
        let arrived = Arc::<AtomicU64>::default();
        let handler = Far {
            to,
            opened: Arc::clone(&opened),
            arrived: Arc::clone(&arrived),
            writable: Arc::clone(&writable),
        };
        End {
            connection: driver.open(config, Box::new(handler)).unwrap(),
            opened,
            arrived,
            writable,
        }
    };
    let ends = [
        end(Role::Controlling, Arc::clone(&for_b)),
        end(Role::Controlled, Arc::clone(&for_a)),
    ];
    for end in ends.iter().rev() {
        end.connection.new_connection().unwrap();
    }
    let began = Instant::now();
    let stream_of = |end: &End| end.opened.load(Ordering::Acquire);
    while ends.iter().any(|end| stream_of(end) == NONE) {
        assert!(began.elapsed() < PATIENCE, "no channel");
        for (end, signals) in ends.iter().zip([&for_a, &for_b]) {
            let signals = std::mem::take(&mut *signals.lock().unwrap());
            for signal in signals {
                let _ = end.connection.send_msg(&signal);
            }
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let stream_id = stream_of(&ends[0]) as u16;
    (ends, stream_id)
}

#[test]
fn an_idle_peer_with_an_open_channel_is_small() {
    const PAIRS: usize = 40;
    /// Bytes of heap for each.
    const BOUNDS: [(DtlsVersions, i64); 2] = [
        (DtlsVersions::Only13, 25 << 10),
        (DtlsVersions::Only12, 24 << 10),
    ];
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let driver = Driver::start(DriverConfig::default()).unwrap();
    let certificate = Certificate::generate().unwrap();
    for (dtls, bound) in BOUNDS {
        let warm: Vec<_> = (0..3).map(|_| pair(&driver, &certificate, dtls)).collect();
        let before = HELD.load(Ordering::Relaxed);
        let pairs: Vec<_> = (0..PAIRS)
            .map(|_| pair(&driver, &certificate, dtls))
            .collect();
        let began = Instant::now();
        // The last acknowledgements are still under way.
        let each = loop {
            let each = (HELD.load(Ordering::Relaxed) - before) / (2 * PAIRS as i64);
            if each <= bound || began.elapsed() > PATIENCE {
                break each;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        println!("{dtls:?}: {each} bytes a peer");
        assert!(each <= bound, "{dtls:?}: {each} bytes a peer");
        drop((warm, pairs));
    }
}

#[test]
fn a_steady_flow_allocates_nothing_for_packets() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let certificate = Certificate::generate().unwrap();
    for dtls in [DtlsVersions::Only13, DtlsVersions::Only12] {
        for size in [65_536, 1_024] {
            let driver = Driver::start(DriverConfig::default()).unwrap();
            let (ends, stream_id) = pair(&driver, &certificate, dtls);
            let message = vec![5; size];
            let send_until = |bytes: u64| {
                while ends[1].arrived.load(Ordering::Relaxed) < bytes {
                    let frame = DataFrame {
                        kind: DataKind::Binary,
                        stream_id,
                        data: &message,
                    };
                    match ends[0].connection.send_data(frame) {
                        Ok(()) => {}
                        Err(Error::WouldBlock) => ends[0].writable.wait(),
                        Err(error) => panic!("{error}"),
                    }
                }
                ends[1].arrived.load(Ordering::Relaxed)
            };
            // Queues find new heights until all buffers that there can be have come about; from then on neither
            // packets nor messages take anything.
            let mut arrived = send_until(30_000_000);
            let settled = (0..30).any(|_| {
                let before = COUNT.load(Ordering::Relaxed);
                let packets = (send_until(arrived + 15_000_000) - arrived) / 1_400;
                arrived += packets * 1_400;
                let count = COUNT.load(Ordering::Relaxed) - before;
                println!("{dtls:?}, {size} bytes: {count} allocations, {packets} packets");
                count <= packets / 1_000
            });
            assert!(settled, "{dtls:?}, messages of {size} bytes");
        }
    }
}
