//! Browsers behind NATs, over relays, and with names instead of addresses.

use esp_e2e::{Browser, Kind, Launch};
use esp_lab::browser::Tab;
use esp_lab::{
    Call, Coturn, CoturnConfig, Device, DeviceConfig, Host, Internet, Nat, Outcome, Site,
};

use crate::support::{DEVICE, PATIENCE};

/// A call with a device in which everything that the device sends comes back.
fn echoed<'a>(device: Device, tab: Tab<'a>) -> Outcome<Call<Device, Tab<'a>>> {
    let mut call = Call::begin(device, tab)?;
    call.until("messages come back", PATIENCE, |device, _| {
        device.messages() > 40
    })?;
    Ok(call)
}

fn behind_nats(kind: Kind) -> Outcome<()> {
    let internet = Internet::new()?;
    let server = Coturn::start(&internet, &CoturnConfig::default())?;
    let here = Site::v4(&internet, Nat::Cone)?;
    let there = Site::v4(&internet, Nat::Cone)?;
    let (host, desk) = (Host::at(&here, "device")?, Host::at(&there, "browser")?);
    desk.namespace().inside(|| {
        let browser = Launch::new(kind).start()?;
        for device_offers in [true, false] {
            punched(&browser, device_offers, &server, &host, [&here, &there])?;
        }
        for transport in ["udp", "tcp"] {
            relayed(&browser, &server, &host, transport)?;
        }
        Ok(())
    })?
}

fn punched(
    browser: &Browser,
    device_offers: bool,
    server: &Coturn,
    host: &Host,
    [here, there]: [&Site; 2],
) -> Outcome<()> {
    let page = browser.open("about:blank")?;
    let servers = [server.stun()];
    let config = DeviceConfig::default().with_servers(&servers).echoed();
    let device = match device_offers {
        true => Device::offering(host, DEVICE, &config)?,
        false => Device::answering(host, DEVICE, &config)?,
    };
    let tab = Tab::new(&page, !device_offers, &servers, false)?;
    let mut call = echoed(device, tab)?;
    call.until("the path is punched", PATIENCE, |device, _| {
        let path = device.path();
        path.is_some_and(|path| path.is_punched(&here.public(), &there.public()))
    })
}

fn relayed(browser: &Browser, server: &Coturn, host: &Host, transport: &str) -> Outcome<()> {
    let page = browser.open("about:blank")?;
    let servers = [server.turn(transport)];
    let config = DeviceConfig::default().with_servers(&servers);
    let config = config.echoed().relay_only();
    let device = Device::offering(host, DEVICE, &config)?;
    let tab = Tab::new(&page, false, &servers, true)?;
    let mut call = echoed(device, tab)?;
    call.until("both ends are relays", PATIENCE, |device, tab| {
        let relayed =
            |path: &esp_lab::Path| path.local_kind == "relay" && path.remote_kind == "relay";
        device.path().as_ref().is_some_and(relayed) && tab.path() == Some(("relay", "relay"))
    })
}

#[test]
fn chromium_behind_nats_and_over_relays() -> Outcome<()> {
    behind_nats(Kind::Chromium)
}

#[test]
fn firefox_behind_nats_and_over_relays() -> Outcome<()> {
    behind_nats(Kind::Firefox)
}

#[test]
fn chromium_with_names_for_addresses() -> Outcome<()> {
    let internet = Internet::new()?;
    let lan = Site::v4(&internet, Nat::Cone)?;
    let (host, desk) = (Host::at(&lan, "device")?, Host::at(&lan, "browser")?);
    desk.namespace().inside(|| {
        let browser = Browser::start()?;
        // Then the device lets nobody in: it has to find the browser by its name.
        for closed in [false, true] {
            if closed {
                host.namespace().nft(CLOSED)?;
            }
            let page = browser.open("about:blank")?;
            let config = DeviceConfig::default().echoed();
            let device = Device::offering(&host, DEVICE, &config)?;
            let call = echoed(device, Tab::new(&page, false, &[], false)?)?;
            let named = |told: &&String| told.contains("typ host") && !told.contains(".local");
            if let Some(address) = call.callee.told().iter().find(named) {
                return Err(format!("an address was told: {address}"));
            }
            let path = call.caller.path().ok_or("no path")?;
            if closed && path.remote_kind != "host" {
                return Err(format!("the name was not resolved: {path:?}"));
            }
        }
        Ok(())
    })?
}

const CLOSED: &str = r#"
table ip closed {
    chain input {
        type filter hook input priority 0
        iifname "eth0" udp dport 5353 accept
        iifname "eth0" ct state new drop
    }
}
"#;
