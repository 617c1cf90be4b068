//! Routers that mark what passes as a long queue does, or swallow what is marked.

use esp_lab::{Coturn, CoturnConfig, DeviceConfig, Host, Internet, Nat, Outcome, Site};

use crate::support::{PATIENCE, call, data_flows};

#[test]
fn marks_of_a_router_arrive_and_slow_the_sender_down() -> Outcome<()> {
    let internet = Internet::new()?;
    let (here, there) = (
        Site::v4(&internet, Nat::Cone)?,
        Site::v4(&internet, Nat::Cone)?,
    );
    here.treat_marked("ip ecn set ce")?;
    let (caller, callee) = (Host::at(&here, "caller")?, Host::at(&there, "callee")?);
    let server = Coturn::start(&internet, &CoturnConfig::default())?;
    let config = DeviceConfig::default().with_servers(&[server.stun()]);
    let mut call = call(&caller, &callee, &config, &config)?;
    data_flows(&mut call, "through a router that marks")?;
    call.until("marks are heeded", PATIENCE, |caller, callee| {
        let (Some(ours), Some(theirs)) = (caller.marks(), callee.marks()) else {
            return false;
        };
        // Nothing marks the other way.
        ours.are_sent && ours.reductions > 0 && theirs.received > 0 && ours.received == 0
    })
}

#[test]
fn a_router_that_swallows_what_is_marked_is_found_out() -> Outcome<()> {
    let internet = Internet::new()?;
    let (here, there) = (
        Site::v4(&internet, Nat::Cone)?,
        Site::v4(&internet, Nat::Cone)?,
    );
    here.treat_marked("drop")?;
    let (caller, callee) = (Host::at(&here, "caller")?, Host::at(&there, "callee")?);
    let server = Coturn::start(&internet, &CoturnConfig::default())?;
    let config = DeviceConfig::default().with_servers(&[server.stun()]);
    let mut call = call(&caller, &callee, &config, &config)?;
    data_flows(&mut call, "though marked packets are swallowed")?;
    call.until("the marks are given up", PATIENCE, |caller, _| {
        caller.marks().is_some_and(|marks| !marks.are_sent)
    })
}
