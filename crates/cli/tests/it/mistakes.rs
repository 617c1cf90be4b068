//! What the program says to arguments that it cannot follow, and to those that ask for help.

use std::fs;
use std::net::TcpListener;

use crate::program::{Dir, output};

/// The one line on standard error, and the exit code.
fn refusal(arguments: &[&str]) -> (String, i32) {
    let output = output(arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("esp-webrtc: "), "{text}");
    (text, output.status.code().unwrap())
}

#[test]
fn an_unknown_option_gets_one_line() {
    for arguments in [
        &["--prot", "1"][..],
        &["serve", "--rom", "a"],
        &["cal"],
        &["call"],
    ] {
        let (text, code) = refusal(arguments);
        assert_eq!(code, 2, "{text}");
    }
    let (text, _) = refusal(&["--prot", "1"]);
    assert!(
        text.contains("'--prot'") && text.contains("--port"),
        "{text}"
    );
}

#[test]
fn a_taken_port_gets_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for arguments in [&["--port", &port][..], &["serve", "--port", &port]] {
        let (text, code) = refusal(arguments);
        assert!(text.contains(&format!("port {port} is taken")), "{text}");
        assert_eq!(code, 1);
    }
}

#[test]
fn a_missing_file_gets_one_line() {
    for option in ["--video", "--audio"] {
        let (text, code) = refusal(&["--port", "0", option, "/nowhere/at/all.mp4"]);
        let named = format!("{option} /nowhere/at/all.mp4");
        assert!(text.contains(&named), "{text}");
        assert_eq!(code, 1);
    }
    let (text, code) = refusal(&["call", "http://localhost:1/r/a", "--send-file", "/nowhere"]);
    assert!(text.contains("/nowhere"), "{text}");
    assert_eq!(code, 1);
}

#[test]
fn what_cannot_be_written_or_read_is_named_with_its_option() {
    let dir = Dir::new("mistakes");
    let file = dir.path("file");
    fs::write(&file, "no directory, no certificate").unwrap();
    for option in ["--record", "--files"] {
        let (text, code) = refusal(&["--port", "0", option, &file]);
        let named = format!("{option} {file}");
        assert!(
            text.contains(&named) && text.contains("a directory"),
            "{text}"
        );
        assert_eq!(code, 1);
    }
    let server = ["call", "https://localhost:1/r/a", "--ca"];
    for (path, why) in [(&*file, "no certificate"), ("/nowhere", "No such file")] {
        let (text, code) = refusal(&[&server[..], &[path]].concat());
        let named = format!("--ca {path}");
        assert!(text.contains(&named) && text.contains(why), "{text}");
        assert_eq!(code, 1);
    }
}

#[test]
fn what_cannot_be_a_room_gets_one_line() {
    for arguments in [
        &["call", "demo"][..],
        &["call", "ftp://a/r/b"],
        &["--room", "a b", "--port", "0"],
        &["--url", "http://a/"],
        &["--pin", "00", "--url", "https://a/r/b"],
        &["--ice-server", "http://a", "--port", "0"],
        &["probe", "--server", "turn:a"],
    ] {
        let (text, code) = refusal(arguments);
        assert_eq!(code, 2, "{text}");
    }
}

#[test]
fn help_is_there_for_everything() {
    for (arguments, words) in [
        (
            &["--help"][..],
            &["doorbell", "serve", "call", "probe", "Examples"][..],
        ),
        (
            &["doorbell", "--help"],
            &["--lan", "--record", "--files", "Enter", "Examples"],
        ),
        (
            &["serve", "--help"],
            &["--port", "--ice-server", "Examples"],
        ),
        (&["call", "--help"], &["ROOM-URL", "--send", "Examples"]),
        (&["probe", "--help"], &["--server", "stun:", "Examples"]),
        (&["help", "events"], &["joined", "connected", "RFC 3339"]),
        (&["--version"], &["esp-webrtc"]),
    ] {
        let output = output(arguments);
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        for word in words {
            assert!(text.contains(word), "{arguments:?} lacks {word}: {text}");
        }
    }
}
