//! Sound to WAV, 16 bits.

use std::fs::File;
use std::io::{BufWriter, Error as IoError};

use hound::{SampleFormat, WavSpec, WavWriter};

use super::Recording;
use crate::{AudioFormat, Error};

/// A WAV file counts its bytes in 32 bits; a new one begins before that.
const MAX_BYTES: u64 = 3_500_000_000;

/// Writes PCM; a change of format begins a new file.
pub(crate) struct WavRecorder {
    recording: Recording,
    open: Option<Open>,
}

struct Open {
    writer: WavWriter<BufWriter<File>>,
    format: AudioFormat,
    bytes: u64,
    /// Samples since the header was last brought up to date.
    unflushed: usize,
}

impl WavRecorder {
    pub(crate) fn new(recording: Recording) -> Self {
        WavRecorder {
            recording,
            open: None,
        }
    }

    /// Appends PCM; once a second the file on the disk is made whole.
    pub(crate) fn write(&mut self, format: AudioFormat, pcm: &[i16]) -> Result<(), Error> {
        let full = |open: &Open| open.format != format || open.bytes > MAX_BYTES;
        if self.open.as_ref().is_some_and(full) {
            self.finish()?;
        }
        let open = match &mut self.open {
            Some(open) => open,
            None => self.open.insert(Open::new(&self.recording, format)?),
        };
        let count = u32::try_from(pcm.len()).map_err(|_| Error::misuse("a block is too long"))?;
        let mut block = open.writer.get_i16_writer(count);
        for sample in pcm {
            block.write_sample(*sample);
        }
        block.flush().map_err(from_hound)?;
        open.bytes += pcm.len() as u64 * 2;
        open.unflushed += pcm.len();
        if open.unflushed >= format.sample_rate as usize * usize::from(format.channels) {
            open.writer.flush().map_err(from_hound)?;
            open.unflushed = 0;
        }
        Ok(())
    }

    /// Ends the file.
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        match self.open.take() {
            Some(open) => open.writer.finalize().map_err(from_hound),
            None => Ok(()),
        }
    }
}

impl Open {
    fn new(recording: &Recording, format: AudioFormat) -> Result<Self, Error> {
        let (file, path) = recording.create("wav")?;
        let spec = WavSpec {
            channels: u16::from(format.channels),
            sample_rate: format.sample_rate,
            bits_per_sample: 16,
            sample_format: SampleFormat::Int,
        };
        let mut writer = WavWriter::new(BufWriter::new(file), spec).map_err(from_hound)?;
        writer.flush().map_err(from_hound)?;
        tracing::info!(path = %path.display(), "recording sound");
        Ok(Open {
            writer,
            format,
            bytes: 0,
            unflushed: 0,
        })
    }
}

fn from_hound(error: hound::Error) -> Error {
    match error {
        hound::Error::IoError(error) => Error::from(error),
        other => Error::from(IoError::other(other.to_string())),
    }
}
