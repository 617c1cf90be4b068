//! Tests of the room as its users see it: codecs, files, the generator, the player.

#![allow(clippy::unwrap_used)]

mod codecs;
mod generator;
mod hostile;
mod mp4_files;
mod player;
mod support;
mod video_files;
mod wav_files;
