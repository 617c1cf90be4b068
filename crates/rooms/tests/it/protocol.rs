use std::net::SocketAddr;

use esp_rooms::{Config, Error, Event, Left, Limits, Listener, Server};
use esp_wire::IceServer;
use serde_json::json;

use crate::client::{House, Member, Socket, calm, shut_and_read, wait_for};

const BYE: &str = r#"{"type":"bye"}"#;

fn offer(number: u32) -> String {
    json!({ "type": "offer", "sdp": format!("v=0\r\n{number}") }).to_string()
}

#[test]
fn the_first_offers_and_the_second_answers() {
    let house = House::open(calm());
    let first = house.join("demo");
    assert!(first.initiator() && first.messages().is_empty());
    let mut a = house.register(&first);
    assert_eq!(house.post(&first.path("message"), &offer(1)).status, 200);
    a.say(r#"{"type":"candidate","candidate":"c","id":"0","label":0}"#);
    // By two ways there is no order, so the second joins when both are there.
    wait_for(|| house.server.stats().relayed == 2);
    let second = house.join("demo");
    assert!(!second.initiator());
    assert_eq!(second.messages()[0], offer(1));
    assert_eq!(second.messages().len(), 2);
    let mut b = house.register(&second);
    b.say(r#"{"type":"answer","sdp":"v=0"}"#);
    assert_eq!(a.hear(), r#"{"type":"answer","sdp":"v=0"}"#);
    // Whatever its role, a client may use either way.
    house.post(&second.path("message"), r#"{"type":"candidate"}"#);
    assert_eq!(a.hear(), r#"{"type":"candidate"}"#);
    house.post(
        &first.path("post"),
        r#"{"type":"customized","data":"RING"}"#,
    );
    assert_eq!(b.hear(), r#"{"type":"customized","data":"RING"}"#);
    let text = r#"{"type":"customized","data":"\" \\ ü \u0000 </script>"}"#;
    a.say(text);
    assert_eq!(b.hear(), text);
}

#[test]
fn a_third_finds_it_full_until_one_leaves() {
    let house = House::open(calm());
    let first = house.join("demo");
    let second = house.join("demo");
    let full = house.post("/join/demo", "");
    assert_eq!((full.status, full.result().as_str()), (200, "FULL"));
    house.post(&second.path("leave"), "");
    let third = house.join("demo");
    assert!(!third.initiator() && third.id != second.id && third.id != first.id);
    assert!(house.join("other").initiator());
}

#[test]
fn what_comes_before_registering_waits() {
    let house = House::open(calm());
    let (first, second) = (house.join("demo"), house.join("demo"));
    for number in 0..20 {
        house.post(&first.path("message"), &offer(number));
    }
    let mut b = house.register(&second);
    for number in 0..20 {
        assert_eq!(b.hear(), offer(number));
    }
}

fn stayer(house: &House, part: impl Fn(&mut Socket, &Member)) {
    let (first, second) = (house.join("demo"), house.join("demo"));
    let mut a = house.register(&first);
    let mut b = house.register(&second);
    part(&mut b, &second);
    assert_eq!(a.hear(), BYE);
    house.until_left(&second);
    assert_eq!(b.next(), None);
    // One bye, not two: the next to be heard is what the next joiner says. The stayer is the initiator.
    let before = house.server.stats().relayed;
    a.say(&offer(9));
    wait_for(|| house.server.stats().relayed > before);
    let third = house.join("demo");
    assert!(!third.initiator());
    let mut c = house.register(&third);
    c.say(r#"{"type":"answer","sdp":""}"#);
    assert_eq!(a.hear(), r#"{"type":"answer","sdp":""}"#);
}

#[test]
fn the_stayer_hears_one_bye_by_leave() {
    let house = House::open(calm());
    stayer(&house, |_, member| {
        assert_eq!(house.post(&member.path("leave"), "").result(), "SUCCESS");
        assert_eq!(house.post(&member.path("leave"), "").status, 404);
    });
}

#[test]
fn the_stayer_hears_one_bye_by_delete() {
    let house = House::open(calm());
    stayer(&house, |_, member| {
        let line = format!("DELETE {}", member.path("post"));
        assert_eq!(house.ask(&line, &[], "").result(), "SUCCESS");
    });
}

#[test]
fn the_stayer_hears_one_bye_that_was_said() {
    let house = House::open(calm());
    stayer(&house, |socket, member| {
        socket.say(BYE);
        wait_for(|| house.server.stats().relayed == 1);
        house.post(&member.path("leave"), "");
    });
}

#[test]
fn a_socket_that_breaks_does_not_leave() {
    let house = House::open(calm());
    let (first, second) = (house.join("demo"), house.join("demo"));
    let mut a = house.register(&first);
    drop(house.register(&second));
    a.say(&offer(1));
    let mut b = house.register(&second);
    // Sent before or after the server saw the end of the first socket: at worst it went with it.
    a.say(&offer(2));
    let heard = b.hear();
    if heard == offer(1) {
        assert_eq!(b.hear(), offer(2));
    } else {
        assert_eq!(heard, offer(2));
    }
}

#[test]
fn a_second_registration_takes_over() {
    let house = House::open(calm());
    let (first, second) = (house.join("demo"), house.join("demo"));
    let mut a = house.register(&first);
    let mut old = house.register(&second);
    let mut new = house.register(&second);
    assert_eq!(old.next(), None);
    a.say(&offer(1));
    assert_eq!(new.hear(), offer(1));
}

#[test]
fn who_asks_is_told_whether_the_other_is_there() {
    let house = House::open(calm());
    let first = house.join("demo");
    let mut a = house.socket(None).unwrap();
    a.put(&json!({ "cmd": "register", "roomid": "demo", "clientid": first.id, "presence": true }));
    assert_eq!(a.next().unwrap()["present"], false);
    let second = house.join("demo");
    let _b = house.register(&second);
    assert_eq!(a.next().unwrap()["present"], true);
    house.post(&second.path("leave"), "");
    assert_eq!(a.hear(), BYE);
    assert_eq!(a.next().unwrap()["present"], false);
}

#[test]
fn params_are_what_clients_need() {
    let servers = vec![
        IceServer::stun("stun:stun.example.org"),
        IceServer::turn("turn:turn.example.org", "me", "secret"),
    ];
    let house = House::with(
        Config::local(0)
            .with_limits(calm())
            .with_ice_servers(servers),
    );
    let port = house.address.port();
    let member = house.join("demo");
    let params = &member.params;
    assert_eq!(params["room_id"], "demo");
    assert_eq!(params["wss_url"], format!("ws://localhost:{port}/ws"));
    assert_eq!(
        params["wss_post_url"],
        format!("http://localhost:{port}/post")
    );
    assert_eq!(
        params["ice_server_url"],
        format!("http://localhost:{port}/ice")
    );
    let expected = json!([
        { "urls": ["stun:stun.example.org"] },
        { "urls": ["turn:turn.example.org"], "username": "me", "credential": "secret" },
    ]);
    let config: serde_json::Value =
        serde_json::from_str(params["pc_config"].as_str().unwrap()).unwrap();
    assert_eq!(config["iceServers"], expected);
    assert_eq!(
        house.post("/ice", "").json(),
        json!({ "iceServers": expected })
    );
    for (name, value) in params.as_object().unwrap() {
        let list = name.ends_with("messages");
        assert!(value.is_string() || (list && value.is_array()), "{name}");
    }
    // By its address, it is known by its address.
    let host = format!("127.0.0.1:{port}");
    let answer = house.ask("POST /join/x", &[("Host", &host)], "");
    assert_eq!(
        answer.json()["params"]["wss_url"],
        format!("ws://{host}/ws")
    );
}

#[test]
fn a_proxy_shows_it_under_another_name() {
    let local: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listener = Listener::new(local).with_public_url("https://rooms.example.org");
    let house = House::with(
        Config::default()
            .with_limits(calm())
            .with_listener(listener),
    );
    assert_eq!(house.server.url(), "https://rooms.example.org");
    assert_eq!(house.server.room_url("x"), "https://rooms.example.org/r/x");
    let headers = [
        ("Host", "rooms.example.org"),
        ("Origin", "https://rooms.example.org"),
    ];
    let answer = house.ask("POST /join/x", &headers, "");
    assert_eq!(
        answer.json()["params"]["wss_url"],
        "wss://rooms.example.org/ws"
    );
}

#[test]
fn events_tell_who_came_and_went() {
    let house = House::open(calm());
    let first = house.join("demo");
    let _a = house.register(&first);
    house.post(&first.path("leave"), "");
    let Event::Left { room, how, .. } = house.until_left(&first) else {
        unreachable!()
    };
    assert_eq!((room.as_str(), how), ("demo", Left::Leave));
    let stats = house.server.stats();
    assert_eq!((stats.rooms, stats.clients), (0, 0));
}

#[test]
fn a_taken_port_is_told_in_one_line() {
    let house = House::open(calm());
    let port = house.address.port();
    let error = Server::start(Config::local(port)).unwrap_err();
    assert!(matches!(error, Error::PortTaken(_)));
    let line = format!("port {port} is taken; choose another with --port");
    assert_eq!(error.to_string(), line);
}

#[test]
fn settings_without_sense_are_refused() {
    let limits = Limits {
        ping_interval: Limits::default().ghost_expiry,
        ..Limits::default()
    };
    for config in [
        Config::default(),
        Config::local(0).with_limits(limits),
        Config::local(0).with_limits(Limits {
            rooms: 0,
            ..Limits::default()
        }),
        Config::default().with_listener(
            Listener::new("127.0.0.1:0".parse().unwrap()).with_public_url("ftp://x/y"),
        ),
    ] {
        assert!(matches!(Server::start(config), Err(Error::Misuse(_))));
    }
}

/// A server that was stopped and started again on its port, with who had joined before; none when another program
/// took the port meanwhile.
fn started_again() -> Option<(House, Member)> {
    let house = House::open(calm());
    let port = house.address.port();
    let member = house.join("demo");
    let mut socket = house.register(&member);
    house.server.stop();
    assert_eq!(socket.next(), None);
    match House::try_with(Config::local(port).with_limits(calm())) {
        Ok(again) => Some((again, member)),
        Err(Error::PortTaken(_)) => None,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_server_starts_again_on_its_port() {
    let started = (0..16).find_map(|_| started_again());
    let (again, member) = started.expect("a port that was free again");
    // It has forgotten the rooms: who was there is told so, and joins anew.
    let mut socket = again.socket(None).unwrap();
    socket.register(&member);
    assert!(socket.complaint().contains("join first"));
    assert_eq!(again.post(&member.path("message"), BYE).status, 404);
    assert!(again.join("demo").initiator());
}

#[test]
fn a_server_is_dropped_inside_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        drop(Server::start(Config::local(0)).unwrap());
    });
}

#[test]
fn who_has_said_all_is_answered_still() {
    let house = House::open(calm());
    let address = house.address;
    let request = format!("POST /ice HTTP/1.1\r\nHost: {}\r\n\r\n", house.host());
    // Whether the end of the request is seen before the answer is written is a race: many run at once.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(shut_and_read(address, &request).status, 200);
                }
            });
        }
    });
}
