//! The index of an H.264 byte stream: its access units, found in one pass.

use std::io::Read;

use super::sets::{Sets, check_slice};
use super::units::{MAX_UNITS, Unit};
use crate::Error;
use crate::h264::{SliceHead, kind};

/// How much of each NAL unit is kept while it is looked at; parameter sets must fit.
const HEAD: usize = 1_024;

/// Reads a stream to its end and gives its access units, without times.
pub(super) fn index(stream: impl Read, sets: &mut Sets) -> Result<Vec<Unit>, Error> {
    let mut grouper = Grouper {
        sets,
        units: Vec::new(),
        open: None,
    };
    let mut scanner = Scanner::default();
    scanner.run(stream, |nal| grouper.add(nal))?;
    grouper.close();
    Ok(grouper.units)
}

/// One NAL unit of the stream.
struct Nal<'a> {
    /// Where its first byte lies.
    start: u64,
    /// Where it ends, without trailing zeros.
    end: u64,
    head: &'a [u8],
}

#[derive(Default)]
struct Scanner {
    at: u64,
    zeros: u64,
    /// Where the present unit began; `None` before the first start code.
    start: Option<u64>,
    head: Vec<u8>,
}

impl Scanner {
    fn run(
        &mut self,
        mut stream: impl Read,
        mut found: impl FnMut(&Nal<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            let count = stream.read(&mut buffer)?;
            if count == 0 {
                return self.end(&mut found);
            }
            for &byte in &buffer[..count] {
                if byte == 1 && self.zeros >= 2 {
                    self.end(&mut found)?;
                    self.start = Some(self.at + 1);
                    self.head.clear();
                    self.zeros = 0;
                } else {
                    self.zeros = if byte == 0 { self.zeros + 1 } else { 0 };
                    if self.start.is_some() && self.head.len() < HEAD {
                        self.head.push(byte);
                    }
                }
                self.at += 1;
            }
        }
    }

    fn end(&mut self, found: &mut impl FnMut(&Nal<'_>) -> Result<(), Error>) -> Result<(), Error> {
        let Some(start) = self.start else {
            return Ok(());
        };
        let end = self.at - self.zeros;
        if end <= start {
            return Ok(());
        }
        let length = (end - start).min(self.head.len() as u64) as usize;
        found(&Nal {
            start,
            end,
            head: &self.head[..length],
        })
    }
}

/// Puts NAL units together to access units (H.264 §7.4.1.2.3).
struct Grouper<'a> {
    sets: &'a mut Sets,
    units: Vec<Unit>,
    open: Option<Open>,
}

struct Open {
    unit: Unit,
    has_picture: bool,
}

impl Grouper<'_> {
    fn add(&mut self, nal: &Nal<'_>) -> Result<(), Error> {
        let nal_type = nal.head[0] & 0x1f;
        let mut begins = false;
        match nal_type {
            kind::SLICE..=kind::IDR => {
                check_slice(nal.head)?;
                begins = SliceHead::parse(nal.head).is_some_and(|head| head.first_macroblock == 0);
            }
            kind::SEI..=kind::DELIMITER | 14..=18 => begins = true,
            _ => {}
        }
        if begins && self.open.as_ref().is_some_and(|open| open.has_picture) {
            self.close();
        }
        if matches!(nal_type, kind::SPS | kind::PPS) {
            if nal.end - nal.start > HEAD as u64 {
                return Err(Error::malformed("a parameter set is too large"));
            }
            self.sets.add(nal.head);
        }
        if self.units.len() >= MAX_UNITS {
            return Err(Error::malformed("it holds too many pictures"));
        }
        let open = self.open.get_or_insert(Open {
            // The three bytes of the start code belong to the unit.
            unit: Unit::new(nal.start - 3),
            has_picture: false,
        });
        open.unit.size = u32::try_from(nal.end - open.unit.offset)
            .map_err(|_| Error::malformed("a picture is too large"))?;
        if matches!(nal_type, kind::SLICE | kind::IDR) {
            open.has_picture = true;
        }
        if nal_type == kind::IDR && !open.unit.sync {
            open.unit.sync = true;
            open.unit.sets = self.sets.snapshot()?;
        }
        Ok(())
    }

    /// Ends the present unit; one without a picture (the end of the stream) is left out.
    fn close(&mut self) {
        if let Some(open) = self.open.take()
            && open.has_picture
        {
            self.units.push(open.unit);
        }
    }
}
