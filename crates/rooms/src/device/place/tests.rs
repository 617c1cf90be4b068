use std::cell::RefCell;

use super::*;

const OWN: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
const SILENCE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(15));

fn listen(place: &mut Place, now: Instant, last: Option<&str>) -> Option<(Ticket, bool)> {
    match place.admit(now, OWN, last, "name") {
        Admission::Welcome(ticket, resumed) => Some((ticket, resumed)),
        Admission::Taken => None,
    }
}

fn rest(place: &mut Place, ticket: &mut Ticket) -> Vec<(u64, String)> {
    let mut heard = Vec::new();
    while let Next::Event(number, text) = place.next(ticket) {
        heard.push((number, text.to_string()));
    }
    heard
}

fn deaf(_: Heard) -> Result<(), Full> {
    Ok(())
}

#[test]
fn what_was_sent_makes_room_and_what_waits_does_not() {
    let now = Instant::now();
    let mut place = Place::new(3, 10);
    assert_eq!(place.say("12345"), Ok(()));
    assert_eq!(place.say("1234567"), Err(Full));
    assert_eq!(place.say("12345"), Ok(()));
    assert_eq!(place.say(""), Ok(()));
    assert_eq!(place.say(""), Err(Full));
    let (mut ticket, resumed) = listen(&mut place, now, None).unwrap();
    assert!(!resumed && listen(&mut place, now, Some("name2.1")).is_none());
    let heard = rest(&mut place, &mut ticket);
    assert_eq!(heard.last(), Some(&(3, String::new())));
    assert_eq!(place.next(&mut ticket), Next::Wait);
    assert_eq!(place.say("x"), Ok(()));
    assert_eq!(rest(&mut place, &mut ticket), [(4, "x".to_owned())]);
    // The bytes of what was forgotten are free.
    assert_eq!(place.say("123456789"), Ok(()));
    assert_eq!(place.say("12"), Err(Full));
    place.say_bye();
    assert_eq!(rest(&mut place, &mut ticket).len(), 2);
}

#[test]
fn a_stream_goes_on_where_it_was_cut() {
    let now = Instant::now();
    let mut place = Place::new(3, 100);
    let (mut first, _) = listen(&mut place, now, None).unwrap();
    for word in ["a", "b", "c"] {
        place.say(word).unwrap();
    }
    assert_eq!(rest(&mut place, &mut first).len(), 3);
    // It has heard the first alone, and comes back while it is believed to be there.
    let (mut second, resumed) = listen(&mut place, now, Some("name.1")).unwrap();
    assert!(resumed);
    assert_eq!(place.next(&mut first), Next::End);
    place.ended(now, &first);
    place.say("d").unwrap();
    let words =
        |heard: Vec<(u64, String)>| heard.into_iter().map(|(_, text)| text).collect::<String>();
    assert_eq!(words(rest(&mut place, &mut second)), "bcd");
    // What is not kept any more cannot be said again; what never was cannot be skipped.
    for (last, heard) in [("name.0", "bcd"), ("name.9", ""), ("name.x", "bcd")] {
        let (mut ticket, _) = listen(&mut place, now, Some(last)).unwrap();
        assert_eq!(words(rest(&mut place, &mut ticket)), heard, "{last}");
    }
}

#[test]
fn who_goes_takes_along_what_was_said() {
    let now = Instant::now();
    let mut place = Place::new(9, 100);
    let (mut ticket, _) = listen(&mut place, now, None).unwrap();
    place.say("a").unwrap();
    let bye = BYE.to_owned();
    assert_eq!(place.post(now, OWN, Some("name"), bye, &deaf), Ok(()));
    assert_eq!(place.next(&mut ticket), Next::End);
    // To nobody, which the next one hears, or which a bye takes back.
    place.say("b").unwrap();
    place.say_bye();
    place.say("c").unwrap();
    let (mut ticket, _) = listen(&mut place, now, None).unwrap();
    assert_eq!(rest(&mut place, &mut ticket), [(3, "c".to_owned())]);
}

#[test]
fn only_the_listener_is_heard() {
    let now = Instant::now();
    let heard = RefCell::new(Vec::new());
    let hears = |word: Heard| {
        let full = matches!(&word, Heard::Message(text) if text.contains("answer"));
        heard.borrow_mut().push(word);
        if full { Err(Full) } else { Ok(()) }
    };
    let mut place = Place::new(9, 100);
    let post = |place: &mut Place, address, name, kind: &str| {
        let text = format!("{{\"type\":\"{kind}\"}}");
        place.post(now, address, name, text, &hears)
    };
    assert_eq!(post(&mut place, OWN, None, "offer"), Err(Fault::Nobody));
    listen(&mut place, now, None).unwrap();
    assert_eq!(post(&mut place, OWN, None, "offer"), Ok(()));
    assert_eq!(post(&mut place, OTHER, Some("name"), "candidate"), Ok(()));
    assert_eq!(post(&mut place, OTHER, None, "bye"), Err(Fault::Stranger));
    assert_eq!(
        post(&mut place, OWN, Some("x"), "bye"),
        Err(Fault::Stranger)
    );
    assert_eq!(post(&mut place, OWN, None, "other"), Err(Fault::Malformed));
    assert_eq!(post(&mut place, OWN, None, "answer"), Err(Fault::Full));
    assert_eq!(post(&mut place, OWN, None, "heartbeat"), Ok(()));
    assert_eq!(heard.borrow().len(), 3);
}

#[test]
fn silence_gives_the_place_away() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let lost = RefCell::new(0);
    let hears = |_: Heard| {
        *lost.borrow_mut() += 1;
        // Told at the second attempt.
        if *lost.borrow() == 1 {
            Err(Full)
        } else {
            Ok(())
        }
    };
    let mut place = Place::new(9, 100);
    assert!(!place.expire(at(99), SILENCE, &hears));
    let (ticket, _) = listen(&mut place, start, None).unwrap();
    // One that never answers is there while its stream is.
    assert!(!place.expire(at(99), SILENCE, &hears));
    place.ended(at(100), &ticket);
    assert!(!place.expire(at(109), SILENCE, &hears));
    let (ticket, _) = listen(&mut place, at(109), Some("name.0")).unwrap();
    let beat = r#"{"type":"heartbeat"}"#.to_owned();
    place.post(at(120), OWN, None, beat, &hears).unwrap();
    assert!(!place.expire(at(134), SILENCE, &hears));
    assert!(!place.expire(at(135), SILENCE, &hears) && place.is_taken());
    assert!(place.expire(at(136), SILENCE, &hears) && !place.is_taken());
    assert_eq!(*lost.borrow(), 2);
    place.ended(at(136), &ticket);
}
