//! A page of another site can neither join nor watch.

use esp_e2e::{Browser, Outcome, Site};

use crate::support::{PATIENCE, server};

#[test]
fn another_site_is_kept_out() -> Outcome<()> {
    let (_server, url) = server()?;
    let root = url.trim_end_matches("/r/demo");
    let browser = Browser::start()?;
    let site = Site::serve("<p>hi")?;
    let evil = browser.open(&site.url())?;
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
