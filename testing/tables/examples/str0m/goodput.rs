//! One data channel of str0m, DTLS and ICE included, over the links of the goodput table.

use std::collections::{BTreeSet, VecDeque};
use std::error::Error;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use esp_netsim::{Duplex, Engine};
use esp_tables::goodput::{Cell, DATAGRAM, MESSAGE, Weather, cells, shown};
use esp_wire::{Ecn, Instant, Room, Train};
use str0m::change::{SdpAnswer, SdpOffer};
use str0m::channel::ChannelId;
use str0m::net::{Protocol, Receive};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

use crate::{Clock, VERSION};

/// Its buffers where the row's would take it minutes of computing a cell.
const SMALL_BUFFER: usize = 2 << 20;

/// One side: a whole `Rtc` above a link that knows no addresses.
struct End {
    rtc: Rtc,
    clock: Clock,
    own: SocketAddr,
    far: SocketAddr,
    deadline: Instant,
    channel: Option<ChannelId>,
    sends: bool,
    message: Vec<u8>,
    ready: VecDeque<Vec<u8>>,
    received: u64,
    largest: usize,
    failed: Option<String>,
}

impl End {
    fn new(cell: &Cell, clock: Clock, own: SocketAddr, far: SocketAddr) -> Self {
        let mut rtc = RtcConfig::new()
            .set_mtu(DATAGRAM..=usize::MAX)
            .set_sctp_max_buffered_amount(buffer(cell))
            .set_sctp_max_message_size(buffer(cell) as u32)
            .build(clock.at(Instant::ZERO));
        if let Ok(candidate) = Candidate::host(own, "udp") {
            rtc.add_local_candidate(candidate);
        }
        End {
            rtc,
            clock,
            own,
            far,
            deadline: Instant::ZERO,
            channel: None,
            sends: false,
            message: vec![7; MESSAGE],
            ready: VecDeque::new(),
            received: 0,
            largest: 0,
            failed: None,
        }
    }

    /// Takes out all that it has to say, and writes as much as it takes.
    fn drain(&mut self) {
        while self.failed.is_none() {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.deadline = self.clock.back(at);
                    if !self.write() {
                        return;
                    }
                }
                Ok(Output::Transmit(out)) => {
                    let datagram: Vec<u8> = out.contents.into();
                    self.largest = self.largest.max(datagram.len());
                    self.ready.push_back(datagram);
                }
                Ok(Output::Event(Event::ChannelOpen(channel, _))) => self.channel = Some(channel),
                Ok(Output::Event(Event::ChannelData(data))) => {
                    self.received += data.data.len() as u64;
                }
                Ok(Output::Event(_)) => {}
                Err(error) => self.fail(&error),
            }
        }
    }

    /// The first error ends the cell; those that follow from it are not told.
    fn fail(&mut self, error: &dyn Error) {
        self.failed.get_or_insert_with(|| error.to_string());
    }

    fn write(&mut self) -> bool {
        let Some(channel) = self.channel.filter(|_| self.sends) else {
            return false;
        };
        let Some(mut channel) = self.rtc.channel(channel) else {
            return false;
        };
        channel.write(true, &self.message).unwrap_or(false)
    }

    fn input(&mut self, input: Input<'_>) {
        if let Err(error) = self.rtc.handle_input(input) {
            self.fail(&error);
        }
        self.drain();
    }
}

impl Engine for End {
    fn handle_datagram(&mut self, now: Instant, _ecn: Ecn, datagram: &mut [u8]) {
        let Ok(contents) = (&*datagram).try_into() else {
            return;
        };
        let receive = Receive {
            proto: Protocol::Udp,
            source: self.far,
            destination: self.own,
            contents,
        };
        self.input(Input::Receive(self.clock.at(now), receive));
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.deadline = now + Duration::from_secs(3_600);
        self.input(Input::Timeout(self.clock.at(now)));
    }

    fn poll_transmit(&mut self, _now: Instant, train: &mut Train) -> bool {
        let Some(datagram) = self.ready.pop_front() else {
            return false;
        };
        train.begin(Room::default(), datagram.len());
        train.push(&datagram)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.failed.is_none().then_some(self.deadline)
    }
}

/// The row's buffers, but where its own time for a packet, which grows with what is in flight, would be
/// minutes for a cell.
fn buffer(cell: &Cell) -> usize {
    let deep = cell.weather == Weather::Bufferbloat && cell.rate >= 100;
    match cell.rate * cell.rtt >= 100_000 || deep {
        true => cell.buffer.min(SMALL_BUFFER),
        false => cell.buffer,
    }
}

type Done<T> = Result<T, Box<dyn Error>>;

fn connect(cell: &Cell) -> Done<Duplex<End>> {
    let clock = Clock::new();
    let addresses: [SocketAddr; 2] = ["10.0.0.1:5000".parse()?, "10.0.0.2:5000".parse()?];
    let mut a = End::new(cell, clock, addresses[0], addresses[1]);
    let mut b = End::new(cell, clock, addresses[1], addresses[0]);
    let mut change = a.rtc.sdp_api();
    change.add_channel("goodput".into());
    let (offer, pending) = change.apply().ok_or("nothing to offer")?;
    let offer = SdpOffer::from_sdp_string(&offer.to_sdp_string())?;
    let answer = b.rtc.sdp_api().accept_offer(offer)?;
    let answer = SdpAnswer::from_sdp_string(&answer.to_sdp_string())?;
    a.rtc.sdp_api().accept_answer(pending, answer)?;
    let mut net = Duplex::seeded(1, cell.link(), a, b);
    net.a.handle_timeout(Instant::ZERO);
    net.b.handle_timeout(Instant::ZERO);
    let open = |net: &mut Duplex<End>| net.a.channel.is_some() && net.b.channel.is_some();
    net.try_run_until(open, Duration::from_secs(60))
        .map_err(|_| "does not open")?;
    Ok(net)
}

/// User data in Mbit/s over the measured part of what was received, and the largest datagram.
pub(crate) fn run(cell: &Cell) -> Done<(f64, usize)> {
    let mut net = connect(cell)?;
    let start = net.now();
    net.a.sends = true;
    net.a.handle_timeout(start);
    let mut log = vec![(start, 0)];
    while net.b.received < cell.volume() && net.now().since(start) < Duration::from_secs(60) {
        net.run_for(Duration::from_millis(1));
        log.push((net.now(), net.b.received));
        if let Some(error) = net.a.failed.take().or(net.b.failed.take()) {
            return Err(error.into());
        }
    }
    let largest = net.a.largest.max(net.b.largest);
    Ok((cell.goodput(&log), largest))
}

/// Why cells fail.
const FAILED: &str = "\nIn the cells marked *failed* its association ended with an error. Its start overruns the queue by hundreds of
packets. Its SACKs then list all gaps and duplicates, whatever the size of a datagram; one of more than 2,000 bytes does not
fit into the buffer through which str0m takes what its DTLS hands it, and that is an error of the whole connection. No
setting of ours bounds it.";

/// The table: the columns of ours, with str0m's figures.
pub(crate) fn table() -> String {
    let mut out = format!(
        "# Goodput of str0m in virtual time

str0m {VERSION} with its own ICE and DTLS 1.2 over the links of [goodput.md](goodput.md), in the same cells, measured in
the same way, in one run of `cargo xtask tables str0m`. Its target for datagrams is {DATAGRAM} bytes. Its send buffer
and its largest message (which its receive buffer follows) are the buffers of the row, but {} MiB at 1 Gbit/s and 100 ms
or more, and under bufferbloat at 100 Mbit/s or more: its time for a packet grows with what is in flight, and with
8 MiB a cell took more than a minute of computing. Without loss that holds its figure down where path and queue hold
more than that; with loss its window is far smaller anyhow. Its keys are random, so that figures may differ a little
from run to run; the tests do not compute them again.
",
        SMALL_BUFFER >> 20,
    );
    let mut seen = Seen::default();
    for (weather, title) in [
        (Weather::Plain, "Loss"),
        (Weather::Reordering, "Reordering"),
        (Weather::Bufferbloat, "Bufferbloat"),
    ] {
        section(&mut out, weather, title, &mut seen);
    }
    let _ = writeln!(
        out,
        "\nIts largest datagram was {} bytes long; its SACKs know no bound.",
        seen.largest
    );
    if !seen.errors.is_empty() {
        let errors: Vec<String> = seen.errors.into_iter().collect();
        let _ = writeln!(out, "{FAILED} Its errors: {}.", errors.join("; "));
    }
    out
}

/// What is told below the table.
#[derive(Default)]
struct Seen {
    largest: usize,
    errors: BTreeSet<String>,
}

fn section(out: &mut String, weather: Weather, title: &str, seen: &mut Seen) {
    let all = cells();
    let cells: Vec<&Cell> = all.iter().filter(|cell| cell.weather == weather).collect();
    let columns = cells.iter().position(|cell| cell.rtt != cells[0].rtt);
    let columns = columns.unwrap_or(cells.len());
    let _ = write!(
        out,
        "\n## {title}\n\n| link Mbit/s | RTT ms | buffers MiB |"
    );
    for cell in &cells[..columns] {
        let _ = write!(out, " {} % lost |", (cell.loss * 1_000.0).round() / 10.0);
    }
    let _ = write!(out, "\n|---:|---:|---:|{}", "---:|".repeat(columns));
    for row in cells.chunks(columns) {
        let first = row[0];
        let buffers = first.buffer >> 20;
        let _ = write!(out, "\n| {} | {} | {buffers} |", first.rate, first.rtt);
        for cell in row {
            let begun = Clock::new();
            let text = match run(cell) {
                Ok((goodput, size)) => {
                    seen.largest = seen.largest.max(size);
                    shown(goodput)
                }
                Err(error) => {
                    seen.errors.insert(error.to_string());
                    "failed".to_owned()
                }
            };
            eprintln!("{cell:?}: {text} ({:?})", begun.age());
            let _ = write!(out, " {text} |");
        }
    }
    out.push('\n');
}
