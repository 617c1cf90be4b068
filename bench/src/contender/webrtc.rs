//! The `webrtc` crate on tokio, with its defaults, as its examples use it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use rtc::interceptor::Registry;
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MediaEngine};
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RtpCodecKind,
};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
    RTCIceGatheringState, RTCPeerConnectionState,
};
use webrtc::runtime::TokioRuntime;

use super::{Arrived, Contender, PATIENCE, Pair, Wish};
use crate::suite::RTP_PAYLOAD;

const SSRC: u32 = 7_777;
const PAYLOAD_TYPE: u8 = 102;
/// Packets written at a time.
const BURST: u32 = 20;

/// The `webrtc` crate.
#[derive(Default)]
pub(crate) struct WebRtc {
    runtime: Option<Arc<Runtime>>,
}

#[derive(Debug, PartialEq)]
enum Told {
    Gathered,
    Connected,
    Open,
}

struct End {
    told: UnboundedSender<Told>,
    arrived: Arc<Arrived>,
}

#[async_trait]
impl PeerConnectionEventHandler for End {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.told.send(Told::Gathered);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        if state == RTCPeerConnectionState::Connected {
            let _ = self.told.send(Told::Connected);
        }
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        listen(channel, self.told.clone(), Arc::clone(&self.arrived));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let arrived = Arc::clone(&self.arrived);
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    arrived.add(packet.payload.len());
                }
            }
        });
    }
}

fn listen(channel: Arc<dyn DataChannel>, told: UnboundedSender<Told>, arrived: Arc<Arrived>) {
    tokio::spawn(async move {
        while let Some(event) = channel.poll().await {
            match event {
                DataChannelEvent::OnOpen => {
                    let _ = told.send(Told::Open);
                }
                DataChannelEvent::OnMessage(message) => arrived.add(message.data.len()),
                DataChannelEvent::OnClose => return,
                _ => {}
            }
        }
    });
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn codec() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_H264.to_owned(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
            .into(),
        rtcp_feedback: vec![],
    }
}

async fn end(
    arrived: &Arc<Arrived>,
) -> Result<
    (
        Arc<dyn PeerConnection>,
        UnboundedSender<Told>,
        UnboundedReceiver<Told>,
    ),
    Failure,
> {
    let (tell, told) = unbounded_channel();
    let mut media = MediaEngine::default();
    media.register_codec(
        RTCRtpCodecParameters {
            rtp_codec: codec(),
            payload_type: PAYLOAD_TYPE,
            ..Default::default()
        },
        RtpCodecKind::Video,
    )?;
    let registry = register_default_interceptors(Registry::new(), &mut media)?;
    let made = PeerConnectionBuilder::new()
        .with_configuration(RTCConfigurationBuilder::new().build())
        .with_media_engine(media)
        .with_interceptor_registry(registry)
        .with_handler(Arc::new(End {
            told: tell.clone(),
            arrived: Arc::clone(arrived),
        }))
        .with_runtime(Arc::new(TokioRuntime))
        .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
        .build()
        .await?;
    Ok((Arc::new(made), tell, told))
}

async fn until(
    told: &mut UnboundedReceiver<Told>,
    what: &Told,
    times: usize,
) -> Result<(), Failure> {
    let mut seen = 0;
    while seen < times {
        let next = tokio::time::timeout(PATIENCE, told.recv()).await;
        match next.map_err(|_| format!("no {what:?} in time"))? {
            Some(it) if it == *what => seen += 1,
            Some(_) => {}
            None => return Err("it ended".into()),
        }
    }
    Ok(())
}

struct WebRtcPair {
    runtime: Arc<Runtime>,
    ends: [Arc<dyn PeerConnection>; 2],
    channels: Vec<Arc<dyn DataChannel>>,
    track: Option<Arc<TrackLocalStaticRTP>>,
}

async fn connect(
    runtime: Arc<Runtime>,
    wish: Wish,
    arrived: Arc<Arrived>,
) -> Result<WebRtcPair, Failure> {
    let (a, tell_a, mut told_a) = end(&arrived).await?;
    let (b, _tell_b, mut told_b) = end(&arrived).await?;
    let mut channels = Vec::new();
    let mut track = None;
    match wish {
        Wish::Channels(count) => {
            for _ in 0..count {
                let channel = a.create_data_channel("bench", None).await?;
                listen(Arc::clone(&channel), tell_a.clone(), Arc::clone(&arrived));
                channels.push(channel);
            }
        }
        Wish::Media => {
            let encoding = RTCRtpEncodingParameters {
                rtp_coding_parameters: RTCRtpCodingParameters {
                    ssrc: Some(SSRC),
                    ..Default::default()
                },
                codec: codec(),
                ..Default::default()
            };
            let made = Arc::new(TrackLocalStaticRTP::new(MediaStreamTrack::new(
                "stream".into(),
                "track".into(),
                "label".into(),
                RtpCodecKind::Video,
                vec![encoding],
            )));
            a.add_track(Arc::clone(&made) as Arc<dyn TrackLocal>)
                .await?;
            track = Some(made);
        }
    }
    let offer = a.create_offer(None).await?;
    a.set_local_description(offer).await?;
    until(&mut told_a, &Told::Gathered, 1).await?;
    let offer = a.local_description().await.ok_or("no offer")?;
    b.set_remote_description(offer).await?;
    let answer = b.create_answer(None).await?;
    b.set_local_description(answer).await?;
    until(&mut told_b, &Told::Gathered, 1).await?;
    let answer = b.local_description().await.ok_or("no answer")?;
    a.set_remote_description(answer).await?;
    for told in [&mut told_a, &mut told_b] {
        match wish {
            Wish::Channels(count) => until(told, &Told::Open, count).await?,
            Wish::Media => until(told, &Told::Connected, 1).await?,
        }
    }
    Ok(WebRtcPair {
        runtime,
        ends: [a, b],
        channels,
        track,
    })
}

impl Contender for WebRtc {
    fn connect(&mut self, wish: Wish, arrived: Arc<Arrived>) -> Result<Box<dyn Pair>, String> {
        let runtime = match &self.runtime {
            Some(known) => Arc::clone(known),
            None => {
                let made = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()
                    .map_err(|it| it.to_string())?;
                Arc::clone(self.runtime.insert(Arc::new(made)))
            }
        };
        let made = runtime.block_on(connect(Arc::clone(&runtime), wish, arrived));
        match made {
            Ok(pair) => Ok(Box::new(pair)),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Pair for WebRtcPair {
    fn pour(&mut self, message: usize) {
        let channels = self.channels.clone();
        self.runtime.spawn(async move {
            let data = vec![7_u8; message];
            for channel in channels.iter().cycle() {
                if channel.send(BytesMut::from(data.as_slice())).await.is_err() {
                    return;
                }
            }
        });
    }

    fn stream(&mut self, packets: u32) {
        let Some(track) = self.track.clone() else {
            return;
        };
        self.runtime.spawn(async move {
            let mut payload = vec![0xa5; RTP_PAYLOAD];
            payload[0] = 0x41;
            let payload = Bytes::from(payload);
            let mut ticks = tokio::time::interval(Duration::from_secs(1) * BURST / packets);
            let mut number = 0_u16;
            for burst in 0_u32.. {
                ticks.tick().await;
                for at in 1..=BURST {
                    let header = rtc::rtp::Header {
                        version: 2,
                        marker: at == BURST,
                        payload_type: PAYLOAD_TYPE,
                        sequence_number: number,
                        timestamp: burst.wrapping_mul(90),
                        ssrc: SSRC,
                        ..Default::default()
                    };
                    number = number.wrapping_add(1);
                    let packet = rtc::rtp::Packet {
                        header,
                        payload: payload.clone(),
                    };
                    if track.write_rtp(packet).await.is_err() {
                        return;
                    }
                }
            }
        });
    }
}

impl Drop for WebRtcPair {
    fn drop(&mut self) {
        let ends = self.ends.clone();
        self.runtime.spawn(async move {
            for end in ends {
                let _ = end.close().await;
            }
        });
    }
}
