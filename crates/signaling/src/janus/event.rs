//! What the events of a session mean.

use esp_wire::Signal;
use serde_json::Value;

use super::api::shown;

/// Something happened to a handle, or to the whole session.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// We are in the room.
    Joined,
    /// The room, or who publishes in it, answers or offers.
    Sdp(String),
    /// A candidate of the server, or their end.
    Candidate(Signal<'static>),
    /// The server has ended the connection, for this reason.
    HungUp(String),
    /// The room refuses what was asked, for this reason, with this code.
    Refused(String, i64),
    /// The room is not for us any more.
    Over(String),
    /// The session has ended.
    TimedOut,
}

/// The handle that an event is about, if it is about one, and what it means.
pub(super) fn read(event: &Value) -> (Option<u64>, Vec<Event>) {
    let sender = event["sender"].as_u64();
    let events = match event["janus"].as_str().unwrap_or_default() {
        "event" => of_room(event),
        "trickle" => vec![Event::Candidate(candidate(&event["candidate"]))],
        "hangup" => vec![Event::HungUp(shown(&event["reason"]))],
        "detached" => vec![Event::HungUp("the handle was detached".into())],
        "timeout" => vec![Event::TimedOut],
        // webrtcup, media, slowlink, keepalive and what is to come.
        _ => Vec::new(),
    };
    (sender, events)
}

fn of_room(event: &Value) -> Vec<Event> {
    let data = &event["plugindata"]["data"];
    let mut events = Vec::new();
    if let Some(code) = data["error_code"].as_i64() {
        events.push(Event::Refused(shown(&data["error"]), code));
    }
    match data["videoroom"].as_str() {
        Some("joined" | "attached") => events.push(Event::Joined),
        Some("updated") if !has_media(&data["streams"]) => {
            return vec![Event::HungUp("the publisher has gone".into())];
        }
        Some("destroyed") => events.push(Event::Over("the room was closed".into())),
        // To whom it says ok, it is the one who leaves.
        Some("event") if data["leaving"] == "ok" => {
            let reason = data["reason"].as_str();
            let reason = reason.map_or("we left the room".into(), |_| {
                format!("we were removed from the room: {}", shown(&data["reason"]))
            });
            events.push(Event::Over(reason));
        }
        _ => {}
    }
    if let Some(sdp) = event["jsep"]["sdp"].as_str() {
        events.push(Event::Sdp(sdp.to_owned()));
    }
    events
}

/// Whether sound or pictures are left in what we play; the channel of data outlives them.
fn has_media(streams: &Value) -> bool {
    let streams = streams.as_array().into_iter().flatten();
    let mut media = streams.filter(|stream| stream["type"] != "data");
    media.any(|stream| stream["active"] == true)
}

fn candidate(value: &Value) -> Signal<'static> {
    let text = value["candidate"].as_str().unwrap_or_default();
    let line = value["sdpMLineIndex"].as_u64();
    Signal::Candidate {
        candidate: text.strip_prefix("a=").unwrap_or(text).to_owned().into(),
        mid: value["sdpMid"].as_str().map(|mid| mid.to_owned().into()),
        line: line.and_then(|line| line.try_into().ok()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_rooms_say_is_understood() {
        let of_room = |data: Value| {
            let event = json!({ "janus": "event", "sender": 7, "plugindata": { "data": data },
                "jsep": { "type": "offer", "sdp": "v=0" } });
            let (sender, mut events) = read(&event);
            assert_eq!(sender, Some(7));
            assert_eq!(events.pop(), Some(Event::Sdp("v=0".into())));
            events
        };
        let over = |words: &str| vec![Event::Over(words.into())];
        assert_eq!(of_room(json!({ "videoroom": "attached" })), [Event::Joined]);
        assert_eq!(
            of_room(json!({ "videoroom": "destroyed" })),
            over("the room was closed")
        );
        let kicked = json!({ "videoroom": "event", "leaving": "ok", "reason": "kicked" });
        assert_eq!(
            of_room(kicked),
            over("we were removed from the room: kicked")
        );
        let refused = json!({ "videoroom": "event", "error_code": 433, "error": "no" });
        assert_eq!(of_room(refused), [Event::Refused("no".into(), 433)]);
        for nothing in [
            json!({ "videoroom": "event", "leaving": 5 }),
            json!({ "videoroom": "event", "configured": "ok" }),
            json!(7),
        ] {
            assert_eq!(of_room(nothing), []);
        }
    }

    #[test]
    fn a_publisher_that_has_gone_leaves_nothing_active() {
        let updated = |video: bool| {
            let streams = json!([{ "type": "audio", "active": false },
                { "type": "video", "active": video }, { "type": "data", "active": true }]);
            let data = json!({ "videoroom": "updated", "streams": streams });
            let jsep = json!({ "type": "offer", "sdp": "v=0" });
            read(&json!({ "janus": "event", "plugindata": { "data": data }, "jsep": jsep })).1
        };
        assert_eq!(updated(true), [Event::Sdp("v=0".into())]);
        let gone = Event::HungUp("the publisher has gone".into());
        assert_eq!(updated(false), [gone]);
    }

    #[test]
    fn what_servers_say_is_understood() {
        let read = |event: Value| read(&event).1;
        assert_eq!(read(json!({ "janus": "timeout" })), [Event::TimedOut]);
        assert_eq!(
            read(json!({ "janus": "hangup", "reason": "ICE failed" })),
            [Event::HungUp("ICE failed".into())]
        );
        let known = Signal::Candidate {
            candidate: "candidate:1".into(),
            mid: Some("0".into()),
            line: Some(0),
        };
        let told = json!({ "janus": "trickle",
            "candidate": { "candidate": "candidate:1", "sdpMid": "0", "sdpMLineIndex": 0 } });
        assert_eq!(read(told), [Event::Candidate(known)]);
        let end = Signal::Candidate {
            candidate: "".into(),
            mid: None,
            line: None,
        };
        let told = json!({ "janus": "trickle", "candidate": { "completed": true } });
        assert_eq!(read(told), [Event::Candidate(end)]);
        for nothing in [
            json!({ "janus": "media", "receiving": true }),
            json!([]),
            json!({}),
        ] {
            assert_eq!(read(nothing), []);
        }
    }
}
