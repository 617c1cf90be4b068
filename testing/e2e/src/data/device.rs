//! A device that carries nothing but data channels.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use esp_webrtc::peer::{
    ChannelConfig, ChannelInfo, Error, Handler, Notice, PeerConfig, PeerConnection, Report, State,
};
use esp_webrtc::wire::{DataFrame, DataKind, Signal};
use esp_webrtc::{Connection, Driver, DriverConfig};

use super::{PATIENCE, pattern};
use crate::Outcome;

/// A message as it came.
pub type Message = (DataKind, Vec<u8>);

/// How much of a bulk has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bulk {
    /// Bytes.
    pub bytes: u64,
    /// Words that were not what they should be.
    pub wrong: usize,
}

/// What has happened to the device.
#[derive(Debug, Default)]
struct News {
    sdp: Option<String>,
    /// The last description, which stays.
    told: Option<String>,
    connected: bool,
    ended: Option<String>,
    open: BTreeMap<u16, ChannelInfo>,
    closed: Vec<ChannelInfo>,
    messages: BTreeMap<u16, Vec<Message>>,
    bulks: BTreeMap<u16, Bulk>,
    writable: BTreeSet<u16>,
}

#[derive(Debug, Default)]
struct Board {
    news: Mutex<News>,
    changed: Condvar,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, note: impl FnOnce(&mut News)) {
        note(&mut self.lock());
        self.changed.notify_all();
    }
}

struct Ear(Arc<Board>);

impl Handler for Ear {
    fn on_state(&mut self, state: State) {
        self.0.note(|news| match state {
            State::DataChannelConnected => news.connected = true,
            State::Connected => {}
            State::Disconnected | State::ConnectFailed | State::Closed => {
                news.ended.get_or_insert_with(|| state.to_string());
            }
            _ => {}
        });
    }

    fn on_msg(&mut self, msg: Signal<'_>) {
        if let Signal::Sdp(sdp) = msg {
            self.0.note(|news| {
                news.told = Some(sdp.to_string());
                news.sdp = Some(sdp.into_owned());
            });
        }
    }

    fn on_channel_open(&mut self, channel: &ChannelInfo) {
        let channel = channel.clone();
        self.0.note(|news| {
            news.open.insert(channel.stream_id, channel);
        });
    }

    fn on_data(&mut self, frame: DataFrame<'_>) {
        self.0
            .note(|news| match news.bulks.get_mut(&frame.stream_id) {
                Some(bulk) => {
                    bulk.wrong += pattern::wrong(frame.data, bulk.bytes);
                    bulk.bytes += frame.data.len() as u64;
                }
                None => {
                    let messages = news.messages.entry(frame.stream_id).or_default();
                    messages.push((frame.kind, frame.data.to_vec()));
                }
            });
    }

    fn on_channel_close(&mut self, channel: &ChannelInfo) {
        let channel = channel.clone();
        self.0.note(|news| {
            news.open.remove(&channel.stream_id);
            news.closed.push(channel);
        });
    }

    fn on_writable(&mut self, stream_id: u16) {
        self.0.note(|news| {
            news.writable.insert(stream_id);
        });
    }

    fn on_notice(&mut self, notice: &Notice<'_>) {
        if let Notice::Ended { reason } | Notice::ChannelsEnded { reason } = notice {
            let reason = reason.to_string();
            self.0.note(|news| news.ended = Some(reason));
        }
    }
}

/// One end of data channels, on a driver of its own. It closes when it is dropped.
pub struct Device {
    connection: Connection,
    board: Arc<Board>,
}

impl Device {
    /// Opens one that is not connected yet.
    ///
    /// # Errors
    /// Those of the driver.
    pub fn open(config: PeerConfig) -> Outcome<Self> {
        let driver = Driver::start(DriverConfig::default()).map_err(|error| error.to_string())?;
        let board = Arc::new(Board::default());
        let connection = driver
            .open(config, Box::new(Ear(Arc::clone(&board))))
            .map_err(|error| error.to_string())?;
        Ok(Device { connection, board })
    }

    /// Waits until `look` finds something in the news.
    fn wait<T>(&self, what: &str, mut look: impl FnMut(&mut News) -> Option<T>) -> Outcome<T> {
        let begun = Instant::now();
        let mut news = self.board.lock();
        loop {
            if let Some(found) = look(&mut news) {
                return Ok(found);
            }
            let left = PATIENCE.saturating_sub(begun.elapsed());
            if left == Duration::ZERO || news.ended.is_some() {
                let ended = news.ended.clone();
                drop(news);
                let report = self.connection.query();
                return Err(format!("device: {what} (ended: {ended:?}): {report:?}"));
            }
            (news, _) = self
                .board
                .changed
                .wait_timeout(news, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// What it describes itself with after `act`.
    fn describes(
        &self,
        what: &str,
        act: impl FnOnce(&Connection) -> Result<(), Error>,
    ) -> Outcome<String> {
        self.board.note(|news| news.sdp = None);
        act(&self.connection).map_err(|error| error.to_string())?;
        self.wait(what, |news| news.sdp.take())
    }

    pub(super) fn offer(&self) -> Outcome<String> {
        self.describes("no offer", |it| it.new_connection())
    }

    pub(super) fn answer(&self, offer: &str) -> Outcome<String> {
        let begun = self.connection.new_connection();
        begun.map_err(|error| error.to_string())?;
        self.answer_again(offer)
    }

    pub(super) fn connected(&self) -> Outcome<()> {
        self.wait("not connected", |news| news.connected.then_some(()))
    }

    /// Restarts ICE; the offer for it, which is the same again while the last one was not answered.
    ///
    /// # Errors
    /// When none comes.
    pub fn restart(&self) -> Outcome<String> {
        self.describes("no offer", |it| it.restart_ice())
    }

    /// Takes an answer, or an offer that it does not answer.
    ///
    /// # Errors
    /// When the device does not take it.
    pub fn take(&self, answer: &str) -> Outcome<()> {
        self.connection
            .send_msg(&Signal::Sdp(answer.into()))
            .map_err(|error| error.to_string())
    }

    /// Takes an offer while it is connected, and answers it.
    ///
    /// # Errors
    /// When the device does not take it, or no answer comes.
    pub fn answer_again(&self, offer: &str) -> Outcome<String> {
        let offer = Signal::Sdp(offer.into());
        self.describes("no answer", |it| it.send_msg(&offer))
    }

    /// Its last description; empty before the first.
    pub fn description(&self) -> String {
        self.board.lock().told.clone().unwrap_or_default()
    }

    /// Opens a channel.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn create(&self, config: ChannelConfig) -> Outcome<()> {
        self.connection
            .create_data_channel(config)
            .map_err(|error| error.to_string())
    }

    /// Waits until a channel with this label is open, and gives its stream.
    ///
    /// # Errors
    /// When none opens.
    pub fn channel(&self, label: &str) -> Outcome<u16> {
        self.channel_info(label).map(|channel| channel.stream_id)
    }

    /// The same, with all that is known of it.
    ///
    /// # Errors
    /// When none opens.
    pub fn channel_info(&self, label: &str) -> Outcome<ChannelInfo> {
        let short: String = label.chars().take(40).collect();
        self.wait(&format!("`{short}` does not open"), |news| {
            let mut open = news.open.values();
            open.find(|channel| channel.label == label).cloned()
        })
    }

    /// How many channels are open.
    pub fn open_channels(&self) -> usize {
        self.board.lock().open.len()
    }

    /// Closes a channel.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn close_channel(&self, stream_id: u16) -> Outcome<()> {
        self.connection
            .close_data_channel(stream_id)
            .map_err(|error| error.to_string())
    }

    /// Waits until no more channels than these are open.
    ///
    /// # Errors
    /// When more stay.
    pub fn wait_for_channels(&self, most: usize) -> Outcome<()> {
        let what = format!("more than {most} channels stay open");
        self.wait(&what, |news| (news.open.len() <= most).then_some(()))
    }

    /// Waits until a channel of this label has ended.
    ///
    /// # Errors
    /// When it does not.
    pub fn wait_for_end(&self, label: &str) -> Outcome<()> {
        self.wait(&format!("`{label}` does not close"), |news| {
            let mut closed = news.closed.iter();
            closed.any(|channel| channel.label == label).then_some(())
        })
    }

    /// Sends a message as soon as there is room for it.
    ///
    /// # Errors
    /// What the connection says, but for a full queue; when room never comes.
    pub fn send(&self, stream_id: u16, kind: DataKind, data: &[u8]) -> Outcome<()> {
        let frame = DataFrame {
            kind,
            stream_id,
            data,
        };
        loop {
            self.board.lock().writable.remove(&stream_id);
            match self.connection.send_data(frame) {
                Ok(()) => return Ok(()),
                Err(Error::WouldBlock) => self.wait("it does not become writable", |news| {
                    news.writable.contains(&stream_id).then_some(())
                })?,
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    /// Sends so many bytes of the known stream in messages of this size.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn send_bulk(&self, stream_id: u16, bytes: u64, size: usize) -> Outcome<()> {
        let mut message = vec![0; size];
        for at in (0..bytes).step_by(size) {
            pattern::bytes(&mut message, at);
            self.send(stream_id, DataKind::Binary, &message)?;
        }
        Ok(())
    }

    /// From now on, what comes on this stream is checked and counted, not kept.
    pub fn receive_bulk(&self, stream_id: u16) {
        self.board.lock().bulks.insert(stream_id, Bulk::default());
    }

    /// What has come of a bulk.
    pub fn bulk(&self, stream_id: u16) -> Bulk {
        let news = self.board.lock();
        news.bulks.get(&stream_id).copied().unwrap_or_default()
    }

    /// Waits until so many messages have come on this stream, and takes them all.
    ///
    /// # Errors
    /// When fewer come.
    pub fn messages(&self, stream_id: u16, least: usize) -> Outcome<Vec<Message>> {
        let what = format!("fewer than {least} messages came on {stream_id}");
        self.wait(&what, |news| {
            let came = news.messages.get(&stream_id).map_or(0, Vec::len);
            (came >= least).then(|| news.messages.remove(&stream_id).unwrap_or_default())
        })
    }

    /// Waits until so many numbered messages have come on this stream, and gives the numbers of all.
    ///
    /// # Errors
    /// When fewer come, or one came that is not as it was sent.
    pub fn numbers(&self, stream_id: u16, least: usize) -> Outcome<Vec<u32>> {
        let messages = self.messages(stream_id, least)?;
        let number = |(_, data): &Message| pattern::number(data).ok_or("a byte is wrong".into());
        messages.iter().map(number).collect()
    }

    /// Ends its connection.
    pub fn close(&self) {
        self.connection.close();
    }

    /// States and figures.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn report(&self) -> Outcome<Report> {
        self.connection.query().map_err(|error| error.to_string())
    }

    /// The figures of the association.
    ///
    /// # Errors
    /// When there is none.
    pub fn sctp(&self) -> Outcome<esp_webrtc::peer::sctp::Stats> {
        self.report()?.sctp.ok_or("there is no association".into())
    }
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Device").finish_non_exhaustive()
    }
}
