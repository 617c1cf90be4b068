//! What panics ends alone, and what was opened is given back.

use std::panic::panic_any;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use esp_driver::Connection;
use esp_peer::rtp::{Buffers, EncodedSize, FrameInfo, TransformError};
use esp_peer::{Error, Handler, PeerConnection, RtpTransformer, State, TransformerSide};
use esp_wire::{Frame, Role};

use crate::pair::{PATIENCE, Told, begin, config, connected, driver, ends};

const SOUND: Frame<'static> = Frame {
    pts: Duration::ZERO,
    data: b"a packet of sound",
};

/// Panics with its first frame.
struct Defect;

impl RtpTransformer for Defect {
    fn encoded_size(&mut self, _: FrameInfo, _: &[u8]) -> EncodedSize {
        panic_any("a defect, on purpose")
    }

    fn transform(&mut self, _: FrameInfo, _: Buffers<'_>) -> Result<usize, TransformError> {
        panic_any("a defect, on purpose")
    }
}

#[test]
fn a_peer_that_panics_ends_alone() {
    let driver = driver();
    let open = |config, handler| driver.open(config, handler).unwrap();
    let first = ends(&open, [None, None]);
    let second = ends(&open, [None, None]);
    for pair in [&first, &second] {
        begin(pair);
        for end in pair {
            end.wait_state(State::Connected);
        }
    }
    let [a, b] = &first;
    a.connection
        .set_rtp_transformer(TransformerSide::Sender, Some(Box::new(Defect)))
        .unwrap();
    a.connection.send_audio(SOUND).unwrap();
    a.wait_state(State::Closed);
    assert!(matches!(a.connection.query(), Err(Error::WrongState(_))));
    assert!(a.connection.send_audio(SOUND).is_err());
    assert!(b.connection.query().is_ok());
    let [c, d] = &second;
    c.connection.send_audio(SOUND).unwrap();
    d.wait(|told| matches!(told, Told::Audio(data) if data == SOUND.data).then_some(()));
}

#[test]
fn a_handler_that_panics_is_called_no_more_and_others_are() {
    let driver = driver();
    let open = |config, handler| driver.open(config, handler).unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let hook = {
        let calls = Arc::clone(&calls);
        Box::new(move |told: &Told| {
            if matches!(told, Told::Audio(_)) {
                calls.fetch_add(1, Ordering::Relaxed);
                panic_any("a defect, on purpose");
            }
        })
    };
    let first = ends(&open, [Some(hook), None]);
    begin(&first);
    for end in &first {
        end.wait_state(State::Connected);
    }
    // More handlers panic than there are threads to call them, one after the other.
    let [a, b] = &first;
    for _ in 0..8 {
        b.connection.send_audio(SOUND).unwrap();
    }
    a.wait_gone();
    assert_eq!(calls.load(Ordering::Relaxed), 1);
    let second = ends(&open, [None, None]);
    begin(&second);
    for end in &second {
        end.wait_state(State::Connected);
    }
}

/// A handler that closes and drops its own connection from within its first call.
struct Suicidal {
    own: Arc<Mutex<Option<Connection>>>,
    dropped: std::sync::mpsc::Sender<()>,
}

impl Handler for Suicidal {
    fn on_state(&mut self, _: State) {
        let own = self.own.lock().unwrap().take();
        if let Some(own) = own {
            own.close();
            assert!(own.new_connection().is_err());
        }
    }
}

impl Drop for Suicidal {
    fn drop(&mut self) {
        let _ = self.dropped.send(());
    }
}

#[test]
fn a_callback_may_close_and_drop_its_own_connection_and_the_driver() {
    let (dropped, gone) = channel();
    let own = Arc::new(Mutex::new(None));
    let driver = driver();
    let handler = Suicidal {
        own: Arc::clone(&own),
        dropped,
    };
    // The lock keeps the first call waiting until all is in place.
    let mut place = own.lock().unwrap();
    let connection = driver
        .open(config(Role::Controlling), Box::new(handler))
        .unwrap();
    drop(driver);
    connection.new_connection().unwrap();
    *place = Some(connection);
    drop(place);
    gone.recv_timeout(PATIENCE).unwrap();
}

/// Holds its own connection, as applications do.
struct Holder {
    own: Arc<OnceLock<Arc<Connection>>>,
    closed: bool,
}

impl Handler for Holder {
    fn on_state(&mut self, _: State) {
        if !std::mem::replace(&mut self.closed, true) {
            self.own.wait().close();
        }
    }
}

#[test]
fn a_handler_that_closes_within_its_own_call_is_dropped() {
    let own: Arc<OnceLock<Arc<Connection>>> = Arc::default();
    let driver = driver();
    let handler = Holder {
        own: Arc::clone(&own),
        closed: false,
    };
    let connection = driver
        .open(config(Role::Controlling), Box::new(handler))
        .unwrap();
    let connection = Arc::new(connection);
    connection.new_connection().unwrap();
    let alive: Weak<OnceLock<Arc<Connection>>> = Arc::downgrade(&own);
    own.set(Arc::clone(&connection)).ok().unwrap();
    drop(own);
    let end = std::time::Instant::now() + PATIENCE;
    while alive.strong_count() > 0 {
        assert!(
            std::time::Instant::now() < end,
            "the handler is still there"
        );
        std::thread::yield_now();
    }
}

/// Open descriptors and threads of this process.
#[cfg(target_os = "linux")]
fn held() -> [usize; 2] {
    ["/proc/self/fd", "/proc/self/task"].map(|path| std::fs::read_dir(path).unwrap().count())
}

/// The name under which the test starts its own binary, so that no other test counts.
#[cfg(target_os = "linux")]
const ALONE: &str = "ESP_DRIVER_TEST_ALONE";

#[cfg(target_os = "linux")]
#[test]
fn five_hundred_connections_leave_nothing_behind() {
    if std::env::var_os(ALONE).is_some() {
        return open_and_close_many();
    }
    let name = "defects::five_hundred_connections_leave_nothing_behind";
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(ALONE, "1")
        .status()
        .unwrap();
    assert!(status.success());
}

#[cfg(target_os = "linux")]
fn open_and_close_many() {
    struct Quiet;
    impl Handler for Quiet {}
    let before = held();
    let driver = driver();
    let round = |count: usize| {
        for number in 0..count {
            let connection = driver
                .open(config(Role::Controlling), Box::new(Quiet))
                .unwrap();
            // Some never begin, some are in the middle of gathering, some are dropped without a word.
            if number % 3 > 0 {
                connection.new_connection().unwrap();
            }
            if number % 2 > 0 {
                connection.close();
                assert!(connection.query().is_err());
            }
        }
        // An answer of the shard: all that was asked before is done.
        let last = driver
            .open(config(Role::Controlling), Box::new(Quiet))
            .unwrap();
        last.query().unwrap();
    };
    round(20);
    let warm = held();
    round(480);
    let after = held();
    assert!(
        after
            .iter()
            .zip(warm)
            .all(|(after, warm)| *after <= warm + 4),
        "descriptors and threads: {warm:?}, then {after:?}"
    );
    drop(driver);
    // Threads that have ended stay in the list of the system for a moment.
    let end = std::time::Instant::now() + PATIENCE;
    while held() != before && std::time::Instant::now() < end {
        std::thread::yield_now();
    }
    assert_eq!(held(), before);
}

/// Calls the connection that it works for.
struct Curious {
    own: Weak<Connection>,
    answer: std::sync::mpsc::Sender<bool>,
}

impl RtpTransformer for Curious {
    fn encoded_size(&mut self, _: FrameInfo, frame: &[u8]) -> EncodedSize {
        let own = self.own.upgrade();
        let answer = own.map(|own| own.query().is_err());
        let _ = self.answer.send(answer.unwrap_or_default());
        EncodedSize {
            size: frame.len(),
            in_place: true,
        }
    }

    fn transform(&mut self, _: FrameInfo, _: Buffers<'_>) -> Result<usize, TransformError> {
        panic_any("nothing is transformed here")
    }
}

#[test]
fn a_transformer_that_calls_its_connection_is_refused_and_does_not_hang() {
    let (_driver, [a, b]) = connected([None, None]);
    let (answer, answered) = channel();
    let curious = Curious {
        own: Arc::downgrade(&a.connection),
        answer,
    };
    a.connection
        .set_rtp_transformer(TransformerSide::Sender, Some(Box::new(curious)))
        .unwrap();
    a.connection.send_audio(SOUND).unwrap();
    assert!(answered.recv_timeout(PATIENCE).unwrap());
    assert!(b.connection.query().is_ok());
}

#[test]
fn closing_while_calls_are_under_way_answers_all_of_them() {
    let (_driver, [a, _b]) = connected([None, None]);
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    while a.connection.query().is_ok() {
                        let _ = a.connection.send_audio(SOUND);
                    }
                })
            })
            .collect();
        a.wait_channel();
        a.connection.close();
        for call in calls {
            call.join().unwrap();
        }
    });
}
