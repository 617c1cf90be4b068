//! Events on their way to the owner: messages in one queue, everything else in another, so that
//! holding messages back does not hide what happens to the association.

use std::collections::VecDeque;

use esp_wire::DataKind;

use super::Association;
use crate::{ChannelHandle, Event, channel::dcep::ppid, incoming::reassembly::Received, surplus};

/// An event that is not yet borrowed from anything.
#[derive(Debug)]
pub(super) enum Notice {
    Connected,
    Restarted,
    Open {
        channel: ChannelHandle,
        stream: u16,
        by_peer: bool,
    },
    Writable(ChannelHandle),
    Low(ChannelHandle),
    Message(Message),
    MessageAborted {
        channel: ChannelHandle,
        stream: u16,
    },
    Closing(ChannelHandle),
    Closed {
        channel: ChannelHandle,
        stream: Option<u16>,
    },
    Ended,
}

/// A message, or a part of one.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) channel: ChannelHandle,
    pub(super) received: Received,
}

/// The queues.
#[derive(Debug)]
pub(super) struct Delivering {
    notices: VecDeque<Notice>,
    ready: VecDeque<Notice>,
    /// The message that the last event borrowed from.
    current: Option<Message>,
    on: bool,
    /// The most that waited since the last look.
    peak: usize,
    /// Memory that is used again for what a stream releases at once.
    pub(super) released: Vec<Received>,
}

impl Default for Delivering {
    fn default() -> Self {
        Delivering {
            notices: VecDeque::new(),
            ready: VecDeque::new(),
            current: None,
            on: true,
            peak: 0,
            released: Vec::new(),
        }
    }
}

impl Delivering {
    /// Queues what does not wait for messages.
    pub(super) fn notify(&mut self, notice: Notice) {
        self.notices.push_back(notice);
        self.peak = self.peak.max(self.notices.len());
    }

    /// Queues what comes after the messages before it.
    pub(super) fn deliver(&mut self, notice: Notice) {
        self.ready.push_back(notice);
        self.peak = self.peak.max(self.ready.len());
    }

    /// Puts a message before all others.
    pub(super) fn deliver_first(&mut self, message: Message) {
        self.ready.push_front(Notice::Message(message));
        self.peak = self.peak.max(self.ready.len());
    }

    /// Gives memory back that was not needed since the last call.
    pub(super) fn give_back(&mut self) {
        let lately = std::mem::take(&mut self.peak);
        surplus::shrink(&mut self.notices, lately);
        surplus::shrink(&mut self.ready, lately);
        surplus::shrink_list(&mut self.released, lately);
    }
}

impl Association {
    /// Whether `poll_event` yields messages; while it does not, they fill receive memory and the
    /// advertised window shrinks. Events that follow messages, such as `ChannelClosed`, wait with
    /// them; the others go on.
    pub fn set_delivery(&mut self, on: bool) {
        self.delivering.on = on;
    }

    /// The next event; it borrows from the association until the next call.
    pub fn poll_event(&mut self) -> Option<Event<'_>> {
        self.finish_current();
        let notice = self.next_notice()?;
        Some(match notice {
            Notice::Connected => Event::Connected,
            Notice::Restarted => Event::Restarted,
            Notice::Open {
                channel,
                stream,
                by_peer,
            } => Event::ChannelOpen {
                channel,
                stream_id: stream,
                config: &self.channels.get(channel.index)?.config,
                by_peer,
            },
            Notice::Writable(channel) => Event::Writable { channel },
            Notice::Low(channel) => Event::BufferedAmountLow { channel },
            Notice::Message(message) => self.message_event(message),
            Notice::MessageAborted { channel, stream } => Event::MessageAborted {
                channel,
                stream_id: stream,
            },
            Notice::Closing(channel) => Event::ChannelClosing { channel },
            Notice::Closed { channel, stream } => Event::ChannelClosed {
                channel,
                stream_id: stream,
            },
            Notice::Ended => Event::Closed {
                reason: &self.reason,
            },
        })
    }

    fn message_event(&mut self, message: Message) -> Event<'_> {
        let channel = message.channel;
        let received = &self.delivering.current.insert(message).received;
        let (first, last, label) = (received.first, received.last, received.label);
        let stream_id = label.stream;
        let kind = match label.ppid {
            ppid::TEXT | ppid::TEXT_EMPTY | ppid::TEXT_PARTIAL => DataKind::Text,
            _ => DataKind::Binary,
        };
        // RFC 8831 §6.6: an empty message travels as one byte that means nothing.
        let data = match label.ppid {
            ppid::TEXT_EMPTY | ppid::BINARY_EMPTY => &[],
            _ => &received.bytes[..],
        };
        self.stats.messages_received += u64::from(last);
        self.stats.bytes_received += data.len() as u64;
        match first && last {
            true => Event::Message {
                channel,
                stream_id,
                kind,
                data,
            },
            false => Event::MessagePart {
                channel,
                stream_id,
                kind,
                data,
                first,
                last,
            },
        }
    }

    /// Takes the bytes of the message or part that the last event lent, without a copy, and `buffer`'s memory
    /// for them, to be used again. `false` and an empty buffer when the last event was none of these.
    pub fn take_message(&mut self, buffer: &mut Vec<u8>) -> bool {
        buffer.clear();
        let Some(message) = &mut self.delivering.current else {
            return false;
        };
        let received = &mut message.received;
        self.inc.release(received.bytes.len());
        std::mem::swap(&mut received.bytes, buffer);
        if matches!(received.label.ppid, ppid::TEXT_EMPTY | ppid::BINARY_EMPTY) {
            buffer.clear();
        }
        if let Some(message) = self.delivering.current.take() {
            self.inc.pool.give(message.received.bytes);
        }
        self.after_taking();
        true
    }

    /// The last event's message is done: its memory makes room for others.
    fn finish_current(&mut self) {
        if let Some(message) = self.delivering.current.take() {
            self.inc.discharge(message.received.bytes);
            self.after_taking();
        }
    }

    fn after_taking(&mut self) {
        self.spare_parts();
        let window = self.inc.window();
        if self.phase.is_connected()
            && self
                .inc
                .tracker
                .window_opened(window, self.inc.full_window())
        {
            self.inc.tracker.hurry();
        }
    }

    fn next_notice(&mut self) -> Option<Notice> {
        loop {
            if let Some(notice) = self.delivering.notices.pop_front() {
                match &notice {
                    Notice::Writable(channel) | Notice::Low(channel)
                        if self.channels.key(*channel).is_none() =>
                    {
                        continue;
                    }
                    _ => return Some(notice),
                }
            }
            if let Some(channel) = self.channels.next_low() {
                return Some(Notice::Low(channel));
            }
            if !self.delivering.on {
                return None;
            }
            let notice = self.delivering.ready.pop_front()?;
            match notice {
                Notice::Message(message) => {
                    if let Some(message) = self.hold_if_paused(message) {
                        return Some(Notice::Message(message));
                    }
                }
                Notice::Closed { channel, .. } => {
                    if let Some(key) = self.channels.key(channel) {
                        self.channels.remove(key);
                    }
                    return Some(notice);
                }
                notice => return Some(notice),
            }
        }
    }
}
