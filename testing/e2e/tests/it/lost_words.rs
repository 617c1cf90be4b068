//! The first offer and answer on a link to the real room server that dies with them: they are said again, and the call
//! comes about.

use esp_e2e::deadlink::{DeadLink, Way};
use esp_e2e::{Browser, Kind, Outcome, Page, Program};
use esp_rooms::{Config, Listener, Server};

use crate::support::PATIENCE;

/// A room server with two ways to it: one that is fine, and one that can die.
struct Rooms {
    server: Server,
    link: DeadLink,
}

impl Rooms {
    fn open() -> Outcome<Self> {
        let link = DeadLink::new()?;
        let here = std::net::Ipv4Addr::LOCALHOST;
        let listener = Listener::new((here, 0).into()).with_public_url(link.url());
        let config = Config::local(0).with_listener(listener);
        let server = Server::start(config).map_err(|error| error.to_string())?;
        let address = *server.addresses().last().ok_or("it listens nowhere")?;
        link.lead_to(address);
        Ok(Rooms { server, link })
    }

    fn fine(&self, room: &str) -> String {
        self.server.room_url(room)
    }

    fn mortal(&self, room: &str) -> String {
        format!("{}/r/{room}", self.link.url())
    }
}

fn program(command: &str, url: &str) -> Outcome<Program> {
    let arguments = match command {
        "doorbell" => vec!["doorbell", "--url", url],
        _ => vec![command, url],
    };
    Program::start(&arguments)
}

#[test]
fn programs_say_again_what_died_with_their_link() -> Outcome<()> {
    let rooms = Rooms::open()?;
    // Who is first; whether its link, or that of the second, dies; what is lost.
    for (room, first, dies, way, lost) in [
        ("second-answers", "call", 1, Way::ToServer, "answer"),
        ("first-hears", "call", 0, Way::ToClient, "answer"),
        ("second-hears", "doorbell", 1, Way::ToClient, "offer"),
    ] {
        let url = |at| {
            if at == dies {
                rooms.mortal(room)
            } else {
                rooms.fine(room)
            }
        };
        let first = program(first, &url(0))?;
        first.wait_for("joined", PATIENCE)?;
        rooms.link.die_with(way, lost);
        let second = program("call", &url(1))?;
        let heard = rooms.link.has_swallowed(PATIENCE);
        heard.map_err(|why| format!("{room}: {why}{}{}", first.said(), second.said()))?;
        rooms.link.revive();
        for program in [&first, &second] {
            program
                .wait_for("connected", PATIENCE)
                .map_err(|why| format!("{room}: {why}{}", rooms.link.url()))?;
            let said = program.said();
            if said.contains("\"lost\"") || said.contains("\"failed\"") {
                return Err(format!("{room}: it was begun anew: {said}"));
            }
        }
        second.interrupt()?;
        first.interrupt()?;
    }
    Ok(())
}

#[test]
fn pages_say_again_what_died_with_their_link() -> Outcome<()> {
    for kind in Kind::ALL {
        let browser = Browser::start_a(kind)?;
        let rooms = Rooms::open()?;
        let called = |what: &str, outcome: Outcome<()>| {
            outcome.map_err(|why| format!("{}: {what}: {why}", kind.name()))
        };
        for (room, way, lost) in [
            ("call", Way::ToServer, "ACCEPT_CALL"),
            ("offer", Way::ToClient, "offer"),
            ("answer", Way::ToServer, "answer"),
        ] {
            let device = program("doorbell", &rooms.fine(room))?;
            device.wait_for("joined", PATIENCE)?;
            let page = browser.open(&rooms.mortal(room))?;
            page.wait_for("__doorbell.present", PATIENCE)?;
            called(room, says_again(&rooms, &page, way, lost))
                .map_err(|why| format!("{why}{}", device.said()))?;
            drop(page);
            device.interrupt()?;
        }
        // The page is the one who offers, and who is answered.
        let room = "first";
        let page = browser.open(&rooms.mortal(room))?;
        page.wait_for("__doorbell.state === 'ready'", PATIENCE)?;
        rooms.link.die_with(Way::ToServer, "ACCEPT_CALL");
        page.click("start")?;
        called("alone", rooms.link.has_swallowed(PATIENCE))?;
        rooms.link.revive();
        page.wait_for("__doorbell.signaling === 'open'", PATIENCE)?;
        rooms.link.die_with(Way::ToClient, "answer");
        let device = program("doorbell", &rooms.fine(room))?;
        called("answered", rooms.link.has_swallowed(PATIENCE))
            .map_err(|why| format!("{why}{}", device.said()))?;
        rooms.link.revive();
        called("answered", connects(&page)).map_err(|why| format!("{why}{}", device.said()))?;
        device.interrupt()?;
    }
    Ok(())
}

fn says_again(rooms: &Rooms, page: &Page<'_>, way: Way, lost: &str) -> Outcome<()> {
    rooms.link.die_with(way, lost);
    page.click("start")?;
    rooms.link.has_swallowed(PATIENCE)?;
    rooms.link.revive();
    connects(page)
}

/// One call it was all the time.
fn connects(page: &Page<'_>) -> Outcome<()> {
    page.wait_for(
        "__doorbell.state === 'connected' && __doorbell.connectionState === 'connected' \
         && __doorbell.calls === 1",
        PATIENCE,
    )
    .map(drop)
}
