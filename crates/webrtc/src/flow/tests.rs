//! What follows each word, without peers.

use super::*;

fn sdp(text: &'static str) -> Signal<'static> {
    Signal::Sdp(text.into())
}

fn servers() -> Vec<IceServer> {
    vec![IceServer::stun("stun:example.org")]
}

fn ice_info(role: Role) -> Input {
    Input::IceInfo {
        role,
        servers: servers(),
        rejoined: false,
    }
}

/// What follows an input, without what the application is told.
fn after(flow: &mut Flow, input: Input) -> Vec<Step> {
    flow.handle(input);
    std::iter::from_fn(|| flow.next())
        .filter(|step| !matches!(step, Step::Tell(_)))
        .collect()
}

fn connected() -> Flow {
    let mut flow = Flow::new(true, true);
    for input in [
        Input::Start,
        ice_info(Role::Controlling),
        Input::SignalingConnected,
        Input::PeerState(State::NewConnection),
        Input::PeerState(State::Connected),
    ] {
        after(&mut flow, input);
    }
    flow
}

#[test]
fn the_build_flow() {
    let mut flow = Flow::new(true, true);
    assert_eq!(after(&mut flow, Input::Start), [Step::StartSignaling]);
    assert_eq!(
        after(&mut flow, ice_info(Role::Controlling)),
        [Step::OpenPeer {
            role: Role::Controlling,
            servers: servers()
        }]
    );
    assert_eq!(
        after(&mut flow, Input::SignalingConnected),
        [Step::NewConnection]
    );
    assert_eq!(after(&mut flow, Input::PeerState(State::NewConnection)), []);
    assert_eq!(
        after(&mut flow, Input::PeerMessage(sdp("offer"))),
        [Step::SendSignal(sdp("offer"))]
    );
    assert_eq!(
        after(&mut flow, Input::SignalingMessage(sdp("answer"))),
        [Step::PeerMessage(sdp("answer"))]
    );
    assert_eq!(
        after(&mut flow, Input::PeerState(State::Connected)),
        [Step::StartMedia]
    );
}

#[test]
fn the_stop_flow() {
    let mut flow = connected();
    while flow.next().is_some() {}
    flow.handle(Input::Stop);
    let steps: Vec<Step> = std::iter::from_fn(|| flow.next()).collect();
    assert_eq!(
        steps,
        [
            Step::StopMedia,
            Step::Disconnect,
            Step::ClosePeer,
            Step::StopSignaling,
            Step::Tell(Event::Stopped)
        ]
    );
}

#[test]
fn the_flow_of_a_peer_that_leaves_and_rejoins() {
    let mut flow = connected();
    assert_eq!(
        after(&mut flow, Input::SignalingMessage(Signal::Bye)),
        [Step::StopMedia, Step::Disconnect, Step::NewConnection]
    );
    // What the old connection still says changes nothing.
    for old in [
        Input::PeerMessage(sdp("old")),
        Input::PeerState(State::Disconnected),
        Input::PeerState(State::NewConnection),
    ] {
        assert_eq!(after(&mut flow, old), []);
    }
    assert_eq!(
        after(&mut flow, Input::PeerMessage(sdp("offer"))),
        [Step::SendSignal(sdp("offer"))]
    );
}

#[test]
fn without_reconnection_a_bye_leaves_it_at_rest() {
    let mut flow = Flow::new(false, true);
    for input in [
        Input::Start,
        ice_info(Role::Controlled),
        Input::SignalingConnected,
    ] {
        after(&mut flow, input);
    }
    assert_eq!(
        after(&mut flow, Input::SignalingMessage(Signal::Bye)),
        [Step::Disconnect]
    );
    // A new offer begins a new connection.
    assert_eq!(
        after(&mut flow, Input::SignalingMessage(sdp("offer"))),
        [Step::NewConnection, Step::PeerMessage(sdp("offer"))]
    );
}

#[test]
fn messages_wait_until_the_peer_connection_is_enabled() {
    let mut flow = Flow::new(true, false);
    for input in [
        Input::Start,
        ice_info(Role::Controlled),
        Input::SignalingConnected,
    ] {
        assert!(!after(&mut flow, input).contains(&Step::NewConnection));
    }
    assert_eq!(after(&mut flow, Input::SignalingMessage(sdp("offer"))), []);
    assert_eq!(
        after(&mut flow, Input::Enable(true)),
        [Step::NewConnection, Step::PeerMessage(sdp("offer"))]
    );
}

#[test]
fn each_call_of_a_doorbell_waits_for_its_acceptance() {
    let mut flow = Flow::new(false, false);
    for input in [
        Input::Start,
        ice_info(Role::Controlled),
        Input::SignalingConnected,
    ] {
        after(&mut flow, input);
    }
    flow.handle(Input::SignalingMessage(sdp("offer")));
    assert_eq!(flow.next(), Some(Step::Tell(Event::Called)));
    assert_eq!(
        after(&mut flow, Input::Enable(true)),
        [Step::NewConnection, Step::PeerMessage(sdp("offer"))]
    );
    assert_eq!(
        after(&mut flow, Input::SignalingMessage(Signal::Bye)),
        [Step::Disconnect]
    );
    assert_eq!(after(&mut flow, Input::SignalingMessage(sdp("offer"))), []);
    assert_eq!(after(&mut flow, Input::SignalingConnected), []);
    assert_eq!(
        after(&mut flow, Input::HangUp),
        [Step::SendSignal(Signal::Bye)]
    );
    assert_eq!(after(&mut flow, Input::Enable(true)), [Step::NewConnection]);
}

#[test]
fn an_attempt_begins_anew_when_the_parts_are_dealt_anew() {
    let mut flow = Flow::new(true, true);
    for input in [
        Input::Start,
        ice_info(Role::Controlled),
        Input::SignalingConnected,
    ] {
        after(&mut flow, input);
    }
    let (role, servers) = (Role::Controlling, servers());
    assert_eq!(
        after(&mut flow, ice_info(role)),
        [
            Step::Disconnect,
            Step::UpdateIceInfo { role, servers },
            Step::NewConnection
        ]
    );
}

#[test]
fn an_offer_is_repeated_for_who_has_not_heard_it() {
    let mut flow = Flow::new(true, true);
    assert_eq!(after(&mut flow, Input::Start), [Step::StartSignaling]);
    after(&mut flow, ice_info(Role::Controlling));
    assert_eq!(after(&mut flow, Input::RepeatOffer), []);
    after(&mut flow, Input::SignalingConnected);
    assert_eq!(
        after(&mut flow, Input::RepeatOffer),
        [Step::SignalingRestored]
    );
    after(&mut flow, Input::PeerState(State::NewConnection));
    after(&mut flow, Input::PeerState(State::Connected));
    assert_eq!(after(&mut flow, Input::RepeatOffer), []);
    after(&mut flow, Input::SignalingMessage(Signal::Bye));
    after(&mut flow, ice_info(Role::Controlled));
    assert_eq!(after(&mut flow, Input::RepeatOffer), []);
}

#[test]
fn an_offer_that_overtakes_the_end_of_a_call_waits_for_the_next() {
    let mut flow = connected();
    after(&mut flow, ice_info(Role::Controlled));
    assert_eq!(after(&mut flow, Input::PeerEndedBefore(sdp("offer"))), []);
    let ended = after(&mut flow, Input::PeerState(State::Disconnected));
    assert_eq!(ended, [Step::StopMedia, Step::Pause(FIRST_PAUSE)]);
    assert_eq!(
        after(&mut flow, Input::PauseOver),
        [Step::NewConnection, Step::PeerMessage(sdp("offer"))]
    );
    // An answer belongs to an offer that is gone.
    let mut flow = connected();
    assert_eq!(after(&mut flow, Input::PeerEndedBefore(sdp("answer"))), []);
    after(&mut flow, Input::PeerState(State::Disconnected));
    assert_eq!(after(&mut flow, Input::PauseOver), [Step::NewConnection]);
}

#[test]
fn losing_signaling_does_not_end_a_call() {
    let mut flow = connected();
    let lost = Input::SignalingInterrupted {
        reason: "gone".into(),
    };
    assert_eq!(after(&mut flow, lost), []);
    let back = after(&mut flow, Input::SignalingConnected);
    assert_eq!(back, [Step::SignalingRestored]);
    assert_eq!(after(&mut flow, Input::SignalingConnected), []);
}

#[test]
fn a_lost_connection_is_begun_anew_after_a_pause() {
    let mut flow = connected();
    assert_eq!(
        after(&mut flow, Input::PeerState(State::Disconnected)),
        [Step::StopMedia, Step::Pause(FIRST_PAUSE)]
    );
    assert_eq!(after(&mut flow, Input::PauseOver), [Step::NewConnection]);
    after(&mut flow, Input::PeerState(State::NewConnection));
    assert_eq!(
        after(&mut flow, Input::PeerState(State::ConnectFailed)),
        [Step::Pause(FIRST_PAUSE * 2)]
    );
}
