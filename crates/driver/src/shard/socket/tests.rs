//! Sockets of this system, and a kernel that answers as told.

use std::cell::Cell;
use std::time::Duration;

use esp_wire::{Destination, Room};
use mio::{Events, Interest, Poll, Token};

use super::*;

#[cfg(target_os = "linux")]
#[test]
fn a_port_where_nobody_listens_is_told_and_others_hear_nothing_of_it() {
    let any = "127.0.0.1:0".parse().unwrap();
    // A port that nobody else gets meanwhile; its socket hears somebody else alone.
    let held = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    held.connect("127.0.0.1:9").unwrap();
    let nobody = held.local_addr().unwrap();
    let (far, somebody) = Socket::bind(any, &DriverConfig::default()).unwrap();
    let (mut near, _) = Socket::bind(any, &DriverConfig::default()).unwrap();
    let mut poll = Poll::new().unwrap();
    poll.registry()
        .register(&mut near.io, Token(0), Interest::READABLE)
        .unwrap();
    let send = |remote| {
        let mut train = Train::with_capacity(1_500);
        train.begin(Room::default(), 100);
        assert!(train.push(b"is anybody there?"));
        train.set_destination(Destination {
            socket: SocketId(0),
            remote,
        });
        near.send(&mut train, &mut 0)
    };
    assert_eq!(send(nobody), Sent::Done);
    let mut events = Events::with_capacity(4);
    while events.iter().all(|event| !event.is_error()) {
        poll.poll(&mut events, Some(Duration::from_secs(60)))
            .unwrap();
        assert!(!events.is_empty(), "the system told nothing");
    }
    // The error that is still pending hits the next call, which is for somebody else.
    assert_eq!(send(somebody), Sent::Done);
    let mut told = Vec::new();
    near.read_answers(|remote, answer| {
        assert!(matches!(answer, Answer::Unreachable));
        told.push(remote);
    });
    assert_eq!(told, [nobody]);
    let mut receiver = Receiver::new(DriverConfig::default().receive_memory);
    let mut heard = 0;
    far.read(SocketId(1), Instant::ZERO, &mut receiver, |_, _| heard += 1);
    assert_eq!(heard, 1);
}

#[cfg(target_os = "linux")]
#[test]
fn leave_to_fragment_ends_with_the_train() {
    use nix::libc;
    use nix::sys::socket::getsockopt;
    use nix::{getsockopt_impl, sockopt_impl};

    sockopt_impl!(
        /// How it is.
        Discovery,
        GetOnly,
        libc::IPPROTO_IP,
        libc::IP_MTU_DISCOVER,
        libc::c_int
    );
    let any = "127.0.0.1:0".parse().unwrap();
    let (socket, _) = Socket::bind(any, &DriverConfig::default()).unwrap();
    let now = || getsockopt(&socket.io, Discovery).unwrap();
    assert_eq!(now(), libc::IP_PMTUDISC_PROBE);
    let leave = Leave::take(&socket.io);
    assert_eq!(now(), libc::IP_PMTUDISC_DONT);
    drop(leave);
    assert_eq!(now(), libc::IP_PMTUDISC_PROBE);
}

/// A kernel that answers each send by what `answer` says of its number and size.
fn sent(
    bytes: usize,
    most: &Cell<usize>,
    mut answer: impl FnMut(usize, usize) -> io::Result<()>,
) -> (Sent, usize, Vec<usize>) {
    let bytes = vec![0; bytes];
    let (mut progress, mut pieces, mut number) = (0, Vec::new(), 0);
    let sent = in_pieces(
        &bytes,
        100,
        &mut progress,
        || most.get(),
        |contents| {
            number += 1;
            answer(number, contents.len()).inspect(|()| pieces.push(contents.len()))
        },
    );
    (sent, progress, pieces)
}

fn errno(number: i32) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(number))
}

#[test]
fn a_train_goes_on_one_by_one_where_the_kernel_cannot_segment() {
    let most = Cell::new(64);
    let (sent, progress, pieces) = sent(350, &most, |_, len| {
        if len > 100 {
            most.set(1);
            return errno(5);
        }
        Ok(())
    });
    assert_eq!((sent, progress), (Sent::Done, 350));
    assert_eq!(pieces, [100, 100, 100, 50]);
}

#[test]
fn a_full_socket_keeps_the_rest() {
    let most = Cell::new(2);
    let full = |number, _| match number {
        1 => Ok(()),
        _ => Err(io::ErrorKind::WouldBlock.into()),
    };
    let (sent, progress, pieces) = sent(350, &most, full);
    assert_eq!((sent, progress), (Sent::Full, 200));
    assert_eq!(pieces, [200]);
}

#[test]
fn an_answer_to_an_earlier_datagram_costs_nothing() {
    let most = Cell::new(1);
    let refused = |number, _| match number {
        2 => Err(io::ErrorKind::ConnectionRefused.into()),
        _ => Ok(()),
    };
    let (outcome, progress, pieces) = sent(300, &most, refused);
    assert_eq!((outcome, progress), (Sent::Done, 300));
    assert_eq!(pieces, [100, 100, 100]);
    let never = |_, _| Err(io::ErrorKind::NetworkUnreachable.into());
    let (outcome, progress, _) = sent(300, &most, never);
    assert_eq!((outcome, progress), (Sent::Refused, 0));
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_too_big_is_lost_and_not_unreachable() {
    let most = Cell::new(1);
    let (outcome, progress, pieces) = sent(250, &most, |_, len| match len {
        100 => errno(90),
        _ => Ok(()),
    });
    assert_eq!((outcome, progress), (Sent::Done, 250));
    assert_eq!(pieces, [50]);
}

#[test]
fn marks_travel_with_trains_of_either_family() {
    for any in ["127.0.0.1:0", "[::1]:0"] {
        let bind = || Socket::bind(any.parse().unwrap(), &DriverConfig::default());
        let (Ok((mut far, to)), Ok((near, _))) = (bind(), bind()) else {
            assert!(any.starts_with('['), "no {any}");
            continue;
        };
        let mut poll = Poll::new().unwrap();
        poll.registry()
            .register(&mut far.io, Token(0), Interest::READABLE)
            .unwrap();
        let mut receiver = Receiver::new(DriverConfig::default().receive_memory);
        for sent in [Ecn::Ect0, Ecn::NotEct, Ecn::Ce, Ecn::Ect1] {
            let mut train = Train::with_capacity(8_000);
            train.begin(Room::default(), 1_000);
            for datagram in 0..5 {
                assert!(train.push(&[datagram; 1_000]));
            }
            train.set_ecn(sent);
            train.set_destination(Destination {
                socket: SocketId(0),
                remote: to,
            });
            assert_eq!(near.send(&mut train, &mut 0), Sent::Done);
            let mut heard = 0;
            while heard < 5_000 {
                far.read(SocketId(1), Instant::ZERO, &mut receiver, |_, input| {
                    let Input::Datagrams { ecn, data, .. } = input else {
                        panic!("{input:?}");
                    };
                    assert_eq!(ecn, sent, "{any}");
                    heard += data.len();
                });
                if heard < 5_000 {
                    let mut events = Events::with_capacity(4);
                    poll.poll(&mut events, Some(Duration::from_secs(60)))
                        .unwrap();
                    assert!(!events.is_empty(), "only {heard} bytes came to {any}");
                }
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn room_is_told_only_while_somebody_waits_for_it() {
    let any = "127.0.0.1:0".parse().unwrap();
    let (mut near, _) = Socket::bind(any, &DriverConfig::default()).unwrap();
    let (mut far, somebody) = Socket::bind(any, &DriverConfig::default()).unwrap();
    let mut poll = Poll::new().unwrap();
    near.register(poll.registry(), 0).unwrap();
    far.register(poll.registry(), 1).unwrap();
    let mut receiver = Receiver::new(DriverConfig::default().receive_memory);
    let mut events = Events::with_capacity(4);
    // Sends a datagram; whether the sender was told of room by the time that it arrived.
    let mut told_of_room = |poll: &mut Poll| {
        let mut train = Train::with_capacity(1_500);
        train.begin(Room::default(), 100);
        assert!(train.push(b"is there room?"));
        train.set_destination(Destination {
            socket: SocketId(0),
            remote: somebody,
        });
        assert_eq!(near.send(&mut train, &mut 0), Sent::Done);
        let (mut room, mut arrived) = (false, 0);
        while arrived == 0 {
            poll.poll(&mut events, Some(Duration::from_secs(60)))
                .unwrap();
            assert!(!events.is_empty(), "the datagram got lost");
            room |= events
                .iter()
                .any(|event| event.token() == Token(0) && event.is_writable());
            far.read(SocketId(1), Instant::ZERO, &mut receiver, |_, _| {
                arrived += 1
            });
        }
        room
    };
    assert!(!told_of_room(&mut poll));
    near.await_room(poll.registry());
    assert!(told_of_room(&mut poll));
    near.on_room(poll.registry());
    assert!(!told_of_room(&mut poll));
}

#[test]
fn receive_memory_is_never_passed() {
    let sizes = [
        2_048,
        5_000,
        16_384,
        32_768,
        65_534,
        65_535,
        131_070,
        524_288,
        1 << 30,
    ];
    let laid_out = sizes.map(|memory| {
        let receiver = Receiver::new(memory);
        assert!(receiver.buffer.len() <= memory);
        (receiver.buffer.len() / receiver.size, receiver.size)
    });
    if RECEIVES == 8 {
        let one_by_one = [(1, 2_048), (2, 2_048), (8, 2_048), (8, 4_096), (8, 8_191)];
        let merged = [(1, 65_535), (2, 65_535), (8, 65_535), (8, 65_535)];
        assert_eq!(laid_out, [&one_by_one[..], &merged].concat()[..]);
    }
}

#[test]
fn little_memory_takes_datagrams_one_by_one_and_whole() {
    let config = DriverConfig::default().with_receive_memory(5_000);
    let any = "127.0.0.1:0".parse().unwrap();
    let (mut far, to) = Socket::bind(any, &config).unwrap();
    let (near, _) = Socket::bind(any, &config).unwrap();
    let mut poll = Poll::new().unwrap();
    poll.registry()
        .register(&mut far.io, Token(0), Interest::READABLE)
        .unwrap();
    let mut train = Train::with_capacity(Train::MAX_BYTES);
    train.begin(Room::default(), 1_400);
    for datagram in 0..40 {
        assert!(train.push(&[datagram; 1_400]));
    }
    train.set_destination(Destination {
        socket: SocketId(0),
        remote: to,
    });
    assert_eq!(near.send(&mut train, &mut 0), Sent::Done);
    let mut receiver = Receiver::new(config.receive_memory);
    let mut heard = Vec::new();
    while heard.len() < 40 {
        let mut more = true;
        while more {
            let read = far.read(SocketId(1), Instant::ZERO, &mut receiver, |_, input| {
                let Input::Datagrams { data, .. } = input else {
                    panic!("{input:?}");
                };
                assert_eq!(data, [data[0]; 1_400]);
                heard.push(data[0]);
            });
            more = matches!(read, Read::Some);
        }
        if heard.len() < 40 {
            let mut events = Events::with_capacity(4);
            poll.poll(&mut events, Some(Duration::from_secs(60)))
                .unwrap();
            assert!(!events.is_empty(), "only {} came", heard.len());
        }
    }
    assert!(heard.is_sorted());
}
