//! A WAV file, played in a loop.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use hound::{SampleFormat, WavReader, WavSpec};

use super::ReadSeek;
use crate::raw::{AudioSource, Content};
use crate::resample::Resampler;
use crate::{AudioFormat, Error};

/// How many samples are read from the file at once, over all channels.
const CHUNK: usize = 1_920;

/// Plays a WAV file (8, 16, 24 or 32 bit integers or 32 bit floats; mono or stereo; any rate) for
/// ever, at 48 kHz.
pub struct WavFile {
    path: Option<PathBuf>,
    reader: WavReader<Box<dyn ReadSeek>>,
    spec: WavSpec,
    resampler: Resampler,
    ready: VecDeque<i16>,
    chunk: Vec<i16>,
    resampled: Vec<i16>,
}

impl WavFile {
    const RATE: u32 = 48_000;

    /// Opens a file.
    ///
    /// The error names the file and says what is wrong: missing, not a WAV, empty, or in a format
    /// that is not played.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let open = || WavFile::from_reader(BufReader::new(File::open(path)?));
        let mut wav = open().map_err(|error| error.in_file(path))?;
        wav.path = Some(path.to_owned());
        Ok(wav)
    }

    /// The same from anything that can be read and sought in.
    pub fn from_reader(reader: impl Read + Seek + Send + 'static) -> Result<Self, Error> {
        let bytes: Box<dyn ReadSeek> = Box::new(reader);
        let reader = WavReader::new(bytes).map_err(from_hound)?;
        let spec = reader.spec();
        let known = match spec.sample_format {
            SampleFormat::Int => matches!(spec.bits_per_sample, 8 | 16 | 24 | 32),
            SampleFormat::Float => spec.bits_per_sample == 32,
        };
        if !known || !matches!(spec.channels, 1 | 2) {
            return Err(Error::malformed(format!(
                "WAV with {} channels of {} bits ({}) is not supported; mono or stereo of 8, 16, 24 or 32 bits is",
                spec.channels,
                spec.bits_per_sample,
                match spec.sample_format {
                    SampleFormat::Int => "integer",
                    SampleFormat::Float => "float",
                }
            )));
        }
        let resampler = Resampler::new(spec.sample_rate, WavFile::RATE, spec.channels as u8)
            .map_err(|_| {
                Error::malformed(format!(
                    "a rate of {} Hz is not supported",
                    spec.sample_rate
                ))
            })?;
        let mut wav = WavFile {
            path: None,
            reader,
            spec,
            resampler,
            ready: VecDeque::new(),
            chunk: Vec::with_capacity(CHUNK),
            resampled: Vec::new(),
        };
        // The first samples are read now, so that an empty or cut file is refused at once.
        wav.read_chunk();
        if wav.chunk.len() < usize::from(spec.channels) {
            return Err(Error::malformed("the WAV file holds no sound"));
        }
        wav.rewind()?;
        Ok(wav)
    }

    /// How long the file plays, in seconds.
    pub fn seconds(&self) -> f64 {
        f64::from(self.reader.duration()) / f64::from(self.spec.sample_rate)
    }

    fn rewind(&mut self) -> Result<(), Error> {
        self.reader.seek(0).map_err(Error::from)
    }

    /// Reads what comes next into `chunk`: whole samples of all channels, fewer at the end.
    fn read_chunk(&mut self) {
        self.chunk.clear();
        let bits = u32::from(self.spec.bits_per_sample);
        match self.spec.sample_format {
            SampleFormat::Int => {
                let samples = self.reader.samples::<i32>().take(CHUNK);
                let scaled = samples
                    .map_while(Result::ok)
                    .map(|sample| to_16(sample, bits));
                self.chunk.extend(scaled);
            }
            SampleFormat::Float => {
                let samples = self.reader.samples::<f32>().take(CHUNK);
                let scaled = samples
                    .map_while(Result::ok)
                    // A cast maps what is out of range to the limits and NaN to zero.
                    .map(|sample| (sample * 32_768.0).round() as i16);
                self.chunk.extend(scaled);
            }
        }
        let channels = usize::from(self.spec.channels);
        self.chunk.truncate(self.chunk.len() / channels * channels);
    }

    fn refill(&mut self) -> Result<(), Error> {
        self.read_chunk();
        if self.chunk.is_empty() {
            self.rewind()?;
            self.read_chunk();
            if self.chunk.is_empty() {
                return Err(Error::malformed("the WAV file holds no sound any more"));
            }
        }
        self.resampled.clear();
        self.resampler.process(&self.chunk, &mut self.resampled);
        self.ready.extend(&self.resampled);
        Ok(())
    }
}

fn to_16(sample: i32, bits: u32) -> i16 {
    if bits > 16 {
        (sample >> (bits - 16)) as i16
    } else {
        (sample << (16 - bits)) as i16
    }
}

fn from_hound(error: hound::Error) -> Error {
    match error {
        hound::Error::IoError(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            // hound says "Failed to read enough bytes." in this way.
            if error.kind() == std::io::ErrorKind::Other {
                Error::malformed("it is not a whole WAV file")
            } else {
                Error::from(error)
            }
        }
        hound::Error::Unsupported => Error::malformed("this kind of WAV file is not supported"),
        _ => Error::malformed("it is not a WAV file"),
    }
}

impl AudioSource for WavFile {
    fn format(&self) -> AudioFormat {
        AudioFormat {
            sample_rate: WavFile::RATE,
            channels: self.spec.channels as u8,
        }
    }

    fn read(&mut self, block: &mut [i16]) -> Result<(), Error> {
        while self.ready.len() < block.len() {
            self.refill().map_err(|error| match &self.path {
                Some(path) => error.in_file(path),
                None => error,
            })?;
        }
        let count = block.len();
        for (to, from) in block.iter_mut().zip(self.ready.drain(..count)) {
            *to = from;
        }
        Ok(())
    }

    fn content(&self) -> Content {
        Content::Music
    }
}
