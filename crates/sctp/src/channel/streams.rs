//! Which channel is on which stream: two levels, so that few channels cost little and 65,535 cost
//! four bytes each.

use crate::surplus;

const PAGE: usize = 64;
const NONE: u32 = u32::MAX;
/// RFC 8831 §6.2: 65,535 streams at most, and no stream 65,535.
const STREAMS: u32 = 65_535;

#[derive(Debug, Default)]
pub(crate) struct Streams {
    pages: Vec<Option<Box<Page>>>,
    /// Below these no stream of that parity is free.
    hints: [u32; 2],
}

#[derive(Debug)]
struct Page {
    keys: [u32; PAGE],
    used: usize,
}

impl Streams {
    pub(crate) fn at(&self, stream: u16) -> Option<u32> {
        let page = self.pages.get(usize::from(stream) / PAGE)?.as_ref()?;
        let key = page.keys[usize::from(stream) % PAGE];
        (key != NONE).then_some(key)
    }

    pub(crate) fn set(&mut self, stream: u16, key: Option<u32>) {
        let index = usize::from(stream) / PAGE;
        if self.pages.len() <= index {
            if key.is_none() {
                return;
            }
            self.pages.resize_with(index + 1, || None);
        }
        let page = self.pages[index].get_or_insert_with(|| {
            Box::new(Page {
                keys: [NONE; PAGE],
                used: 0,
            })
        });
        let place = &mut page.keys[usize::from(stream) % PAGE];
        page.used += usize::from(key.is_some());
        page.used -= usize::from(*place != NONE);
        *place = key.unwrap_or(NONE);
        if page.used == 0 {
            self.pages[index] = None;
        }
        if key.is_none() {
            let hint = &mut self.hints[usize::from(stream) & 1];
            *hint = (*hint).min(u32::from(stream));
        }
    }

    /// Gives memory back behind the last stream in use.
    pub(crate) fn give_back(&mut self) {
        let last = self.pages.iter().rposition(Option::is_some);
        self.pages.truncate(last.map_or(0, |last| last + 1));
        surplus::shrink_list(&mut self.pages, 0);
    }

    /// The lowest free stream of a parity.
    pub(crate) fn free(&mut self, odd: bool) -> Option<u16> {
        let parity = u32::from(odd);
        let mut stream = self.hints[usize::from(odd)].max(parity);
        while stream < STREAMS {
            let id = stream as u16;
            if self.at(id).is_none() {
                self.hints[usize::from(odd)] = stream;
                return Some(id);
            }
            stream += 2;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_stream_is_found() {
        let mut streams = Streams::default();
        for expected in [1, 3, 5] {
            let stream = streams.free(true).unwrap();
            assert_eq!(stream, expected);
            streams.set(stream, Some(7));
        }
        streams.set(3, None);
        assert_eq!(streams.free(true), Some(3));
        assert_eq!(streams.free(false), Some(0));
        assert_eq!(streams.at(5), Some(7));
    }

    #[test]
    fn all_streams_but_the_last_can_be_used() {
        let mut streams = Streams::default();
        let mut count = 0;
        while let Some(stream) = streams.free(count % 2 == 1).or_else(|| streams.free(false)) {
            streams.set(stream, Some(count));
            count += 1;
        }
        assert_eq!(count, 65_535);
        assert_eq!(streams.at(65_535), None);
    }
}
