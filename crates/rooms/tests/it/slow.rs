use std::io::{Read, Write};
use std::time::Duration;

use esp_rooms::{Event, Left, Limits, Refusal};

use crate::client::{House, read_answer};

const EXPIRED: &str = r#"{"type":"bye","reason":"expired"}"#;

fn quick() -> Limits {
    Limits {
        ghost_expiry: Duration::from_millis(600),
        ping_interval: Duration::from_millis(100),
        patience: Duration::from_millis(300),
        ..Limits::default()
    }
}

#[test]
fn ghosts_expire_and_the_living_stay() {
    let house = House::open(quick());
    let alive = house.join("demo");
    let mut a = house.register(&alive);
    // Reading answers the pings.
    let reader = std::thread::spawn(move || {
        let heard = [a.hear(), a.hear()];
        (a, heard)
    });
    // Never registered.
    let ghost = house.join("demo");
    assert!(!ghost.initiator());
    let Event::Left { how, .. } = house.until_left(&ghost) else {
        unreachable!()
    };
    assert_eq!(how, Left::Silent);
    // Registered, and silent: its socket is open, but it reads and answers nothing.
    let silent = house.join("demo");
    let mut b = house.register(&silent);
    house.until_left(&silent);
    let (mut a, heard) = reader.join().unwrap();
    assert_eq!(heard, [EXPIRED, EXPIRED]);
    assert_eq!(b.next(), None);
    // The one who stayed is known still, and the initiator.
    a.say("{}");
    let next = house.join("demo");
    assert!(!next.initiator());
    assert_eq!(house.server.stats().expired, 2);
    assert_eq!(house.server.stats().rooms, 1);
}

#[test]
fn a_lost_socket_expires_like_silence() {
    let house = House::open(quick());
    let member = house.join("demo");
    drop(house.register(&member));
    house.until_left(&member);
    assert!(house.join("demo").initiator());
}

#[test]
fn a_head_that_does_not_end_is_cut() {
    let house = House::open(quick());
    let mut idle = house.connect();
    let mut slow = house.connect();
    slow.write_all(b"POST /join/demo HTTP/1.1\r\nHost: loc")
        .unwrap();
    for stream in [&mut idle, &mut slow] {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        let text = String::from_utf8_lossy(&rest);
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 408"),
            "{text}"
        );
    }
}

#[test]
fn a_kept_connection_is_not_kept_for_ever() {
    let house = House::open(quick());
    let mut stream = house.connect();
    let request = format!("GET /r/demo HTTP/1.1\r\nHost: {}\r\n\r\n", house.host());
    stream.write_all(request.as_bytes()).unwrap();
    // Ends because the server closes what is idle.
    assert_eq!(read_answer(&mut stream).status, 200);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let house = House::open(quick());
    let member = house.join("demo");
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Length: 100\r\n\r\n{{\"ty",
        member.path("message"),
        house.host()
    );
    assert_eq!(house.raw(head.as_bytes()).status, 408);
    assert_eq!(house.server.refused(Refusal::Slow), 1);
}

#[test]
fn a_socket_that_does_not_register_is_closed() {
    let house = House::open(quick());
    let mut socket = house.socket(None).unwrap();
    assert!(socket.complaint().contains("too long"));
}

#[test]
fn many_slow_clients_do_not_keep_others_out() {
    let house = House::open(Limits {
        connections_per_address: 20,
        ..quick()
    });
    let mut slow: Vec<_> = (0..20).map(|_| house.connect()).collect();
    for stream in &mut slow {
        stream.write_all(b"POST /join").unwrap();
    }
    for stream in &mut slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    while house.server.stats().connections > 0 {
        std::thread::yield_now();
    }
    assert_eq!(house.get("/").status, 200);
}

#[test]
fn who_does_not_take_its_messages_is_left_behind() {
    let house = House::open(Limits {
        ghost_expiry: Duration::from_secs(60),
        patience: Duration::from_millis(500),
        queue_bytes: 256 * 1024,
        rate: 100_000,
        burst: 100_000,
        ..Limits::default()
    });
    let (first, second) = (house.join("demo"), house.join("demo"));
    let mut a = house.register(&first);
    let _stuck = house.register(&second);
    let big = format!("{{\"type\":\"{}\"}}", "x".repeat(60_000));
    // Until the kernel's buffers and the queue are full.
    while house.server.stats().dropped == 0 {
        a.say(&big);
    }
    while house.server.stats().connections > 1 {
        std::thread::yield_now();
    }
    assert_eq!(house.server.stats().clients, 2);
}
