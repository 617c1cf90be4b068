//! The room server in a network, over HTTPS: a device that knows its certificate, and a page by its address.

use std::fs;

use esp_e2e::directory::Directory;
use esp_e2e::{Kind, Launch, Page};
use esp_lab::{Host, Internet, Nat, Outcome, Site};
use serde_json::Value;

use crate::support::{PATIENCE, program};

#[test]
fn by_pin_by_authority_and_by_page() -> Outcome<()> {
    let internet = Internet::new()?;
    let lan = Site::v4(&internet, Nat::Cone)?;
    let (rooms, desk) = (Host::at(&lan, "rooms")?, Host::at(&lan, "desk")?);
    let state = Directory::new("state")?;
    let path = state.path().to_string_lossy();
    let options = ["serve", "--port", "0", "--lan", "--lan-port", "0"];
    let server = program(
        rooms.namespace(),
        &[&options[..], &["--state", &path]].concat(),
    )?;
    let serving = server.wait_for("serving", PATIENCE)?;
    let urls = serving["urls"].as_array().ok_or("no URLs are served")?;
    let url = urls
        .iter()
        .filter_map(Value::as_str)
        .find(|url| url.starts_with("https://192.168."))
        .ok_or_else(|| format!("nothing for the network: {serving}"))?;
    let url = format!("{url}/r/demo");
    let print = serving["fingerprint"].as_str().ok_or("no fingerprint")?;

    let device = |trust: &[&str]| {
        let doorbell = ["doorbell", "--url", &url, "--levels", "1"];
        let device = program(desk.namespace(), &[&doorbell[..], trust].concat())?;
        device.wait_for("joined", PATIENCE)?;
        Ok::<_, String>(device)
    };
    let authority = certificate(&state)?;
    device(&["--ca", &authority])?.interrupt()?;

    let device = device(&["--pin", print])?;
    let called = desk.namespace().inside(|| {
        // Whoever opens the page says yes to the certificate; by an address, too, it is a secure page.
        let browser = Launch::new(Kind::Chromium)
            .with_option("--ignore-certificate-errors")
            .start()?;
        let page = browser.open(&url)?;
        call(&page)?;
        page.wait_for("__doorbell.microphone && isSecureContext", PATIENCE)
    })?;
    called.map_err(|why| format!("{why}{}", device.said()))?;
    device.interrupt()
}

/// Presses Start once the page can, and waits for pictures.
fn call(page: &Page<'_>) -> Outcome<()> {
    page.wait_for("__doorbell.state === 'ready'", PATIENCE)?;
    page.click("start")?;
    let seen = "__doorbell.state === 'connected' && __doorbell.received.framesDecoded > 20";
    page.wait_for(seen, PATIENCE).map(drop)
}

/// A file with the server's certificate alone; its key lies in the same file of the state.
fn certificate(state: &Directory) -> Outcome<String> {
    let kept = state.find(".pem").ok_or("no certificate is kept")?;
    let text = fs::read_to_string(&kept).map_err(|error| error.to_string())?;
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    const END: &str = "-----END CERTIFICATE-----";
    let (_, from) = text.split_once(BEGIN).ok_or("there is no certificate")?;
    let (body, _) = from.split_once(END).ok_or("it has no end")?;
    let path = state.path().join("authority.crt");
    fs::write(&path, format!("{BEGIN}{body}{END}\n")).map_err(|error| error.to_string())?;
    Ok(path.to_string_lossy().into_owned())
}
