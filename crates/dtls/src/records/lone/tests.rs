//! The exchanges after the handshake between two ends, message by message.

use zeroize::Zeroizing;

use super::super::{Alert, Opened, first_record};
use super::*;

const FINISHED: u8 = 20;
const FIRST: Duration = Duration::from_millis(100);
const TIMING: Timing = Timing {
    first: FIRST,
    retries: 2,
};

fn keys(byte: u8) -> Keys13 {
    Keys13 {
        secret: Zeroizing::new(vec![byte; 32]),
        key: Zeroizing::new(vec![byte; 16]),
        iv: Zeroizing::new(vec![byte; 12]),
        number_key: Zeroizing::new(vec![byte + 1; 16]),
    }
}

fn handshake_keys() -> [Keys13; 2] {
    [keys(5), keys(7)]
}

fn message(kind: u8, number: u16, body: &[u8]) -> Vec<u8> {
    let len = [0, 0, body.len() as u8];
    let number = number.to_be_bytes();
    [&[kind][..], &len, &number, &[0; 3], &len, body].concat()
}

/// A record of the last flight, message 3 in it.
fn flight(is_client: bool, number: u64) -> Vec<u8> {
    let keys = &handshake_keys()[usize::from(!is_client)];
    let mut record = vec![0; HEAD];
    record.extend(message(FINISHED, 3, &[0; 32]));
    record.push(HANDSHAKE);
    record.resize(record.len() + esp_crypto::TAG_LEN, 0);
    let keys = Keys::new(keys).unwrap();
    keys.seal(HANDSHAKE_EPOCH, number, &mut record).unwrap();
    record
}

/// Client and server whose library has retired.
fn ends() -> [Records13; 2] {
    [true, false].map(|is_client| {
        let mut records = Records13::new([keys(1), keys(3)], is_client, 1 << 23).unwrap();
        assert!(!records.stand_alone(&mut None, TIMING));
        let witness = Witness::new(handshake_keys(), is_client);
        let mut witness = witness.map(Box::new);
        assert!(!records.stand_alone(&mut witness, TIMING), "nothing seen");
        let noise = flight(!is_client, 0);
        let datagram = [&noise[..], &flight(is_client, 0)].concat();
        witness.as_mut().unwrap().note(&datagram);
        assert_eq!(witness.as_ref().unwrap().next_message, 4);
        assert!(records.stand_alone(&mut witness, TIMING));
        records
    })
}

/// Delivers a datagram; the answer.
fn deliver(to: &mut Records13, now: Instant, mut datagram: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while !datagram.is_empty() {
        let (record, rest) = datagram.split_at(first_record(datagram, true).0);
        datagram = rest;
        let mut record = record.to_vec();
        match to.open(&mut record) {
            Opened::Control(control) => {
                to.on_control(now, &control, &record, &mut out).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    out
}

fn talk(from: &mut Records13, to: &mut Records13) {
    let mut record = vec![0; HEAD];
    record.extend_from_slice(b"data");
    record.resize(record.len() + 1 + esp_crypto::TAG_LEN, 0);
    from.seal(&mut record).unwrap();
    match to.open(&mut record) {
        Opened::Data(range) => assert_eq!(&record[range], b"data"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_are_replaced_on_both_sides() {
    let [mut client, mut server] = ends();
    let now = Instant::ZERO;
    // The low bits of the epochs pass all values.
    for round in 0..6 {
        let mut update = Vec::new();
        client.start_update(now, true, &mut update);
        assert_eq!(client.deadline(), Some(now + FIRST));
        let answer = deliver(&mut server, now, &update);
        talk(&mut client, &mut server);
        talk(&mut server, &mut client);
        let answer = deliver(&mut client, now, &answer);
        assert_eq!(client.send_epoch(), 4 + round);
        assert_eq!(server.send_epoch(), 3 + round);
        assert!(deliver(&mut server, now, &answer).is_empty());
        assert_eq!(server.send_epoch(), 4 + round);
        for _ in 0..3 {
            talk(&mut client, &mut server);
            talk(&mut server, &mut client);
        }
        assert_eq!((client.deadline(), server.deadline()), (None, None));
    }
}

#[test]
fn an_update_is_repeated_until_it_is_acknowledged() {
    let [mut client, mut server] = ends();
    let mut now = Instant::ZERO;
    let mut update = Vec::new();
    server.start_update(now, false, &mut update);
    let _lost = deliver(&mut client, now, &update);
    talk(&mut server, &mut client);
    now += FIRST;
    let mut update = Vec::new();
    server.on_time(now, &mut update).unwrap();
    assert_eq!(server.deadline(), Some(now + FIRST * 2));
    let answer = deliver(&mut client, now, &update);
    assert!(deliver(&mut server, now, &answer).is_empty());
    assert_eq!((server.send_epoch(), server.deadline()), (4, None));
    talk(&mut server, &mut client);
    assert_eq!(client.send_epoch(), 3);

    client.start_update(now, false, &mut Vec::new());
    for _ in 0..2 {
        now = client.deadline().unwrap();
        client.on_time(now, &mut Vec::new()).unwrap();
    }
    now = client.deadline().unwrap();
    let given_up = client.on_time(now, &mut Vec::new());
    assert_eq!(given_up, Err(Error::Timeout));
}

#[test]
fn a_late_flight_is_acknowledged_a_few_times() {
    let [mut client, mut server] = ends();
    let now = Instant::ZERO;
    for number in 0..u64::from(LATE_ANSWERS) {
        let answer = deliver(&mut server, now, &flight(true, number));
        let mut record = answer.clone();
        let Opened::Control(control) = client.open(&mut record) else {
            panic!("no acknowledgment");
        };
        let ack = &record[control.content.clone()];
        let expected = [&[0, 16][..], &2_u64.to_be_bytes(), &number.to_be_bytes()].concat();
        assert_eq!((control.content_type, ack), (ACK, &expected[..]));
    }
    assert!(matches!(
        server.open(&mut flight(true, 90)),
        Opened::Refused
    ));
    assert!(matches!(
        client.open(&mut flight(false, 1)),
        Opened::Refused
    ));
}

#[test]
fn only_what_is_understood_is_acknowledged() {
    let [mut client, mut server] = ends();
    let now = Instant::ZERO;
    let send = |from: &mut Records13, content: &[u8]| {
        let mut out = Vec::new();
        from.seal_content(HANDSHAKE, content, &mut out).unwrap();
        out
    };
    let ticket = send(&mut server, &message(NEW_SESSION_TICKET, 4, &[9; 40]));
    assert!(!deliver(&mut client, now, &ticket).is_empty());
    let ticket = send(&mut client, &message(NEW_SESSION_TICKET, 4, &[9; 40]));
    assert!(deliver(&mut server, now, &ticket).is_empty());
    for content in [
        &message(KEY_UPDATE, 5, &[2])[..],
        &message(KEY_UPDATE, 5, &[0, 0]),
        &message(KEY_UPDATE, 5, &[0])[..12],
        &message(FINISHED, 5, &[0; 32]),
    ] {
        let record = send(&mut server, content);
        assert!(deliver(&mut client, now, &record).is_empty());
    }
    talk(&mut server, &mut client);
    let mut goodbye = Vec::new();
    server.goodbye(&mut goodbye);
    match client.open(&mut goodbye) {
        Opened::Control(control) => {
            let alert = control.alert(&goodbye);
            assert_eq!(alert, Some(Alert::CloseNotify));
        }
        other => panic!("{other:?}"),
    }
}
