//! Two processes behind NATs and firewalls.

use esp_lab::{Coturn, CoturnConfig, DeviceConfig, Host, Internet, Nat, Outcome, Path, Site};

use crate::support::{PATIENCE, call, data_flows};

#[test]
fn holes_are_punched_through_two_nats() -> Outcome<()> {
    let internet = Internet::new()?;
    let here = Site::v4(&internet, Nat::Cone)?;
    let there = Site::v4(&internet, Nat::Cone)?;
    let (caller, callee) = (Host::at(&here, "caller")?, Host::at(&there, "callee")?);
    let server = Coturn::start(&internet, &CoturnConfig::default())?;
    // A relay is there, but is not needed.
    let config = DeviceConfig::default().with_servers(&[server.stun(), server.turn("udp")]);
    let mut call = call(&caller, &callee, &config, &config)?;
    data_flows(&mut call, "through the NATs")?;
    call.until("both paths are punched", PATIENCE, |caller, callee| {
        let is = |path: Option<Path>, ours: &Site, theirs: &Site| {
            path.is_some_and(|path| path.is_punched(&ours.public(), &theirs.public()))
        };
        is(caller.path(), &here, &there) && is(callee.path(), &there, &here)
    })?;
    data_flows(&mut call, "through the holes")
}

#[test]
fn symmetric_nats_need_a_relay() -> Outcome<()> {
    let internet = Internet::new()?;
    let server = Coturn::start(&internet, &CoturnConfig::default())?;
    let servers = [server.stun(), server.turn("udp")];
    for nats in [
        [Nat::Symmetric, Nat::Symmetric],
        [Nat::Cone, Nat::Symmetric],
    ] {
        let here = Site::v4(&internet, nats[0])?;
        let there = Site::v4(&internet, nats[1])?;
        let (caller, callee) = (Host::at(&here, "caller")?, Host::at(&there, "callee")?);
        let config = DeviceConfig::default().with_servers(&servers);
        let mut call = call(&caller, &callee, &config, &config)?;
        data_flows(&mut call, "over a relay")
            .map_err(|why| format!("{nats:?}: {why}{}", server.said()))?;
        call.until("the path is relayed", PATIENCE, |caller, callee| {
            let relayed = |path: Option<Path>| path.is_some_and(|path| path.is_relayed());
            relayed(caller.path()) && relayed(callee.path())
        })?;
    }
    Ok(())
}

#[test]
fn firewalls_of_ipv6_are_opened_from_both_sides() -> Outcome<()> {
    let internet = Internet::new()?;
    let (here, there) = (Site::v6(&internet)?, Site::v6(&internet)?);
    let (caller, callee) = (Host::at(&here, "caller")?, Host::at(&there, "callee")?);
    let config = DeviceConfig::default();
    let mut call = call(&caller, &callee, &config, &config)?;
    data_flows(&mut call, "through the firewalls")?;
    call.until("the path is direct", PATIENCE, |caller, _| {
        let path = caller.path();
        path.is_some_and(|path| path.local_kind == "host" && path.remote_kind == "host")
    })
}
