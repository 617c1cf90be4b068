//! Which addresses, ports and kinds of candidates take part, and what the peer learns of them.

use esp_ice::{AddressFilter, Agent, Config, KindFilter, State};
use esp_netsim::Nat;
use esp_wire::{Action, Input, Instant, Interface, Origin, Role, SocketId};

use crate::support::{Call, ms};

fn started(config: Config) -> Agent {
    let mut agent = Agent::new(config, Origin::seeded(9)).unwrap();
    agent.start(Instant::ZERO);
    agent
}

fn interface(name: &str, index: u32, address: &str) -> Interface {
    Interface {
        name: name.into(),
        index,
        address: address.parse().unwrap(),
    }
}

fn next_bind(agent: &mut Agent) -> Option<(SocketId, u16)> {
    while let Some(action) = agent.poll_action() {
        if let Action::Bind { socket, local } | Action::Listen { socket, local } = action {
            return Some((socket, local.port()));
        }
    }
    None
}

#[test]
fn ports_come_out_of_the_range_and_each_is_tried_once() {
    let config = Config::default().with_ports(Some(5_000..=5_003));
    let mut agent = started(config);
    let one = [interface("eth0", 1, "192.0.2.1")];
    agent
        .handle_input(Instant::ZERO, Input::Interfaces(&one))
        .unwrap();
    let (socket, first) = next_bind(&mut agent).unwrap();
    let mut tried = vec![first];
    for _ in 0..3 {
        let reason = "address already in use";
        let closed = Input::Closed { socket, reason };
        agent.handle_input(Instant::ZERO, closed).unwrap();
        let (again, port) = next_bind(&mut agent).unwrap();
        assert_eq!(again, socket);
        tried.push(port);
    }
    tried.sort_unstable();
    assert_eq!(tried, [5_000, 5_001, 5_002, 5_003]);
    let reason = "address already in use";
    let closed = Input::Closed { socket, reason };
    agent.handle_input(Instant::ZERO, closed).unwrap();
    assert_eq!(next_bind(&mut agent), None);
}

#[test]
fn two_agents_of_one_host_share_a_range() {
    let config = Config::default().with_ports(Some(6_000..=6_001));
    let mut call = Call::with(1, config.clone(), config.with_role(Role::Controlled));
    call.net.delay(ms(20));
    call.exchange();
    call.connect(ms(2_000));
    for host in [call.a, call.b] {
        for candidate in call.peer(host).agent.candidates() {
            assert!((6_000..=6_001).contains(&candidate.base.port()));
        }
    }
}

#[test]
fn addresses_and_kinds_are_filtered() {
    let private = "10.0.0.0/8".parse().unwrap();
    let config = Config::default()
        .with_addresses(AddressFilter::Except(vec![private]))
        .with_remote_addresses(AddressFilter::Only(vec![
            "198.51.100.0/24".parse().unwrap(),
        ]));
    let mut agent = started(config);
    let both = [
        interface("eth0", 1, "10.0.0.7"),
        interface("eth1", 2, "192.0.2.1"),
    ];
    agent
        .handle_input(Instant::ZERO, Input::Interfaces(&both))
        .unwrap();
    assert!(next_bind(&mut agent).is_some() && next_bind(&mut agent).is_none());
    let credentials = esp_ice::Credentials::new("abcd", "0123456789012345678901");
    agent
        .set_remote_credentials(Instant::ZERO, credentials)
        .unwrap();
    for (address, taken) in [("192.168.0.1", 0), ("198.51.100.4", 1)] {
        let line = format!("candidate:1 1 udp 1000 {address} 5 typ host");
        agent.add_remote_candidate(Instant::ZERO, &line).unwrap();
        assert_eq!(agent.remote_candidates().count(), taken);
    }
}

#[test]
fn addresses_of_the_host_may_stay_untold() {
    let kinds = KindFilter {
        host: false,
        ..KindFilter::default()
    };
    let config = Config::default().with_kinds(kinds);
    let mut call = Call::with(2, config.clone(), config.with_role(Role::Controlled));
    call.net
        .behind(call.a, Nat::port_restricted())
        .behind(call.b, Nat::port_restricted());
    call.stun();
    call.exchange();
    call.connect(ms(5_000));
    for host in [call.a, call.b] {
        let lines: Vec<_> = call.peer(host).agent.candidate_lines().collect();
        assert!(!lines.is_empty());
        for line in lines {
            assert!(line.contains("typ srflx raddr 0.0.0.0 rport 9"), "{line}");
        }
    }
}

#[test]
fn hidden_addresses_are_told_by_names_that_the_local_link_resolves() {
    let hiding = Config::default().with_hide_addresses(true);
    let mut call = Call::with(3, hiding.clone(), hiding.with_role(Role::Controlled));
    let home = call.net.site(Nat::port_restricted());
    call.net.join(call.a, home).join(call.b, home);
    call.stun();
    call.exchange();
    call.connect(ms(5_000));
    for host in [call.a, call.b] {
        let own = call.net.address(host).to_string();
        let lines: Vec<_> = call.peer(host).agent.candidate_lines().collect();
        assert!(
            lines.iter().any(|line| line.contains(".local ")),
            "{lines:?}"
        );
        for line in &lines {
            assert!(!line.contains(&own), "{line}");
            let reflexive = line.contains("typ srflx");
            assert!(
                !reflexive || line.contains("raddr 0.0.0.0 rport 9"),
                "{line}"
            );
        }
        let selected = call.peer(host).agent.selected().unwrap();
        assert!(
            selected
                .remote
                .address
                .ip()
                .to_string()
                .starts_with("192.168.")
        );
    }
    // A name serves all ports of its address, and goes with the agent.
    let agent = &mut call.net.endpoint_mut(call.a).agent;
    agent.close();
    let withdrawn = |action| matches!(action, Action::Withdraw { .. });
    assert!(std::iter::from_fn(|| agent.poll_action()).any(withdrawn));
}

#[test]
fn a_stranger_of_another_link_cannot_resolve_the_name() {
    let hiding = Config::default().with_hide_addresses(true);
    let mut call = Call::with(4, hiding.clone(), hiding.with_role(Role::Controlled));
    call.net
        .behind(call.a, Nat::full_cone())
        .behind(call.b, Nat::full_cone());
    call.stun();
    call.exchange();
    call.connect(ms(6_000));
    assert_eq!(call.peer(call.a).agent.state(), State::Completed);
    let mut remote = call.peer(call.a).agent.remote_candidates();
    assert!(remote.all(|end| !end.address.ip().to_string().starts_with("192.168.")));
}
