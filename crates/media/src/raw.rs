//! Sound and pictures as they are before encoding and after decoding.

use std::time::Duration;

use crate::Error;

/// How PCM is laid out: 16 bits a sample, channels interleaved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioFormat {
    /// Samples a second for each channel, a multiple of 50.
    pub sample_rate: u32,
    /// 1 or 2.
    pub channels: u8,
}

/// The size and pace of pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VideoFormat {
    /// Pixels, even.
    pub width: u32,
    /// Pixels, even.
    pub height: u32,
    /// Pictures a second.
    pub fps: u32,
}

/// What sound is about, which decides how it is best encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Content {
    /// Somebody speaks.
    #[default]
    Voice,
    /// Music, or anything.
    Music,
}

/// A source of PCM: a generator, a file, later a microphone.
pub trait AudioSource: Send {
    /// How its samples are laid out; the same for its whole life.
    fn format(&self) -> AudioFormat;

    /// Fills `block` (interleaved, a whole number of samples for each channel) with what comes next.
    ///
    /// A source that has nothing fills in silence. An error ends the source.
    fn read(&mut self, block: &mut [i16]) -> Result<(), Error>;

    /// What the sound is about.
    fn content(&self) -> Content {
        Content::Voice
    }
}

/// A source of pictures: a generator, later a camera.
pub trait VideoSource: Send {
    /// Size and pace; the same for its whole life.
    fn format(&self) -> VideoFormat;

    /// Puts the picture of time `pts` into `picture`, which has the source's size.
    ///
    /// False when there is no new one. An error ends the source.
    fn capture(&mut self, pts: Duration, picture: &mut Picture) -> Result<bool, Error>;
}

/// Where decoded sound goes: later a loudspeaker.
pub trait AudioOut: Send {
    /// Takes the next block of PCM (interleaved).
    fn on_pcm(&mut self, format: AudioFormat, pcm: &[i16]);
}

/// Where decoded pictures go: later a window or a display.
pub trait VideoOut: Send {
    /// Takes the next picture.
    fn on_picture(&mut self, pts: Duration, picture: &Picture);
}

/// A picture in I420: a plane of luma, then two planes of chroma at half the width and height.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl Picture {
    /// A black picture; odd sizes are rounded down to even ones.
    pub fn new(width: u32, height: u32) -> Self {
        let mut picture = Picture::default();
        picture.resize(width, height);
        picture
    }

    /// Changes the size and makes it black; nothing happens when it has that size already.
    pub fn resize(&mut self, width: u32, height: u32) {
        let (width, height) = (width as usize & !1, height as usize & !1);
        if (width, height) == (self.width, self.height) {
            return;
        }
        (self.width, self.height) = (width, height);
        self.data.clear();
        self.data.resize(width * height, 16);
        self.data.resize(width * height * 3 / 2, 128);
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows of pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Luma, blue difference, red difference.
    pub fn planes(&self) -> [&[u8]; 3] {
        let (luma, chroma) = self.data.split_at(self.width * self.height);
        let (u, v) = chroma.split_at(chroma.len() / 2);
        [luma, u, v]
    }

    /// Luma, blue difference, red difference.
    pub fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        let (luma, chroma) = self.data.split_at_mut(self.width * self.height);
        let half = chroma.len() / 2;
        let (u, v) = chroma.split_at_mut(half);
        [luma, u, v]
    }

    /// Makes this an equal copy of `other`, without allocating when the sizes agree.
    pub fn copy_from(&mut self, other: &Picture) {
        self.resize(other.width as u32, other.height as u32);
        self.data.copy_from_slice(&other.data);
    }

    /// Makes this `other` at half the width and height; each pixel is the mean of four.
    pub fn halve_from(&mut self, other: &Picture) {
        self.resize(other.width as u32 / 2, other.height as u32 / 2);
        let (width, height) = (self.width, self.height);
        let sizes = [
            (width, height),
            (width / 2, height / 2),
            (width / 2, height / 2),
        ];
        let strides = [other.width, other.width / 2, other.width / 2];
        let from = other.planes();
        for (index, to) in self.planes_mut().into_iter().enumerate() {
            let (width, height) = sizes[index];
            for y in 0..height {
                let upper = &from[index][2 * y * strides[index]..][..2 * width];
                let lower = &from[index][(2 * y + 1) * strides[index]..][..2 * width];
                let row = &mut to[y * width..][..width];
                for ((pixel, a), b) in row
                    .iter_mut()
                    .zip(upper.chunks_exact(2))
                    .zip(lower.chunks_exact(2))
                {
                    let sum: u32 = a.iter().chain(b).map(|p| u32::from(*p)).sum();
                    *pixel = ((sum + 2) / 4) as u8;
                }
            }
        }
    }

    /// Fills a rectangle, clipped to the picture, with a colour given as luma and two differences.
    pub fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, colour: [u8; 3]) {
        let sizes = [1, 2, 2];
        let (w, h) = (self.width, self.height);
        let (right, bottom) = ((x + width).min(w), (y + height).min(h));
        for (index, plane) in self.planes_mut().into_iter().enumerate() {
            let step = sizes[index];
            let (left, right) = (x / step, right / step);
            for row in y / step..bottom / step {
                if left < right {
                    plane[row * (w / step)..][left..right].fill(colour[index]);
                }
            }
        }
    }
}
