//! Sound made from nothing: a melody and a plain tone.

use std::f32::consts::TAU;

use crate::raw::{AudioSource, Content};
use crate::{AudioFormat, Error};

/// Semitones above A4 (440 Hz) and eighths of a second; `REST` is silence.
const NOTES: [(i8, u8); 16] = [
    (3, 2),
    (7, 2),
    (10, 2),
    (15, 3),
    (REST, 1),
    (14, 2),
    (10, 2),
    (12, 3),
    (REST, 1),
    (8, 2),
    (12, 2),
    (10, 2),
    (7, 2),
    (5, 2),
    (3, 3),
    (REST, 3),
];

const REST: i8 = i8::MIN;

/// A short melody in a loop, mono at 48 kHz.
#[derive(Clone, Debug)]
pub struct Melody {
    /// The note that sounds, and how many of its samples have been made.
    note: usize,
    done: u32,
    phase: f32,
}

impl Melody {
    const RATE: u32 = 48_000;

    /// The melody from its beginning.
    pub fn new() -> Self {
        Melody {
            note: 0,
            done: 0,
            phase: 0.0,
        }
    }

    fn sample(&mut self) -> i16 {
        let (semitone, eighths) = NOTES[self.note];
        let length = u32::from(eighths) * Melody::RATE / 8;
        let value = if semitone == REST {
            0.0
        } else {
            let hertz = 440.0 * (f32::from(semitone) / 12.0).exp2();
            self.phase = (self.phase + hertz / Melody::RATE as f32).fract();
            // Ten milliseconds to rise, then a slow decay, and ten to end: no clicks.
            let at = self.done as f32 / Melody::RATE as f32;
            let left = (length - self.done) as f32 / Melody::RATE as f32;
            let envelope = (at / 0.01).min(1.0) * (left / 0.01).min(1.0) * (-2.0 * at).exp();
            let angle = self.phase * TAU;
            let wave = angle.sin() + 0.3 * (2.0 * angle).sin() + 0.1 * (3.0 * angle).sin();
            wave * envelope * 8_000.0
        };
        self.done += 1;
        if self.done >= length {
            self.done = 0;
            self.phase = 0.0;
            self.note = (self.note + 1) % NOTES.len();
        }
        value as i16
    }
}

impl Default for Melody {
    fn default() -> Self {
        Melody::new()
    }
}

impl AudioSource for Melody {
    fn format(&self) -> AudioFormat {
        AudioFormat {
            sample_rate: Melody::RATE,
            channels: 1,
        }
    }

    fn read(&mut self, block: &mut [i16]) -> Result<(), Error> {
        block.fill_with(|| self.sample());
        Ok(())
    }

    fn content(&self) -> Content {
        Content::Music
    }
}

/// A sine for ever, mono.
#[derive(Clone, Debug)]
pub struct Tone {
    rate: u32,
    step: f32,
    amplitude: f32,
    phase: f32,
}

impl Tone {
    /// A tone of `hertz` at `amplitude` (1.0 is full scale), sampled at `rate` Hz.
    pub fn new(rate: u32, hertz: f32, amplitude: f32) -> Self {
        Tone {
            rate,
            step: hertz / rate as f32,
            amplitude: amplitude.clamp(0.0, 1.0) * 32_767.0,
            phase: 0.0,
        }
    }
}

impl AudioSource for Tone {
    fn format(&self) -> AudioFormat {
        AudioFormat {
            sample_rate: self.rate,
            channels: 1,
        }
    }

    fn read(&mut self, block: &mut [i16]) -> Result<(), Error> {
        for sample in block {
            *sample = ((self.phase * TAU).sin() * self.amplitude) as i16;
            self.phase = (self.phase + self.step).fract();
        }
        Ok(())
    }

    fn content(&self) -> Content {
        Content::Music
    }
}
