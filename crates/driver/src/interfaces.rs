//! The addresses of this host.

use std::io;

use esp_wire::Interface;

/// All addresses of the interfaces that are up, loopback included, sorted.
pub fn interfaces() -> io::Result<Vec<Interface>> {
    let mut found: Vec<Interface> = if_addrs::get_if_addrs()?
        .into_iter()
        .filter(|interface| interface.is_oper_up() || interface.is_loopback())
        .map(|interface| Interface {
            address: interface.ip(),
            index: interface.index.unwrap_or(0),
            name: interface.name,
        })
        .collect();
    found.sort_by_key(|interface| (interface.index, interface.address));
    found.dedup();
    Ok(found)
}
