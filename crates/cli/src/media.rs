//! What is sent, and what becomes of what is received.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use esp_webrtc::media::source::{Melody, TestPicture, VideoFile, WavFile};
use esp_webrtc::media::{Generator, GeneratorConfig, Player, PlayerConfig, Recording, Render};
use esp_webrtc::wire::Direction;

use crate::arguments::MediaOptions;
use crate::failure::Failure;
use crate::print::utc;

/// Sources that are open, with words for them.
pub(crate) struct Sources {
    pub(crate) generator: Generator,
    pub(crate) audio: String,
    pub(crate) video: String,
    pub(crate) directions: (Direction, Direction),
}

/// Opens what the options name.
pub(crate) fn open(options: &MediaOptions) -> Result<Sources, Failure> {
    let mut config = GeneratorConfig::new();
    let way = |none: bool| {
        if none {
            Direction::None
        } else {
            Direction::SendRecv
        }
    };
    let audio = match &options.audio {
        _ if options.no_audio => "no sound".to_owned(),
        None => {
            config = config.with_audio(Melody::new());
            "a melody".to_owned()
        }
        Some(path) => {
            let wav = WavFile::open(path).map_err(|why| Failure::of_option("--audio", why))?;
            let words = format!("{} ({:.1} s, in a loop)", path.display(), wav.seconds());
            config = config.with_audio(wav);
            words
        }
    };
    let video = match &options.video {
        _ if options.no_video => "no pictures".to_owned(),
        None => {
            let format = TestPicture::DEFAULT;
            let picture = TestPicture::new(format).map_err(Failure::of)?;
            config = config.with_video(picture.with_clock(time_of_day()));
            format!(
                "a test picture ({}x{}, {} a second, H.264)",
                format.width, format.height, format.fps
            )
        }
        Some(path) => {
            let file = VideoFile::open(path, options.fps)
                .map_err(|why| Failure::of_option("--video", why))?;
            let seconds = file.duration().as_secs_f64();
            config = config.with_encoded_video(file);
            format!("{} ({seconds:.1} s of H.264, in a loop)", path.display())
        }
    };
    Ok(Sources {
        generator: Generator::new(config).map_err(Failure::of)?,
        audio,
        video,
        directions: (way(options.no_audio), way(options.no_video)),
    })
}

/// Makes a player for each connection; with `--record` it writes to files named after the moment.
pub(crate) fn players(
    options: &MediaOptions,
) -> Result<impl FnMut() -> Option<Box<dyn Render>> + Send + use<>, Failure> {
    let dir = options.record.clone();
    if let Some(dir) = &dir {
        // Found out now, not with the first call.
        Recording::new(dir, "call").map_err(|why| Failure::of_directory("--record", why))?;
    }
    Ok(move || {
        let mut config = PlayerConfig::new();
        if let Some(dir) = &dir {
            let moment: String = utc(SystemTime::now())
                .chars()
                .take(19)
                .filter(|c| !matches!(c, '-' | ':'))
                .collect();
            match Recording::new(dir, &format!("call-{moment}")) {
                Ok(recording) => config = config.with_recording(recording),
                Err(error) => eprintln!("esp-webrtc: this call is not recorded: {error}"),
            }
        }
        Some(Box::new(Player::new(config)) as Box<dyn Render>)
    })
}

fn time_of_day() -> Duration {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Duration::from_millis((now.as_millis() % 86_400_000) as u64)
}
