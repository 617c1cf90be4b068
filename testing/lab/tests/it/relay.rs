//! Calls over relays alone, of a real TURN server.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use esp_lab::{
    Coturn, CoturnConfig, DeviceConfig, End, Host, Internet, Nat, Outcome, Path, Site, rest_login,
};

use crate::support::{Devices, PATIENCE, call, data_flows};

/// After so long a silence of a relay another one is looked for.
const WARNING: Duration = Duration::from_secs(3);

/// Two sites that let out nothing but `only`, and a call between them over relays alone.
fn relayed(
    internet: &Internet,
    only: &str,
    v6: bool,
    config: &DeviceConfig,
) -> Outcome<(Devices, [Site; 2], [Host; 2])> {
    let site = || match v6 {
        false => Site::v4(internet, Nat::Symmetric),
        true => Site::v6(internet),
    };
    let sites = [site()?, site()?];
    for site in &sites {
        site.let_out_only(only)?;
    }
    let hosts = [
        Host::at(&sites[0], "caller")?,
        Host::at(&sites[1], "callee")?,
    ];
    let config = config.clone().relay_only();
    let mut call = call(&hosts[0], &hosts[1], &config, &config)?;
    data_flows(&mut call, "over the relay")?;
    is_relayed(&mut call, |_| true)?;
    Ok((call, sites, hosts))
}

/// Both ends of the path are relays, at addresses that are so.
fn is_relayed(call: &mut Devices, is_so: impl Fn(&str) -> bool) -> Outcome<()> {
    call.until("both ends are relays", PATIENCE, |caller, callee| {
        let is = |path: Option<Path>| {
            path.is_some_and(|path| {
                (path.local_kind == "relay" && path.remote_kind == "relay")
                    && (is_so(&path.local) && is_so(&path.remote))
            })
        };
        is(caller.path()) && is(callee.path())
    })
}

#[test]
fn over_each_transport_and_family() -> Outcome<()> {
    let internet = Internet::new()?;
    let server = Coturn::start(&internet, &CoturnConfig::default().with_v6())?;
    for (transport, only) in [
        ("udp", "udp dport 3478"),
        ("tcp", "tcp dport 3478"),
        ("tls", "tcp dport 5349"),
        #[cfg(feature = "openssl")]
        ("dtls", "udp dport 5349"),
    ] {
        for v6 in [false, true] {
            let url = match v6 {
                false => server.turn(transport),
                true => server.turn_v6(transport),
            };
            let config = DeviceConfig::default()
                .with_servers(&[url])
                .with_roots(server.roots());
            relayed(&internet, only, v6, &config)
                .map_err(|why| format!("{transport}, IPv6 {v6}: {why}"))?;
        }
    }
    Ok(())
}

#[test]
fn from_relay_to_relay_by_tcp_alone() -> Outcome<()> {
    let internet = Internet::new()?;
    let relays_no_datagrams = CoturnConfig::default().with_option("--no-udp-relay");
    let server = Coturn::start(&internet, &relays_no_datagrams)?;
    for (transport, only) in [("tcp", "tcp dport 3478"), ("tls", "tcp dport 5349")] {
        let config = DeviceConfig::default()
            .with_servers(&[server.turn(transport)])
            .with_roots(server.roots())
            .with_tcp_relays();
        relayed(&internet, only, false, &config)
            .map_err(|why| format!("{transport}: {why}\n{}", server.said()))?;
    }
    Ok(())
}

#[test]
fn longer_than_anything_lives_on_the_server() -> Outcome<()> {
    const LIVES: u64 = 8;
    let internet = Internet::new()?;
    let mut config = CoturnConfig::default();
    for option in [
        "stale-nonce",
        "max-allocate-lifetime",
        "channel-lifetime",
        "permission-lifetime",
    ] {
        config = config.with_option(&format!("--{option}={LIVES}"));
    }
    let server = Coturn::start(&internet, &config)?;
    let config = DeviceConfig::default()
        .with_servers(&[server.turn("udp")])
        .with_lifetime(Duration::from_secs(3_600))
        .with_renewal(Duration::from_secs(LIVES / 2));
    let (mut call, _sites, _hosts) = relayed(&internet, "udp dport 3478", false, &config)?;
    // More than two lives of everything: 50 messages a second.
    let before = call.caller.messages();
    call.until("it lives on", PATIENCE, |caller, _| {
        caller.messages() > before + 2 * 50 * LIVES + 100
    })?;
    data_flows(&mut call, "after all that")?;
    for end in [&call.caller, &call.callee] {
        let mut notices = end.notices().iter();
        if notices.any(|(_, text)| text == "Interrupted") {
            return Err(format!("it was interrupted: {}", end.state()));
        }
    }
    Ok(())
}

#[test]
fn credentials_change_while_a_call_goes_on() -> Outcome<()> {
    const SECRET: &str = "of the REST API";
    const LIVES: u64 = 8;
    let internet = Internet::new()?;
    let config = CoturnConfig::default()
        .with_rest_secret(SECRET)
        .with_option(&format!("--max-allocate-lifetime={LIVES}"));
    let server = Coturn::start(&internet, &config)?;
    // A name that soon expires; where it does before both ends have used it, one that lives longer.
    let begin = |life| {
        let expiry = unix_time() + life;
        let old = server.turn_as("udp", &rest_login(SECRET, expiry));
        let config = DeviceConfig::default()
            .with_servers(&[old])
            .with_lifetime(Duration::from_secs(3_600));
        let call = relayed(&internet, "udp dport 3478", false, &config);
        call.map(|call| (call, expiry))
            .map_err(|why| (why, unix_time() >= expiry))
    };
    let ((mut call, _sites, hosts), expiry) = match begin(LIVES) {
        Err((_, true)) => begin(15 * LIVES),
        other => other,
    }
    .map_err(|(why, _)| why)?;
    let new = [server.turn_as("udp", &rest_login(SECRET, expiry + 3_600))];
    call.caller.update_servers(&new)?;
    call.callee.update_servers(&new)?;
    // Until the old name is worth nothing, and longer than an allocation lives.
    let until = expiry.max(unix_time()) + LIVES;
    call.until("it lives on", PATIENCE * 2, |_, _| unix_time() > until)?;
    data_flows(&mut call, "after the old name has expired")?;
    // In another network everything has to be allocated anew: by the new name.
    let site = Site::v4(&internet, Nat::Symmetric)?;
    hosts[0].unplug("eth0")?;
    hosts[0].plug("eth1", &site)?;
    data_flows(&mut call, "by the new name")?;
    is_relayed(&mut call, |_| true)
}

fn unix_time() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

#[test]
fn another_server_takes_over() -> Outcome<()> {
    let internet = Internet::new()?;
    let first = CoturnConfig::default();
    let second = CoturnConfig::default().at_the_other_address();
    let mut servers = [
        Some(Coturn::start(&internet, &first)?),
        Some(Coturn::start(&internet, &second)?),
    ];
    let both: Vec<_> = servers
        .iter()
        .flatten()
        .map(|one| one.turn("udp"))
        .collect();
    let config = DeviceConfig::default()
        .with_servers(&both)
        .with_warning(WARNING);
    let (mut call, _sites, _hosts) = relayed(&internet, "udp dport 3478", false, &config)?;
    // The one that the caller relays by dies, and comes back by and by; then the other one dies.
    for _ in 0..2 {
        let path = call.caller.path().ok_or("no path")?;
        let at = usize::from(path.local.starts_with(Internet::V4_OTHER));
        servers[at] = None;
        data_flows(&mut call, "over the other server")?;
        let left = [Internet::V4_OTHER, Internet::V4][at];
        is_relayed(&mut call, |address| {
            address.starts_with(&format!("{left}:"))
        })?;
        let again = [&first, &second][at];
        servers[at] = Some(Coturn::start(&internet, again)?);
    }
    Ok(())
}

#[test]
fn a_server_named_later_takes_over_by_a_restart() -> Outcome<()> {
    let internet = Internet::new()?;
    let first = Coturn::start(&internet, &CoturnConfig::default())?;
    let config = DeviceConfig::default()
        .with_servers(&[first.turn("udp")])
        .with_warning(WARNING)
        .without_roaming();
    let (mut call, _sites, _hosts) = relayed(&internet, "udp dport 3478", false, &config)?;
    let second = CoturnConfig::default().at_the_other_address();
    let second = Coturn::start(&internet, &second)?;
    let both = [first.turn("udp"), second.turn("udp")];
    first.kill();
    call.caller.update_servers(&both)?;
    call.callee.update_servers(&both)?;
    data_flows(&mut call, "over the second server")?;
    is_relayed(&mut call, |address| address.starts_with(Internet::V4_OTHER))?;
    match call.caller.restarts() {
        0 => Err(format!("there was no restart: {}", call.caller.state())),
        _ => Ok(()),
    }
}
