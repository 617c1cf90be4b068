use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use esp_rooms::{Event, Left, Limits, Refusal};

use crate::client::{House, PATIENCE, Socket, calm, read_answer, wait_for};

const BYE: &str = r#"{"type":"bye"}"#;
const EXPIRED: &str = r#"{"type":"bye","reason":"expired"}"#;

/// The silent expire soon.
fn expiring() -> Limits {
    Limits {
        ghost_expiry: Duration::from_secs(3),
        ping_interval: Duration::from_millis(500),
        ..calm()
    }
}

/// Whoever keeps the server waiting is cut soon.
fn impatient() -> Limits {
    Limits {
        patience: Duration::from_secs(2),
        ..calm()
    }
}

/// What a client hears whose socket is read until it closes, which answers the pings.
fn listen(mut socket: Socket) -> Receiver<String> {
    let (sender, heard) = channel();
    std::thread::spawn(move || {
        while let Some(value) = socket.next() {
            let _ = sender.send(value["msg"].as_str().unwrap().to_owned());
        }
    });
    heard
}

#[test]
fn ghosts_expire_and_the_living_stay() {
    let house = House::open(expiring());
    let living = ["one", "two"].map(|room| {
        let heard = listen(house.register(&house.join(room)));
        (room, heard)
    });
    // Never registered.
    let ghost = house.join("one");
    // Registered, and silent: its socket is open, but it reads and answers nothing.
    let silent = house.join("two");
    let mut stuck = house.register(&silent);
    let mut gone = Vec::new();
    while gone.len() < 2 {
        let event = house.events.recv_timeout(PATIENCE).unwrap();
        if let Event::Left { client, how, .. } = event {
            assert_eq!(how, Left::Silent);
            gone.push(client);
        }
    }
    gone.sort();
    let mut expected = [ghost.id, silent.id];
    expected.sort();
    assert_eq!(gone, expected);
    assert_eq!(stuck.next(), None);
    // Those who stayed are known still, and the initiators.
    for (room, heard) in living {
        assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), EXPIRED);
        let next = house.join(room);
        assert!(!next.initiator());
        // Whether it is in time or not.
        house.post(&next.path("leave"), "");
        let bye = heard.recv_timeout(PATIENCE).unwrap();
        assert!([BYE, EXPIRED].contains(&bye.as_str()), "{bye}");
    }
    assert!(house.server.stats().expired >= 2);
    assert_eq!(house.server.stats().rooms, 2);
}

#[test]
fn a_lost_socket_expires_like_silence() {
    let house = House::open(expiring());
    let member = house.join("demo");
    drop(house.register(&member));
    house.until_left(&member);
    assert!(house.join("demo").initiator());
}

#[test]
fn a_head_that_does_not_end_is_cut() {
    let house = House::open(impatient());
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
    let house = House::open(impatient());
    let mut stream = house.connect();
    let request = format!("GET /r/demo HTTP/1.1\r\nHost: {}\r\n\r\n", house.host());
    stream.write_all(request.as_bytes()).unwrap();
    // Ends because the server closes what is idle.
    assert_eq!(read_answer(&mut stream).status, 200);
}

#[test]
fn a_body_that_does_not_come_is_not_waited_for() {
    let house = House::open(impatient());
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
    let house = House::open(impatient());
    let mut socket = house.socket(None).unwrap();
    assert!(socket.complaint().contains("too long"));
}

#[test]
fn many_slow_clients_do_not_keep_others_out() {
    let house = House::open(Limits {
        connections_per_address: 20,
        ..impatient()
    });
    let mut slow: Vec<_> = (0..20).map(|_| house.connect()).collect();
    for stream in &mut slow {
        // The first may be cut before the last has come.
        let _ = stream.write_all(b"POST /join");
    }
    for stream in &mut slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    wait_for(|| house.server.stats().connections == 0);
    assert_eq!(house.get("/").status, 200);
}

#[test]
fn who_does_not_take_its_messages_is_left_behind() {
    let house = House::open(Limits {
        queue_bytes: 256 * 1024,
        rate: 100_000,
        burst: 100_000,
        ..impatient()
    });
    let (first, second) = (house.join("demo"), house.join("demo"));
    let mut a = house.register(&first);
    let _stuck = house.register(&second);
    let big = format!("{{\"type\":\"{}\"}}", "x".repeat(60_000));
    // Until the kernel's buffers and the queue are full.
    wait_for(|| {
        a.say(&big);
        house.server.stats().dropped > 0
    });
    wait_for(|| house.server.stats().connections == 1);
    assert_eq!(house.server.stats().clients, 2);
}
