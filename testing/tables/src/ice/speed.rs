//! Time to connected over the ideal, with one pair that works among many that do not.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use esp_ice::Config;
use esp_netsim::{Endpoint, HostId, Nat, Net, SiteId};
use esp_wire::{Origin, Rng, Role};

use super::peer::Call;

/// Time between two new checks, ms.
pub const TA: u64 = 5;
/// How many seeds make a figure.
pub const SEEDS: u64 = 100;
/// The losses of the table, percent.
pub const LOSSES: [u64; 3] = [0, 10, 30];

/// One kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Round trip, ms.
    pub rtt: u64,
    /// Candidates of each side.
    pub candidates: u64,
    /// Bases of each side, of which one works.
    pub bases: u64,
    /// Loss of datagrams each way, percent.
    pub loss: u64,
}

/// What 100 calls of one kind took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Median of the times, ms.
    pub median: u128,
    /// The longest, ms.
    pub worst: u128,
    /// Calls that did not connect within two minutes.
    pub failed: usize,
    /// The longest time beyond two round trips and a Ta for each place up to that of the pair that
    /// works, ms; not above zero is as good as can be.
    pub beyond: i128,
}

/// The rows: round trip, candidates and bases.
pub fn rows() -> Vec<(u64, u64, u64)> {
    let mut rows = Vec::new();
    for rtt in [20, 100, 400, 2_000] {
        for (candidates, bases) in [(1, 1), (5, 1), (20, 1), (5, 4), (20, 4)] {
            rows.push((rtt, candidates, bases));
        }
    }
    rows
}

fn config(role: Role) -> Config {
    let ta = Duration::from_millis(TA);
    Config::default()
        .with_role(role)
        .with_pacing(ta)
        .with_silent_peer_pacing(ta)
        .with_max_pairs(400)
}

/// Gives a host its bases: one in the public network, at a random place, the others where no datagram
/// gets out.
pub fn set_bases<E: Endpoint>(net: &mut Net<E>, host: HostId, bases: u64, rng: &mut Rng) {
    let public = net.address(host);
    let works = rng.below(bases);
    let names: Vec<String> = (0..bases).map(|base| format!("eth{base}")).collect();
    let mut list: Vec<(&str, SiteId, IpAddr)> = Vec::new();
    for base in 0..bases {
        let name = names[base as usize].as_str();
        if base == works {
            list.push((name, SiteId::PUBLIC, public));
        } else {
            let site = net.site(Nat::full_cone().without_udp());
            list.push((name, site, [172, 16, base as u8, 2].into()));
        }
    }
    net.set_interfaces(host, &list);
}

/// A candidate of the other side that does not answer, above or below those that are told by it.
pub fn dead_candidate(network: u8, number: u64, rng: &mut Rng) -> String {
    let priority = 2_130_706_431 + 5_120 - 256 * rng.below(40) - number;
    format!("candidate:{number} 1 udp {priority} 10.{network}.0.{number} 9 typ host")
}

/// The random source of a call's candidates.
pub fn candidates_rng(seed: u64) -> Rng {
    Rng::new(Origin::seeded(seed).seed).fork("candidates")
}

/// One call: the time it took, and how far that is beyond the ideal, both in microseconds.
fn run(cell: &Cell, seed: u64) -> Option<(u128, i128)> {
    let mut call = Call::new(seed, config(Role::Controlling), config(Role::Controlled));
    let mut rng = candidates_rng(seed);
    for host in [call.a, call.b] {
        set_bases(&mut call.net, host, cell.bases, &mut rng);
    }
    call.net.delay(Duration::from_micros(cell.rtt * 500));
    call.run_for(Duration::from_millis(1));
    let now = call.net.now();
    for (host, network) in [(call.a, 1), (call.b, 2)] {
        for number in cell.bases..cell.candidates {
            let line = dead_candidate(network, number, &mut rng);
            let peer = call.net.endpoint_mut(host);
            let taken = peer.agent.add_remote_candidate(now, &line);
            taken.expect("a line that can be read");
            peer.drain();
        }
    }
    call.net.loss(cell.loss as f64 / 100.0);
    call.exchange();
    let took = call.connect(Duration::from_secs(120))?.as_micros();
    let agent = &call.net.endpoint(call.a).agent;
    let works = agent.selected()?;
    let pairs = agent.pairs();
    let better = pairs.iter().filter(|pair| pair.priority > works.priority);
    let place = better.count() as u64 + 1;
    let ideal = (2 * cell.rtt + place * TA) * 1_000;
    Some((took, took as i128 - i128::from(ideal)))
}

/// Computes what `seeds` calls took.
pub fn figure(cell: &Cell, seeds: u64) -> Figure {
    let runs: Vec<_> = (0..seeds).map(|seed| run(cell, seed)).collect();
    summary(&runs)
}

/// Sums calls up: the time that each took, and how far that is beyond the ideal, both in microseconds.
pub fn summary(runs: &[Option<(u128, i128)>]) -> Figure {
    let mut times: Vec<u128> = runs.iter().flatten().map(|(took, _)| *took).collect();
    times.sort_unstable();
    let beyond = runs.iter().flatten().map(|(_, beyond)| *beyond).max();
    Figure {
        median: times.get(times.len() / 2).copied().unwrap_or(0) / 1_000,
        worst: times.last().copied().unwrap_or(0) / 1_000,
        failed: runs.iter().filter(|run| run.is_none()).count(),
        beyond: beyond.unwrap_or(0).div_euclid(1_000),
    }
}

/// A figure as the table has it.
pub fn text(figure: &Figure) -> String {
    let failed = match figure.failed {
        0 => String::new(),
        failed => format!(", {failed} failed"),
    };
    format!("{} / {}{failed}", figure.median, figure.worst)
}

/// The row of the table.
pub fn row((rtt, candidates, bases): (u64, u64, u64), seeds: u64) -> String {
    let figures = LOSSES.map(|loss| {
        let cell = Cell {
            rtt,
            candidates,
            bases,
            loss,
        };
        figure(&cell, seeds)
    });
    let [clean, some, much] = figures.each_ref().map(text);
    let beyond = figures[0].beyond;
    format!("| {rtt} | {candidates} | {bases} | {clean} | {beyond} | {some} | {much} |")
}

/// The section of the table.
pub(super) fn section() -> String {
    let mut text = format!(
        "## Time to connected\n\n\
         From the exchange of descriptions to the first pair that works on both sides, in ms: median / worst \
         of {SEEDS} seeds. Of all pairs one works; its place among them is drawn at random. Ta is {TA} ms, the \
         limit for pairs 400. \"Beyond\" is the longest time beyond two round trips and a Ta for each place up to \
         that of the pair that works, without loss; not above zero is as good as the network allows.\n\n\
         | RTT, ms | candidates | bases | no loss | beyond | loss 10 % | loss 30 % |\n\
         |---|---|---|---|---|---|---|\n"
    );
    for at in rows() {
        let _ = writeln!(text, "{}", row(at, SEEDS));
    }
    text
}
