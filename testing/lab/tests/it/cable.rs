//! A cable that is moved from one network to another while a call goes on.

use esp_lab::{Coturn, CoturnConfig, DeviceConfig, Host, Internet, Nat, Outcome, Site};

use crate::support::{Devices, PATIENCE, call, flows};

#[test]
fn the_call_goes_on_in_another_network() -> Outcome<()> {
    let internet = Internet::new()?;
    let server = Coturn::start(&internet, &CoturnConfig::default())?;
    let sites = [
        Site::v4(&internet, Nat::Cone)?,
        Site::v4(&internet, Nat::Cone)?,
        Site::v4(&internet, Nat::Cone)?,
    ];
    let caller = Host::at(&sites[0], "caller")?;
    let callee = Host::at(&sites[1], "callee")?;
    let config = DeviceConfig::default()
        .with_servers(&[server.stun()])
        .with_sound();
    let mut call = call(&caller, &callee, &config, &config)?;
    flows(&mut call, "before anything is moved")?;
    settled(&mut call)?;

    caller.unplug("eth0")?;
    caller.plug("eth1", &sites[2])?;
    flows(&mut call, "after the caller has moved")?;
    seen_at(&mut call, &sites[2], &sites[1])?;

    callee.unplug("eth0")?;
    callee.plug("eth1", &sites[0])?;
    flows(&mut call, "after the callee has moved")?;
    seen_at(&mut call, &sites[2], &sites[0])?;

    // The new cable is there before the old one goes.
    caller.plug("eth2", &sites[1])?;
    caller.unplug("eth1")?;
    flows(&mut call, "after the caller has moved again")?;
    seen_at(&mut call, &sites[1], &sites[0])
}

/// Some seconds pass.
fn settled(call: &mut Devices) -> Outcome<()> {
    let before = call.caller.messages();
    call.until("it goes on", PATIENCE, |caller, _| {
        caller.messages() > before + 200
    })
}

/// Both ends are at these sites, as each end sees the other.
fn seen_at(call: &mut Devices, caller_at: &Site, callee_at: &Site) -> Outcome<()> {
    let (here, there) = (caller_at.public(), callee_at.public());
    call.until("the path has moved", PATIENCE, |caller, callee| {
        let to_callee = caller
            .path()
            .is_some_and(|path| path.remote.starts_with(&there));
        to_callee
            && callee
                .path()
                .is_some_and(|path| path.remote.starts_with(&here))
    })
}
