//! Priorities of candidates and pairs (RFC 8445 §5.1.2, §6.1.2.3) and the order of our addresses
//! (RFC 8421 §4).

use std::net::IpAddr;

use crate::candidate::CandidateKind;

/// The highest priority that a candidate may have (RFC 8839 §5.1).
pub(crate) const MAX_PRIORITY: u32 = (1 << 31) - 1;

/// The priority of a candidate of component 1 (RFC 8445 §5.1.2.1).
pub const fn candidate_priority(kind: CandidateKind, local_preference: u16) -> u32 {
    (kind.preference() << 24) | ((local_preference as u32) << 8) | 255
}

/// The priority of a pair; `controlling` and `controlled` are the priorities of the candidates of
/// the two sides (RFC 8445 §6.1.2.3).
pub const fn pair_priority(controlling: u32, controlled: u32) -> u64 {
    let (g, d) = (controlling as u64, controlled as u64);
    let (min, max) = if g < d { (g, d) } else { (d, g) };
    // The sum exceeds 64 bits only for priorities above 2^31, which RFC 8839 rules out.
    (min << 32)
        .saturating_add(2 * max)
        .saturating_add((g > d) as u64)
}

/// Cuts a priority from the network to the allowed range.
pub(crate) fn clamp_priority(priority: u32) -> u32 {
    priority.clamp(1, MAX_PRIORITY)
}

/// Whether an address is only good on its own link.
pub(crate) fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

/// Orders addresses so that the two families alternate (RFC 8421 §4), routable ones first, then
/// link-local ones, then loopback; within that, by interface number.
pub(crate) fn interleave(addresses: &mut [(u32, IpAddr)]) {
    let class = |address: IpAddr| {
        if address.is_loopback() {
            2
        } else if is_link_local(address) {
            1
        } else {
            0
        }
    };
    addresses.sort_by_key(|(index, address)| (class(*address), *index, *address));
    let mut places: Vec<(usize, u32, bool)> = Vec::with_capacity(addresses.len());
    let mut seen = [[0u32; 2]; 3];
    for (_, address) in addresses.iter() {
        let place = &mut seen[class(*address)][usize::from(address.is_ipv4())];
        places.push((class(*address), *place, address.is_ipv4()));
        *place += 1;
    }
    let mut order: Vec<usize> = (0..addresses.len()).collect();
    order.sort_by_key(|at| places[*at]);
    let sorted: Vec<_> = order.iter().map(|at| addresses[*at]).collect();
    addresses.copy_from_slice(&sorted);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formula_of_rfc_8445() {
        assert_eq!(
            candidate_priority(CandidateKind::Host, 65_535),
            2_130_706_431
        );
        // RFC 8839 §5.1 and the example of RFC 8445 §15.1.
        assert_eq!(
            candidate_priority(CandidateKind::ServerReflexive, 65_535),
            1_694_498_815
        );
        assert_eq!(candidate_priority(CandidateKind::Relayed, 0), 255);
        assert_eq!(pair_priority(1, 2), (1 << 32) + 4);
        assert_eq!(pair_priority(2, 1), (1 << 32) + 5);
        assert_eq!(pair_priority(u32::MAX, u32::MAX), u64::MAX);
    }

    #[test]
    fn families_alternate_and_loopback_is_last() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut list = [
            (1, ip("127.0.0.1")),
            (2, ip("10.0.0.1")),
            (2, ip("fe80::1")),
            (2, ip("2001:db8::1")),
            (3, ip("10.0.1.1")),
            (2, ip("2001:db8::2")),
        ];
        interleave(&mut list);
        let order: Vec<_> = list.iter().map(|(_, a)| a.to_string()).collect();
        assert_eq!(
            order,
            [
                "2001:db8::1",
                "10.0.0.1",
                "2001:db8::2",
                "10.0.1.1",
                "fe80::1",
                "127.0.0.1"
            ]
        );
    }
}
