//! Serves rooms on this host until it is ended: `cargo run -p esp-rooms --example serve [PORT]`.

use esp_rooms::{Config, Server};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = match std::env::args().nth(1) {
        Some(port) => port.parse()?,
        None => 8080,
    };
    let config = Config::local(port).with_events(|event| println!("{event:?}"));
    let server = Server::start(config)?;
    println!("{}", server.room_url("demo"));
    loop {
        std::thread::park();
    }
}
