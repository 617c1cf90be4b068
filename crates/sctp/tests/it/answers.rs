//! What is answered, when, and by how much (RFC 9260 §3.3.8, §5.1, §12.4).

use esp_sctp::ChannelConfig;

use crate::{
    forge::{
        COOKIE_ACK, COOKIE_ECHO, Forge, HEARTBEAT_ACK, I_DATA, INIT, SACK, SHUTDOWN, chunk, chunks,
        init, kinds,
    },
    link::{Link, Net},
    violations::{STREAMS, TAG, cookie_of, data, forge, heartbeat, waiting_for_an_init_ack},
};

#[test]
fn a_packet_is_answered_by_one_packet_at_most() {
    // RFC 9260 §12.4: however many of its chunks ask for an answer.
    let mut forge = forge();
    let asking = vec![chunk(0xff, 0, &[7; 16]); 48];
    assert!(asking.concat().len() < 1_160);
    forge.tell(&asking);
    let mut forge = self::forge();
    forge
        .net
        .inject(0, crate::forge::packet(forge.tags[0], &asking));
    forge.net.flush();
    let packets = forge.packets();
    assert_eq!(packets.len(), 1);
    // A report has eight bytes more than what it is about.
    assert_eq!(chunks(&packets[0]).len(), 1_148 / 28);
}

#[test]
fn the_first_data_is_acknowledged_at_once() {
    // RFC 9260 §5.1.
    let mut forge = forge();
    let first = forge.first[1];
    let sacks = |forge: &mut Forge, ahead: u32| {
        let heard = forge.tell(&[data(first.wrapping_add(ahead), 1, b"x")]);
        kinds(&heard).iter().filter(|kind| **kind == SACK).count()
    };
    assert_eq!(sacks(&mut forge, 0), 1);
    assert_eq!(sacks(&mut forge, 1), 0);
    assert_eq!(sacks(&mut forge, 2), 1);
}

#[test]
fn a_cookie_that_comes_again_is_acknowledged_before_all_else() {
    // RFC 9260 §5.1 D.
    let (mut forge, _) = waiting_for_an_init_ack();
    let begin = [chunk(INIT, 0, &init(TAG, 9_000, STREAMS, 1, &[]))];
    let (tag, cookie) = cookie_of(&forge.say(0, &begin)[0]);
    let echo = [chunk(COOKIE_ECHO, 0, &cookie)];
    assert_eq!(kinds(&forge.say(tag, &echo)), [COOKIE_ACK]);
    // It got lost; meanwhile something else is to be answered.
    forge
        .net
        .inject(0, crate::forge::packet(tag, &[heartbeat()]));
    assert_eq!(kinds(&forge.say(tag, &echo)), [COOKIE_ACK, HEARTBEAT_ACK]);
}

#[test]
fn a_shutdown_takes_nothing_back() {
    // RFC 9260 §3.3.8: it has no room for gap blocks.
    let mut forge = forge();
    let channel = forge.net.open(0, ChannelConfig::new("x").negotiated(1));
    for _ in 0..4 {
        forge.net.send(0, channel, &[1; 1_100]);
    }
    forge.net.flush();
    forge.packets();
    let before = forge.first[0].wrapping_sub(1);
    let sack = [
        before.to_be_bytes(),
        [0, 16, 0, 0],
        [0, 1, 0, 0],
        [0, 2, 0, 3],
    ]
    .concat();
    forge.tell(&[chunk(SACK, 0, &sack)]);
    let through = before.wrapping_add(1).to_be_bytes();
    let heard = forge.tell(&[chunk(SHUTDOWN, 0, &through)]);
    assert_eq!(kinds(&heard), []);
    // A SACK that does not name them says that they are gone.
    let sack = [through, [0, 16, 0, 0], [0; 4]].concat();
    let heard = forge.tell(&[chunk(SACK, 0, &sack)]);
    assert_eq!(kinds(&heard), [I_DATA, I_DATA]);
}

#[test]
fn a_description_with_an_impossible_init_is_refused() {
    let mut net = Net::pair(4, Link::default());
    let inits = [0, 1].map(|side: usize| net.sides[side].local_init());
    let now = net.now;
    // RFC 9260 §3.3.2: another chunk, no tag, too small a window, no streams.
    let changes: [(usize, &[u8]); 5] = [
        (0, &[2]),
        (4, &[0; 4]),
        (8, &[0, 0, 5, 0xdb]),
        (12, &[0; 2]),
        (14, &[0; 2]),
    ];
    for (at, bytes) in changes {
        let mut init = inits[1].clone();
        init[at..at + bytes.len()].copy_from_slice(bytes);
        assert!(net.sides[0].connect_with_init(now, &init).is_err(), "{at}");
        assert!(!net.sides[0].is_connected());
    }
    let good = net.sides[0].connect_with_init(now, &inits[1]);
    assert!(good.is_ok() && net.sides[0].is_connected());
}
