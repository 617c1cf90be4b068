use crate::client::{House, calm};

#[test]
fn a_room_has_a_page() {
    let house = House::open(calm());
    assert_eq!(
        house.server.room_url("demo"),
        format!("http://localhost:{}/r/demo", house.address.port())
    );
    let page = house.get("/r/demo");
    assert_eq!(page.status, 200);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    let moved = house.get("/?room=demo");
    assert_eq!(
        (moved.status, moved.header("location")),
        (303, Some("/r/demo"))
    );
    assert_eq!(house.get("/").status, 200);
    assert_eq!(house.get("/r/").status, 404);
}

#[test]
fn its_files_are_there_and_nothing_is_inline() {
    let house = House::open(calm());
    for path in ["/", "/r/demo"] {
        let page = house.get(path).body;
        for forbidden in [
            "style=",
            " onclick",
            " onload",
            "javascript:",
            "<style",
            "http://",
            "https://",
        ] {
            let namespace = "http://www.w3.org/2000/svg";
            assert!(
                !page.replace(namespace, "").contains(forbidden),
                "{path} {forbidden}"
            );
        }
        for script in page.split("<script").skip(1) {
            assert!(
                script.starts_with(" type=\"module\" src=\"/app/"),
                "{script}"
            );
        }
        for part in page.split("\"/app/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert_eq!(house.get(&format!("/app/{name}")).status, 200, "{name}");
        }
    }
    for (name, kind) in [
        ("room.js", "text/javascript; charset=utf-8"),
        ("style.css", "text/css; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ] {
        let file = house.get(&format!("/app/{name}"));
        assert_eq!(file.header("content-type"), Some(kind));
        for import in file.body.split("from \"./").skip(1) {
            let module = import.split('"').next().unwrap();
            assert_eq!(house.get(&format!("/app/{module}")).status, 200, "{module}");
        }
    }
}

#[test]
fn what_the_browser_has_is_not_sent_again() {
    let house = House::open(calm());
    let file = house.get("/app/room.js");
    let tag = file.header("etag").unwrap();
    let again = house.ask("GET /app/room.js", &[("If-None-Match", tag)], "");
    assert_eq!((again.status, again.body.as_str()), (304, ""));
    assert_eq!(file.header("cache-control"), Some("no-cache"));
}

#[test]
fn the_documented_ids_exist() {
    let house = House::open(calm());
    let page = house.get("/r/demo").body;
    for id in [
        "state",
        "state-text",
        "notice",
        "video",
        "start",
        "hangup",
        "door",
        "accept",
        "deny",
        "ring-banner",
        "mute",
        "unmute-video",
        "chat-log",
        "chat-text",
        "chat-send",
        "file-input",
        "file-list",
        "figures",
    ] {
        assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
    }
}
