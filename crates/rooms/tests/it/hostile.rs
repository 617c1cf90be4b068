use std::io::{Read, Write};
use std::time::Instant;

use esp_rooms::{Config, Limits, Refusal};
use serde_json::json;
use tungstenite::Message;

use crate::client::{House, PATIENCE, calm, shut_and_read, wait_for};

#[test]
fn a_page_of_another_site_gets_nowhere() {
    let house = House::open(calm());
    let member = house.join("demo");
    let port = house.address.port();
    let near = format!("https://localhost:{port}");
    for origin in [
        "https://evil.example",
        "http://localhost:1",
        "null",
        near.as_str(),
        "",
    ] {
        let headers = [("Origin", origin)];
        for line in [
            "POST /join/demo".to_owned(),
            "POST /ice".to_owned(),
            format!("POST {}", member.path("message")),
            format!("POST {}", member.path("post")),
            format!("POST {}", member.path("leave")),
            format!("DELETE {}", member.path("post")),
            "OPTIONS /join/demo".to_owned(),
            "GET /".to_owned(),
        ] {
            let answer = house.ask(&line, &headers, "");
            assert_eq!(answer.status, 403, "{origin} {line}");
        }
        match house.socket(Some(origin)) {
            Err(tungstenite::Error::Http(response)) => assert_eq!(response.status(), 403),
            other => panic!("{origin}: {:?}", other.map(|_| ())),
        }
    }
    assert_eq!(house.server.stats().clients, 1);
    assert!(house.server.refused(Refusal::Origin) >= 45);
    // Its own page, and whoever is no page, may.
    let own = format!("http://localhost:{port}");
    assert!(house.socket(Some(&own)).is_ok() && house.socket(None).is_ok());
    let answer = house.ask("POST /join/demo", &[("Origin", &own)], "");
    assert_eq!(answer.result(), "SUCCESS");
}

#[test]
fn what_a_browser_tells_of_another_site_counts_too() {
    let house = House::open(calm());
    let image = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "no-cors"),
        ("Sec-Fetch-Dest", "image"),
    ];
    assert_eq!(house.ask("GET /app/icon.svg", &image, "").status, 403);
    assert_eq!(house.ask("POST /join/demo", &image, "").status, 403);
    let link = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Mode", "navigate"),
        ("Sec-Fetch-Dest", "document"),
    ];
    assert_eq!(house.ask("GET /r/demo", &link, "").status, 200);
}

#[test]
fn a_name_that_was_rebound_is_not_ours() {
    let house = House::open(calm());
    let port = house.address.port();
    let evil = format!("evil.example:{port}");
    for host in [
        evil.as_str(),
        "localhost",
        "127.0.0.1",
        "localhost:1",
        "[::1]:1",
        "",
        "localhost:99999",
    ] {
        let answer = house.ask("POST /join/demo", &[("Host", host)], "");
        assert_eq!(answer.status, 403, "{host}");
    }
    let twice = format!(
        "POST /join/demo HTTP/1.1\r\nHost: localhost:{port}\r\nHost: localhost:{port}\r\n\r\n"
    );
    let none = "POST /join/demo HTTP/1.0\r\n\r\n";
    for request in [twice.as_str(), none] {
        let status = shut_and_read(house.address, request).status;
        assert!([400, 403].contains(&status), "{status} for {request:?}");
    }
    let absolute = format!(
        "POST http://evil.example/join/demo HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
    );
    assert_eq!(house.raw(absolute.as_bytes()).status, 403);
    assert_eq!(house.server.stats().clients, 0);
}

#[test]
fn no_answer_invites_other_sites() {
    let house = House::open(calm());
    let member = house.join("demo");
    for answer in [
        house.get("/"),
        house.get("/r/demo"),
        house.get("/nothing"),
        house.get("/app/room.js"),
        house.post("/join/demo", ""),
        house.post("/join/a%20b", ""),
        house.post(&member.path("message"), "x"),
        house.ask("GET /", &[("Origin", "https://evil.example")], ""),
        house.ask("PUT /join/demo", &[], ""),
    ] {
        assert!(
            !answer.head.to_ascii_lowercase().contains("access-control"),
            "{}",
            answer.head
        );
        let policy = answer.header("content-security-policy").unwrap();
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ] {
            assert!(policy.contains(rule), "{policy}");
        }
        assert!(!policy.contains("unsafe"));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert!(answer.header("permissions-policy").is_some());
    }
}

#[test]
fn bodies_over_the_limit_are_refused() {
    let house = House::open(Limits {
        message_size: 1000,
        ..calm()
    });
    let (first, second) = (house.join("demo"), house.join("demo"));
    let fits = json!({ "type": "offer", "sdp": "x".repeat(970) }).to_string();
    assert!(fits.len() <= 1000);
    let path = first.path("message");
    assert_eq!(house.post(&path, &fits).status, 200);
    assert_eq!(house.post(&path, &"x".repeat(1001)).status, 413);
    // Announced: refused before it is sent. In chunks: refused when it passes the limit.
    let host = house.host();
    let head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\n");
    let announced = format!("{head}Content-Length: 99999999999\r\n\r\n");
    assert_eq!(house.raw(announced.as_bytes()).status, 413);
    let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..40 {
        chunked.extend_from_slice(format!("64\r\n{}\r\n", "x".repeat(100)).as_bytes());
    }
    assert_eq!(house.raw(&chunked).status, 413);
    let mut socket = house.register(&second);
    assert_eq!(socket.hear(), fits);
    socket.say(&json!({ "type": "offer", "sdp": "x".repeat(990) }).to_string());
    assert!(socket.complaint().contains("too long"));
    let mut socket = house.register(&second);
    let _ = socket.0.send(Message::text("x".repeat(1_000_000)));
    while socket.next().is_some() {}
    assert!(house.server.refused(Refusal::Size) >= 4);
}

#[test]
fn what_is_not_a_message_is_not_relayed() {
    let house = House::open(calm());
    let member = house.join("demo");
    for body in ["", "x", "[]", "\"bye\"", "{", "{}x", "[{\"type\":\"bye\"}]"] {
        let answer = house.post(&member.path("message"), body);
        assert_eq!(answer.status, 400, "{body}");
    }
    assert_eq!(house.server.stats().relayed, 0);
    let nested = format!("{{\"type\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    assert_eq!(house.post(&member.path("message"), &nested).status, 400);
}

#[test]
fn sockets_that_misbehave_are_closed() {
    let house = House::open(calm());
    let member = house.join("demo");
    let register = json!({ "cmd": "register", "roomid": "demo", "clientid": member.id });
    let say = json!({ "cmd": "send", "msg": "{}" });
    for (commands, word) in [
        (vec![say.clone()], "register first"),
        (vec![json!({ "cmd": "open" })], "not a command"),
        (vec![json!([1, 2])], "not a command"),
        (
            vec![json!({ "cmd": "register", "roomid": "demo", "clientid": "1" })],
            "join first",
        ),
        (
            vec![json!({ "cmd": "register", "roomid": "../demo", "clientid": member.id })],
            "join first",
        ),
        (
            vec![register.clone(), register.clone()],
            "registered already",
        ),
        (
            vec![register.clone(), json!({ "cmd": "send", "msg": "no json" })],
            "JSON object",
        ),
    ] {
        let mut socket = house.socket(None).unwrap();
        for command in &commands {
            socket.put(command);
        }
        let complaint = socket.complaint();
        assert!(complaint.contains(word), "{complaint}");
    }
    let mut socket = house.socket(None).unwrap();
    socket.0.send(Message::binary(vec![0; 10])).unwrap();
    assert!(socket.complaint().contains("not a command"));
    // None of this hurt the client, and a guess at its name does not find it.
    assert_eq!(
        house.post("/message/demo/0000000000000000", "{}").status,
        404
    );
    assert_eq!(house.post("/leave/demo/0000000000000000", "").status, 404);
    assert_eq!(house.server.stats().clients, 1);
}

#[test]
fn floods_are_damped() {
    const BURST: u32 = 30;
    let began = Instant::now();
    let house = House::open(Limits {
        rate: 1,
        burst: BURST,
        ..calm()
    });
    let (first, second) = (house.join("demo"), house.join("demo"));
    let mut a = house.register(&first);
    let _b = house.register(&second);
    // Nothing is left to be answered, and all is written at once: who writes when the server has closed may not hear
    // what it said before.
    assert!(matches!(a.0.read(), Ok(Message::Ping(_))));
    let say = json!({ "cmd": "send", "msg": "{}" }).to_string();
    for _ in 0..1_000 {
        a.0.write(Message::text(say.clone())).unwrap();
    }
    let _ = a.0.flush();
    assert!(a.complaint().contains("too many"));
    // The time that has passed may allow a few requests more, but not so many at once.
    let host = house.host();
    let ask = format!("POST /ice HTTP/1.1\r\nHost: {host}\r\n");
    let requests = format!("{ask}\r\n").repeat(150) + &format!("{ask}Connection: close\r\n\r\n");
    let answers = house.raw(requests.as_bytes());
    let answers = format!("{}\r\n\r\n{}", answers.head, answers.body);
    let refused = answers.split("HTTP/1.1 429").nth(1);
    let refused = refused.expect("none was refused").to_ascii_lowercase();
    assert!(refused.contains("\r\nretry-after: 1\r\n"), "{refused}");
    assert!(house.server.refused(Refusal::Rate) >= 2);
    let most = u64::from(BURST) + began.elapsed().as_secs() + 1;
    assert!(house.server.stats().relayed <= most);
}

#[test]
fn rooms_and_clients_of_one_address_are_bounded() {
    let house = House::open(Limits {
        rooms: 5,
        clients_per_address: 7,
        ..calm()
    });
    for room in 0..5 {
        house.join(&format!("r{room}"));
    }
    let answer = house.post("/join/r5", "");
    assert_eq!(
        (answer.status, answer.result().as_str()),
        (503, "TOO_MANY_ROOMS")
    );
    house.join("r0");
    house.join("r1");
    let answer = house.post("/join/r2", "");
    let result = answer.result();
    assert_eq!((answer.status, result.as_str()), (429, "TOO_MANY_CLIENTS"));
    assert_eq!(house.server.stats().rooms, 5);
}

#[test]
fn queues_are_bounded() {
    let house = House::open(Limits {
        queue_messages: 10,
        queue_bytes: 5000,
        ..calm()
    });
    let first = house.join("demo");
    let path = first.path("message");
    let statuses: Vec<u16> = (0..12).map(|_| house.post(&path, "{}").status).collect();
    assert_eq!(statuses[..10], [200; 10]);
    assert_eq!(statuses[10..], [429; 2]);
    let second = house.join("demo");
    assert_eq!(second.messages().len(), 10);
    let big = json!({ "sdp": "x".repeat(4000) }).to_string();
    assert_eq!(house.post(&path, &big).status, 200);
    assert_eq!(house.post(&path, &big).result(), "QUEUE_FULL");
    assert_eq!(house.server.stats().dropped, 3);
}

#[test]
fn connections_of_one_address_are_bounded() {
    let house = House::open(Limits {
        connections_per_address: 8,
        ..calm()
    });
    let mut held: Vec<_> = (0..8).map(|_| house.connect()).collect();
    let mut ninth = house.connect();
    let _ = ninth.write_all(b"GET / HTTP/1.1\r\n\r\n");
    let mut byte = [0; 1];
    assert!(!matches!(ninth.read(&mut byte), Ok(1)));
    assert_eq!(house.server.refused(Refusal::Connections), 1);
    // A socket that is upgraded keeps its place.
    held.clear();
    wait_for(|| house.server.stats().connections == 0);
    let sockets: Vec<_> = (0..8).map(|_| house.socket(None).unwrap()).collect();
    assert_eq!(house.server.stats().connections, 8);
    drop(sockets);
    wait_for(|| house.server.stats().connections == 0);
    assert_eq!(house.get("/").status, 200);
}

#[test]
fn weird_names_are_refused() {
    let house = House::open(calm());
    let long = "n".repeat(129);
    for room in [
        "a%20b",
        "%00",
        "..",
        "%2e%2e",
        "a%2Fb",
        "%E2%80%AE",
        "a;b",
        "%3Cscript%3E",
        "a.b",
        &long,
    ] {
        let answer = house.post(&format!("/join/{room}"), "");
        assert!(
            [400, 404].contains(&answer.status),
            "{room} {}",
            answer.status
        );
        let answer = house.get(&format!("/r/{room}"));
        assert!([400, 404].contains(&answer.status), "{room}");
        assert!(!answer.body.contains("<script"));
    }
    assert_eq!(house.post("/join/", "").status, 404);
    assert_eq!(house.post("/join/%ff", "").status, 400);
    assert_eq!(house.server.stats().rooms, 0);
    house.join(&"n".repeat(128));
    let answer = house.get("/?room=%0d%0aSet-Cookie:x");
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("set-cookie"), None);
}

#[test]
fn no_path_leads_out_of_the_page() {
    let house = House::open(calm());
    for path in [
        "/app/../Cargo.toml",
        "/app/..%2fCargo.toml",
        "/app/%2e%2e/Cargo.toml",
        "/app/..%5cCargo.toml",
        "/app//etc/passwd",
        "/app/%2fetc%2fpasswd",
        "/app/room.js%00.css",
        "/app/.",
        "/app/",
        "/app/src/lib.rs",
        "/../../../../etc/passwd",
        "/r/../app/room.js/x",
    ] {
        let answer = house.get(path);
        assert!(
            [400, 404].contains(&answer.status),
            "{path} {}",
            answer.status
        );
        assert!(!answer.body.contains("[package]") && !answer.body.contains("root:"));
    }
}

#[test]
fn a_secret_room_is_not_logged_whole() {
    let house = House::with(Config::local(0).with_limits(calm()));
    let room = "0123456789abcdef0123456789abcdef";
    house.join(room);
    let event = house.events.recv_timeout(PATIENCE).unwrap();
    let text = format!("{event:?}");
    assert!(text.contains("0123…") && !text.contains(room), "{text}");
}
