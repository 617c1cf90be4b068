//! Calls over relays alone, of a real TURN server.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use esp_lab::{
    Coturn, CoturnConfig, DeviceConfig, End, Host, Internet, Nat, Outcome, Path, Site, rest_login,
};

use crate::support::{Devices, PATIENCE, call, data_flows};

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
    let internet = Internet::new()?;
    let config = CoturnConfig::default()
        .with_rest_secret(SECRET)
        .with_option("--max-allocate-lifetime=8");
    let server = Coturn::start(&internet, &config)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(|error| error.to_string())?;
    let old = rest_login(SECRET, now.as_secs() + 20);
    let config = DeviceConfig::default()
        .with_servers(&[server.turn_as("udp", &old)])
        .with_lifetime(Duration::from_secs(3_600));
    let (mut call, _sites, _hosts) = relayed(&internet, "udp dport 3478", false, &config)?;
    let new = rest_login(SECRET, now.as_secs() + 3_600);
    let new = [server.turn_as("udp", &new)];
    call.caller.update_servers(&new)?;
    call.callee.update_servers(&new)?;
    let before = call.caller.messages();
    call.until("it lives on", PATIENCE, |caller, _| {
        caller.messages() > before + 50 * 25
    })?;
    data_flows(&mut call, "with the new credentials")
}

#[test]
fn another_server_takes_over() -> Outcome<()> {
    let internet = Internet::new()?;
    let first = Coturn::start(&internet, &CoturnConfig::default())?;
    let second = CoturnConfig::default().at_the_other_address();
    let config = DeviceConfig::default().with_servers(&[first.turn("udp")]);
    let (mut call, _sites, _hosts) = relayed(&internet, "udp dport 3478", false, &config)?;
    let second = Coturn::start(&internet, &second)?;
    let both = [first.turn("udp"), second.turn("udp")];
    call.caller.update_servers(&both)?;
    call.callee.update_servers(&both)?;
    first.kill();
    data_flows(&mut call, "over the second server")?;
    is_relayed(&mut call, |address| address.starts_with(Internet::V4_OTHER))
}
