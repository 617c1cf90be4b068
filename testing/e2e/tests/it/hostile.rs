//! A page of another site can neither join nor watch.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::thread;

use esp_e2e::{Browser, Outcome, wait};

use crate::support::{PATIENCE, server};

/// Serves a page without any policy, for as long as the test runs.
fn other_site() -> Outcome<String> {
    const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\
        Connection: close\r\n\r\n<p>hi\n";
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4_096];
            // Whatever it asks for.
            if stream.read(&mut request).is_ok() {
                let _ = stream.write_all(PAGE);
            }
        }
    });
    Ok(format!("http://{address}/"))
}

#[test]
fn another_site_is_kept_out() -> Outcome<()> {
    let (_server, url) = server(wait::free_port()?)?;
    let root = url.trim_end_matches("/r/demo");
    let browser = Browser::start()?;
    let evil = browser.open(&other_site()?)?;
    evil.wait_for("document.readyState === 'complete'", PATIENCE)?;
    let read = format!(
        "fetch('{root}/join/demo', {{ method: 'POST' }}).then(() => 'joined', () => 'refused')"
    );
    let blind = format!(
        "Promise.all([1, 2].map(() => fetch('{root}/join/demo', {{ method: 'POST', mode: 'no-cors' }}))) \
         .then(() => 'sent', () => 'refused')"
    );
    let socket = format!(
        "new Promise(done => {{ const socket = new WebSocket('{}/ws'); \
         socket.onopen = () => done('open'); socket.onerror = () => done('refused'); }})",
        root.replacen("http", "ws", 1)
    );
    for (script, wanted) in [(&read, "refused"), (&socket, "refused")] {
        let got = evil.evaluate(script)?;
        if got != wanted {
            return Err(format!("{got}: {script}"));
        }
    }
    evil.evaluate(&blind)?;
    // Had one of them joined, the room would be full, or somebody would be there.
    let page = browser.open(&url)?;
    page.wait_for("__doorbell.state === 'ready'", PATIENCE)?;
    if page.evaluate("__doorbell.initiator")? == true {
        Ok(())
    } else {
        Err("somebody is in the room".into())
    }
}
