use std::net::{IpAddr, Ipv4Addr};

use esp_wire::Rng;
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::mail::{Mail, Parcel, mail};

struct Bench {
    rooms: Rooms,
    now: Instant,
}

impl Bench {
    fn new(limits: Limits) -> Self {
        Bench {
            rooms: Rooms::new(limits, Rng::new([7; 32])),
            now: Instant::now(),
        }
    }

    fn try_join(&mut self, room: &str, address: &str) -> Result<Joined, Fault> {
        let address = AddressKey::from(address.parse::<IpAddr>().unwrap());
        self.rooms.join(self.now, room.parse().unwrap(), address)
    }

    fn join(&mut self, room: &str) -> Joined {
        self.try_join(room, "192.0.2.1").unwrap()
    }

    fn register(&mut self, room: &str, client: &Joined) -> Mail {
        let (outlet, mail) = mail();
        self.rooms
            .register(self.now, room, &client.client, outlet, false)
            .unwrap();
        mail
    }

    fn say(&mut self, room: &str, client: &Joined, text: &str) -> Result<(), Fault> {
        let bye = text == BYE;
        self.rooms.relay(room, &client.client, text.to_owned(), bye)
    }
}

fn text(mail: &mut Mail) -> Option<String> {
    match mail.try_next()? {
        Parcel::Message(text) => Some(text),
        Parcel::Presence(present) => Some(format!("present: {present}")),
        Parcel::Close(why) => Some(format!("closed: {why}")),
    }
}

#[test]
fn what_the_first_said_waits_for_the_second() {
    let mut bench = Bench::new(Limits::default());
    let first = bench.join("r");
    assert!(first.initiator);
    bench.say("r", &first, "offer").unwrap();
    bench.say("r", &first, "candidate").unwrap();
    let second = bench.join("r");
    assert!(!second.initiator);
    assert_eq!(second.messages, ["offer", "candidate"]);
    bench.say("r", &first, "late").unwrap();
    let mut mail = bench.register("r", &second);
    assert_eq!(text(&mut mail).as_deref(), Some("late"));
    let mut firsts = bench.register("r", &first);
    bench.say("r", &second, "answer").unwrap();
    assert_eq!(text(&mut firsts).as_deref(), Some("answer"));
    assert_eq!(bench.try_join("r", "192.0.2.9").unwrap_err(), Fault::Full);
}

#[test]
fn the_stayer_hears_one_bye() {
    for said in [false, true] {
        let mut bench = Bench::new(Limits::default());
        let first = bench.join("r");
        let second = bench.join("r");
        let mut mail = bench.register("r", &second);
        if said {
            bench.say("r", &first, BYE).unwrap();
        }
        assert!(bench.rooms.leave("r", &first.client));
        assert!(!bench.rooms.leave("r", &first.client));
        assert_eq!(text(&mut mail).as_deref(), Some(BYE));
        assert_eq!(text(&mut mail), None);
        // The stayer is the initiator now: what it says waits for the next.
        bench.say("r", &second, "offer").unwrap();
        let third = bench.join("r");
        assert!(!third.initiator);
        assert_eq!(third.messages, ["offer"]);
    }
}

#[test]
fn what_follows_a_bye_reaches_a_successor() {
    let mut bench = Bench::new(Limits::default());
    let (first, second) = (bench.join("r"), bench.join("r"));
    bench.say("r", &second, BYE).unwrap();
    bench.say("r", &first, "offer").unwrap();
    bench.rooms.leave("r", &second.client);
    assert_eq!(bench.join("r").messages, ["offer"]);
}

#[test]
fn who_stays_after_its_bye_hears_all_once() {
    let mut bench = Bench::new(Limits::default());
    let (first, second) = (bench.join("r"), bench.join("r"));
    let mut mail = bench.register("r", &second);
    bench.say("r", &second, BYE).unwrap();
    bench.say("r", &first, "offer").unwrap();
    bench.say("r", &second, "answer").unwrap();
    assert_eq!(text(&mut mail).as_deref(), Some("offer"));
    bench.rooms.leave("r", &second.client);
    assert!(bench.join("r").messages.is_empty());
}

#[test]
fn a_bye_empties_what_the_leaver_left_for_others() {
    let mut bench = Bench::new(Limits::default());
    let first = bench.join("r");
    bench.say("r", &first, "ring").unwrap();
    bench.say("r", &first, BYE).unwrap();
    assert!(bench.join("r").messages.is_empty());
}

#[test]
fn a_bye_to_a_predecessor_does_not_count() {
    let mut bench = Bench::new(Limits::default());
    let (first, second) = (bench.join("r"), bench.join("r"));
    bench.say("r", &second, BYE).unwrap();
    bench.rooms.leave("r", &first.client);
    let third = bench.join("r");
    let mut mail = bench.register("r", &third);
    bench.rooms.leave("r", &second.client);
    assert_eq!(text(&mut mail).as_deref(), Some(BYE));
}

#[test]
fn a_full_room_gives_up_who_said_bye_and_vanished() {
    let mut bench = Bench::new(Limits::default());
    let (first, second) = (bench.join("r"), bench.join("r"));
    let mut mail = bench.register("r", &first);
    bench.say("r", &second, BYE).unwrap();
    assert_eq!(text(&mut mail).as_deref(), Some(BYE));
    let third = bench.join("r");
    assert!(!third.initiator);
    assert_eq!(text(&mut mail), None);
    assert_eq!(bench.try_join("r", "192.0.2.1").unwrap_err(), Fault::Full);
}

#[test]
fn the_silent_expire_and_free_their_room() {
    let mut bench = Bench::new(Limits::default());
    let first = bench.join("r");
    bench.now += Duration::from_secs(10);
    let second = bench.join("r");
    let mut mail = bench.register("r", &second);
    bench.now += Duration::from_secs(5);
    let silence = Duration::from_secs(15);
    assert_eq!(bench.rooms.expire(bench.now, silence), 1);
    assert_eq!(text(&mut mail).as_deref(), Some(EXPIRED));
    assert_eq!(
        bench.say("r", &first, "x").unwrap_err(),
        Fault::UnknownClient
    );
    bench.now += Duration::from_secs(9);
    bench.rooms.heard(bench.now, "r", &second.client);
    bench.now += Duration::from_secs(9);
    assert_eq!(bench.rooms.expire(bench.now, silence), 0);
    bench.now += Duration::from_secs(6);
    assert_eq!(bench.rooms.expire(bench.now, silence), 1);
    assert_eq!(bench.rooms.count(), (0, 0));
    assert_eq!(
        bench.say("r", &second, "x").unwrap_err(),
        Fault::UnknownRoom
    );
}

#[test]
fn a_client_comes_back_to_its_mail() {
    let mut bench = Bench::new(Limits::default());
    let (first, second) = (bench.join("r"), bench.join("r"));
    let (outlet, lost) = mail();
    let serial = bench
        .rooms
        .register(bench.now, "r", &second.client, outlet, false)
        .unwrap();
    drop(lost);
    bench.say("r", &first, "one").unwrap();
    bench.rooms.disconnected("r", &second.client, serial);
    bench.say("r", &first, "two").unwrap();
    let mut again = bench.register("r", &second);
    assert_eq!(text(&mut again).as_deref(), Some("one"));
    assert_eq!(text(&mut again).as_deref(), Some("two"));
    // The end of the old socket does not touch the new one, a second registration closes it.
    bench.rooms.disconnected("r", &second.client, serial);
    bench.say("r", &first, "three").unwrap();
    assert_eq!(text(&mut again).as_deref(), Some("three"));
    let _third = bench.register("r", &second);
    assert_eq!(
        text(&mut again).as_deref(),
        Some("closed: registered again")
    );
}

#[test]
fn queues_rooms_and_clients_are_bounded() {
    let mut bench = Bench::new(Limits {
        rooms: 2,
        clients_per_address: 3,
        queue_messages: 3,
        queue_bytes: 10,
        ..Limits::default()
    });
    let first = bench.join("a");
    for size in [4, 4] {
        bench.say("a", &first, &"x".repeat(size)).unwrap();
    }
    assert_eq!(bench.say("a", &first, "xxx"), Err(Fault::QueueFull));
    bench.say("a", &first, "x").unwrap();
    assert_eq!(bench.say("a", &first, ""), Err(Fault::QueueFull));
    bench.join("a");
    bench.join("b");
    assert_eq!(
        bench.try_join("b", "192.0.2.1").unwrap_err(),
        Fault::TooManyClients
    );
    assert!(bench.try_join("b", "192.0.2.2").is_ok());
    assert_eq!(
        bench.try_join("c", "192.0.2.2").unwrap_err(),
        Fault::TooManyRooms
    );
}

#[test]
fn a_reader_that_falls_behind_loses_its_socket_not_its_mail() {
    let mut bench = Bench::new(Limits {
        queue_messages: 2,
        ..Limits::default()
    });
    let (first, second) = (bench.join("r"), bench.join("r"));
    let mut slow = bench.register("r", &second);
    for word in ["1", "2", "3", "4"] {
        bench.say("r", &first, word).unwrap();
    }
    assert_eq!(bench.say("r", &first, "5"), Err(Fault::QueueFull));
    assert_eq!(text(&mut slow).as_deref(), Some("1"));
    assert_eq!(text(&mut slow).as_deref(), Some("2"));
    assert_eq!(text(&mut slow), None);
    let mut again = bench.register("r", &second);
    assert_eq!(text(&mut again).as_deref(), Some("3"));
    assert_eq!(text(&mut again).as_deref(), Some("4"));
}

#[test]
fn a_first_client_that_was_refused_leaves_no_trace() {
    let mut bench = Bench::new(Limits {
        clients_per_address: 1,
        ..Limits::default()
    });
    let first = bench.join("a");
    assert!(bench.try_join("b", "192.0.2.1").is_err());
    assert_eq!(bench.rooms.count(), (1, 1));
    bench.rooms.leave("a", &first.client);
    assert_eq!(bench.rooms.count(), (0, 0));
    let kinds = bench.rooms.take_events();
    assert!(matches!(
        kinds.as_slice(),
        [
            Event::Joined { .. },
            Event::Left {
                how: Left::Leave,
                ..
            }
        ]
    ));
}

#[test]
fn who_asks_is_told_of_the_other() {
    let mut bench = Bench::new(Limits::default());
    let first = bench.join("r");
    let (outlet, mut mail) = mail();
    bench
        .rooms
        .register(bench.now, "r", &first.client, outlet, true)
        .unwrap();
    assert_eq!(text(&mut mail).as_deref(), Some("present: false"));
    let second = bench.join("r");
    assert_eq!(text(&mut mail), None);
    let mut plain = bench.register("r", &second);
    assert_eq!(text(&mut mail).as_deref(), Some("present: true"));
    bench.rooms.leave("r", &second.client);
    assert_eq!(text(&mut mail).as_deref(), Some(BYE));
    assert_eq!(text(&mut mail).as_deref(), Some("present: false"));
    assert_eq!(text(&mut plain).as_deref(), Some("closed: left"));
}

/// What may happen to rooms; numbers choose among the clients there are.
#[derive(Clone, Debug)]
enum Step {
    Join(u8, u8),
    Register(usize),
    Say(usize, usize),
    Bye(usize),
    Leave(usize),
    Break(usize),
    Read(usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..8_usize;
    prop_oneof![
        3 => (0..3_u8, 0..4_u8).prop_map(|(room, address)| Step::Join(room, address)),
        3 => client.clone().prop_map(Step::Register),
        6 => (client.clone(), 0..40_usize).prop_map(|(who, size)| Step::Say(who, size)),
        1 => client.clone().prop_map(Step::Bye),
        1 => client.clone().prop_map(Step::Leave),
        1 => client.clone().prop_map(Step::Break),
        3 => client.prop_map(Step::Read),
        1 => (0..9_u64).prop_map(Step::Wait),
    ]
}

struct Visitor {
    room: String,
    id: String,
    mail: Option<Mail>,
    /// The number of the last message it heard.
    heard: Option<u64>,
}

impl Visitor {
    fn hear(&mut self, text: &str) {
        let Ok(number) = text.trim_end_matches('x').parse() else {
            return;
        };
        assert!(self.heard.is_none_or(|last| last < number), "order");
        self.heard = Some(number);
    }
}

#[derive(Default)]
struct Crowd {
    visitors: Vec<Visitor>,
    said: u64,
}

impl Crowd {
    fn at(&mut self, index: usize) -> Option<&mut Visitor> {
        let count = self.visitors.len();
        self.visitors.get_mut(index % count.max(1))
    }

    fn join(&mut self, bench: &mut Bench, room: u8, address: u8) {
        let room = format!("r{room}");
        let address = AddressKey::from(IpAddr::V4(Ipv4Addr::new(192, 0, 2, address)));
        let joined = bench.rooms.join(bench.now, room.parse().unwrap(), address);
        let Ok(joined) = joined else {
            return;
        };
        let mut visitor = Visitor {
            room,
            id: joined.client,
            mail: None,
            heard: None,
        };
        for text in &joined.messages {
            visitor.hear(text);
        }
        self.visitors.push(visitor);
    }

    fn act(&mut self, bench: &mut Bench, step: &Step) {
        match *step {
            Step::Join(room, address) => self.join(bench, room, address),
            Step::Register(who) => {
                let Some(visitor) = self.at(who) else { return };
                let (outlet, mail) = mail();
                let rooms = &mut bench.rooms;
                if rooms
                    .register(bench.now, &visitor.room, &visitor.id, outlet, true)
                    .is_ok()
                {
                    visitor.mail = Some(mail);
                }
            }
            Step::Say(who, size) => {
                self.said += 1;
                let text = format!("{}{}", self.said, "x".repeat(size));
                let Some(visitor) = self.at(who) else { return };
                let _ = bench.rooms.relay(&visitor.room, &visitor.id, text, false);
            }
            Step::Bye(who) => {
                let Some(visitor) = self.at(who) else { return };
                let bye = BYE.to_owned();
                let _ = bench.rooms.relay(&visitor.room, &visitor.id, bye, true);
            }
            Step::Leave(who) => {
                let Some(visitor) = self.at(who) else { return };
                bench.rooms.leave(&visitor.room, &visitor.id);
            }
            Step::Break(who) => {
                let Some(visitor) = self.at(who) else { return };
                visitor.mail = None;
            }
            Step::Read(who) => {
                let Some(visitor) = self.at(who) else { return };
                while let Some(text) = visitor.mail.as_mut().and_then(text) {
                    visitor.hear(&text);
                }
            }
            Step::Wait(seconds) => {
                bench.now += Duration::from_secs(seconds);
                bench.rooms.expire(bench.now, Duration::from_secs(15));
            }
        }
    }
}

proptest! {
    #[test]
    fn any_order_of_steps_keeps_the_bounds_and_the_order(
        steps in proptest::collection::vec(step(), 0..120),
    ) {
        let limits = Limits {
            rooms: 2,
            clients_per_address: 2,
            queue_messages: 5,
            queue_bytes: 100,
            ..Limits::default()
        };
        let mut bench = Bench::new(limits.clone());
        let mut crowd = Crowd::default();
        for step in &steps {
            crowd.act(&mut bench, step);
            let rooms = &bench.rooms;
            prop_assert!(rooms.rooms.len() <= limits.rooms);
            prop_assert!(rooms.rooms.values().all(|room| (1..=CLIENTS).contains(&room.len())));
            prop_assert!(rooms.by_address.values().all(|count| *count <= 2));
            let clients = rooms.rooms.values().map(Vec::len).sum::<usize>();
            prop_assert_eq!(rooms.count(), (rooms.rooms.len(), clients));
            for client in rooms.rooms.values().flatten() {
                for queue in [&client.inbox, &client.outbox] {
                    let bytes = queue.messages.iter().map(String::len).sum::<usize>();
                    prop_assert_eq!(bytes, queue.bytes);
                    prop_assert!(bytes <= 100 && queue.messages.len() <= 5);
                }
            }
        }
        bench.rooms.expire(bench.now + Duration::from_secs(60), Duration::from_secs(15));
        prop_assert_eq!(bench.rooms.count(), (0, 0));
    }
}
