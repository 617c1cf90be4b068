//! Timelines of one window.

use super::*;

const MS: Duration = Duration::from_millis(1);

fn ack(packets: usize, rtt: Duration, round_ended: bool) -> Acknowledged {
    Acknowledged {
        bytes: packets * 1_000,
        rtt: Some(rtt),
        window_limited: true,
        in_recovery: false,
        round_ended,
    }
}

/// Rounds of 64 packets, of which some are lost, at a round trip of 50 ms and `queue` more.
fn rounds(tolerant: &mut Tolerant, now: &mut Instant, count: u32, lost: usize, queue: Duration) {
    for _ in 0..count {
        for packet in 0..64 - lost {
            let ended = packet == 0;
            tolerant.on_acknowledged(*now, ack(1, 50 * MS + queue, ended));
        }
        if lost > 0 {
            tolerant.on_lost(lost);
            tolerant.on_congestion(*now);
        }
        *now += 50 * MS;
    }
}

#[test]
fn only_a_queue_explains_a_loss() {
    let (mut tolerant, mut now) = (Tolerant::new(1_000), Instant::ZERO);
    rounds(&mut tolerant, &mut now, 1, 0, Duration::ZERO);
    let window = tolerant.window();
    tolerant.on_congestion(now);
    assert_eq!(tolerant.window(), window);
    rounds(&mut tolerant, &mut now, 1, 0, 5 * MS);
    let window = tolerant.window() as f64;
    tolerant.on_congestion(now);
    let kept = tolerant.window() as f64 / window;
    assert!((0.85..0.88).contains(&kept), "{kept}");
    // Three rounds, since the first ones feel what the window was before.
    rounds(&mut tolerant, &mut now, 3, 0, 500 * MS);
    let window = tolerant.window() as f64;
    tolerant.on_congestion(now);
    let kept = tolerant.window() as f64 / window;
    assert!((0.69..0.71).contains(&kept), "{kept}");
}

#[test]
fn marks_reduce_whatever_is_felt_and_growth_rests_after_it() {
    let (mut tolerant, mut now) = (Tolerant::new(1_000), Instant::ZERO);
    rounds(&mut tolerant, &mut now, 1, 0, Duration::ZERO);
    let window = tolerant.window();
    tolerant.on_marked(now);
    assert_eq!(tolerant.window(), window * 85 / 100);
    // While what was sent before is repaired, for two rounds.
    let repairing = Acknowledged {
        in_recovery: true,
        ..ack(1, 50 * MS, false)
    };
    let window = tolerant.window();
    tolerant.on_acknowledged(now, repairing);
    assert_eq!(tolerant.window(), window);
    // And not for who does not use it.
    let idle = Acknowledged {
        window_limited: false,
        ..ack(1, 50 * MS, false)
    };
    tolerant.on_acknowledged(now, idle);
    assert_eq!(tolerant.window(), window);
    tolerant.on_acknowledged(now, ack(1, 50 * MS, false));
    assert!(tolerant.window() > window);
}

#[test]
fn after_a_timeout_slow_start_goes_on_to_what_the_path_held() {
    let (mut tolerant, mut now) = (Tolerant::new(1_000), Instant::ZERO);
    rounds(&mut tolerant, &mut now, 3, 0, Duration::ZERO);
    let window = tolerant.window();
    tolerant.on_lost(window / 1_000);
    tolerant.on_timeout(now);
    assert_eq!(tolerant.window(), 1_000);
    for round in 0..7 {
        let packets = tolerant.window() / 1_000;
        assert!(tolerant.in_slow_start(), "round {round}: {packets} packets");
        for packet in 0..packets {
            tolerant.on_acknowledged(now, ack(1, 50 * MS, packet == 0));
        }
    }
    assert!(tolerant.window() >= 128_000, "{}", tolerant.window());
}

#[test]
fn growth_is_modest_after_a_queue_and_quick_without_one() {
    let grown = |queue: bool| {
        let (mut tolerant, mut now) = (Tolerant::new(1_000), Instant::ZERO);
        rounds(&mut tolerant, &mut now, 2, 0, Duration::ZERO);
        match queue {
            true => tolerant.on_marked(now),
            false => tolerant.cubic.reduce(0.85),
        }
        let before = tolerant.window();
        rounds(&mut tolerant, &mut now, 20, 0, Duration::ZERO);
        tolerant.window() - before
    };
    let (modest, quick) = (grown(true), grown(false));
    // A packet a round at 50 ms, for the acknowledged share of the window; and 2 % of what arrives.
    assert!(modest > 5_000, "{modest}");
    assert!(quick > modest + 15_000, "{modest} {quick}");
}

#[test]
fn much_loss_reduces_until_it_proves_to_be_the_path() {
    let (mut tolerant, mut now) = (Tolerant::new(1_000), Instant::ZERO);
    rounds(&mut tolerant, &mut now, 2, 0, Duration::ZERO);
    let mut reduced = false;
    let mut window = tolerant.window();
    for _ in 0..12 {
        rounds(&mut tolerant, &mut now, 1, 6, Duration::ZERO);
        reduced |= tolerant.window() < window;
        window = tolerant.window();
    }
    assert!(reduced);
    let grown = window;
    rounds(&mut tolerant, &mut now, 20, 6, Duration::ZERO);
    assert!(tolerant.window() > grown, "{}", tolerant.window());
}

#[test]
fn a_queue_too_short_to_be_felt_is_respected() {
    let (mut tolerant, mut now) = (Tolerant::new(1_000), Instant::ZERO);
    // Whatever is sent beyond 40 packets a round is lost at once, as a policer does.
    let (mut sent, mut lost, mut largest) = (0, 0, 0);
    for round in 0..400 {
        let window = tolerant.window() / 1_000;
        for packet in 0..window.min(40) {
            tolerant.on_acknowledged(now, ack(1, 50 * MS, packet == 0));
        }
        let beyond = window.saturating_sub(40);
        if beyond > 0 {
            tolerant.on_lost(beyond);
            tolerant.on_congestion(now);
        }
        now += 50 * MS;
        if round >= 100 {
            sent += window;
            lost += beyond;
            largest = largest.max(window);
        }
    }
    println!("sent {sent}, lost {lost}, largest {largest}");
    let share = lost as f64 / sent as f64;
    assert!(share < 0.1, "{lost} of {sent} lost");
    assert!(largest <= 60, "{largest}");
    assert!(sent - lost >= 300 * 40 * 9 / 10, "{sent} sent");
}
