//! The room server in a network, over HTTPS: a device that knows its certificate, and a page by its address.

use std::fs;

use esp_e2e::directory::Directory;
use esp_e2e::{Kind, Launch, Outcome, Program};
use esp_webrtc::driver::interfaces;
use serde_json::Value;

use crate::support::{PATIENCE, call, room_url};

#[test]
fn by_pin_by_authority_and_by_page() -> Outcome<()> {
    let here = interfaces().map_err(|error| error.to_string())?;
    let reached = |it: &std::net::IpAddr| it.is_ipv4() && !it.is_loopback();
    if !here.iter().any(|interface| reached(&interface.address)) {
        eprintln!("this host is in no network: nothing to be tried");
        return Ok(());
    }
    let state = Directory::new("state")?;
    let path = state.path().to_string_lossy();
    let server = Program::start(&[
        "serve",
        "--port",
        "0",
        "--lan",
        "--lan-port",
        "0",
        "--state",
        &path,
    ])?;
    let serving = server.wait_for("serving", PATIENCE)?;
    let urls = serving["urls"].as_array().ok_or("no URLs are served")?;
    let url = urls
        .iter()
        .filter_map(Value::as_str)
        .find(|url| url.starts_with("https://") && !url.contains("localhost"))
        .ok_or(format!("nothing for the network: {serving}"))?;
    let url = room_url(url);
    let print = serving["fingerprint"].as_str().ok_or("no fingerprint")?;

    let authority = certificate(&state)?;
    let by_authority = device(&url, &["--ca", &authority])?;
    by_authority.wait_for("joined", PATIENCE)?;
    by_authority.interrupt()?;

    let device = device(&url, &["--pin", print])?;
    device.wait_for("joined", PATIENCE)?;
    // Whoever opens the page says yes to the certificate; by an address, too, it is a secure page.
    let browser = Launch::new(Kind::Chromium)
        .with_option("--ignore-certificate-errors")
        .start()?;
    let page = browser.open(&url)?;
    call(&page).map_err(|why| format!("{why}{}", device.said()))?;
    page.wait_for("__doorbell.microphone && isSecureContext", PATIENCE)?;
    device.interrupt()
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

fn device(url: &str, trust: &[&str]) -> Outcome<Program> {
    let arguments = [&["doorbell", "--url", url, "--levels", "1"], trust].concat();
    Program::start(&arguments)
}
