//! The `webrtc` crate on its tokio runtime, as its flow control example uses it: one runtime for
//! both ends, descriptions handed over after gathering.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use rtc::rtp;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodecParameters, RTCRtpCodingParameters, RTCRtpEncodingParameters,
    RtpCodecKind,
};
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::media_stream::MediaStreamTrack;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCIceGatheringState, RTCPeerConnectionState, Registry, SettingEngineBuilder,
    register_default_interceptors,
};

use super::{Arrived, BUFFERED, Contender, PATIENCE, Pair, Wish, runtime, sized};
use crate::suite::RTP_PAYLOAD;

/// A DTLS 1.2 record with AES-GCM around each SCTP packet, in bytes.
const RECORD: usize = 37;
/// What the synchronization source of the track is named.
const SSRC: u32 = 0x5ca1_ab1e;
/// H.264 in its own list of codecs.
const PAYLOAD_TYPE: u8 = 102;
/// Packets written at a time.
const BURST: u32 = 20;

/// The `webrtc` crate.
pub(crate) struct WebRtc {
    runtime: Option<Arc<Runtime>>,
    datagram: usize,
}

impl WebRtc {
    /// With datagrams of at most this size.
    pub(crate) fn new(datagram: usize) -> Self {
        WebRtc {
            runtime: None,
            datagram,
        }
    }
}

enum Told {
    Gathered,
    Connected,
    Open,
    Track,
    Failed,
}

struct End {
    told: UnboundedSender<Told>,
    arrived: Arc<Arrived>,
}

impl End {
    fn tell(&self, told: Told) {
        // Nobody listens once the pair is up.
        let _ = self.told.send(told);
    }
}

#[async_trait]
impl PeerConnectionEventHandler for End {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.tell(Told::Gathered);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        match state {
            RTCPeerConnectionState::Connected => self.tell(Told::Connected),
            RTCPeerConnectionState::Failed => self.tell(Told::Failed),
            _ => {}
        }
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        // Its driver waits for this to return.
        tokio::spawn(follow(
            channel,
            self.told.clone(),
            Arc::clone(&self.arrived),
        ));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        self.tell(Told::Track);
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

/// Takes what a channel has to tell, as long as it lives.
async fn follow(channel: Arc<dyn DataChannel>, told: UnboundedSender<Told>, arrived: Arc<Arrived>) {
    while let Some(event) = channel.poll().await {
        match event {
            DataChannelEvent::OnOpen => {
                let _ = told.send(Told::Open);
            }
            DataChannelEvent::OnMessage(message) => arrived.add(message.data.len()),
            _ => {}
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Connection = Arc<dyn PeerConnection>;

struct WebRtcPair {
    runtime: Arc<Runtime>,
    ends: [Connection; 2],
    channels: Vec<Arc<dyn DataChannel>>,
    track: Option<Arc<TrackLocalStaticRTP>>,
}

fn codec() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: "video/H264".into(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
            .into(),
        rtcp_feedback: Vec::new(),
    }
}

async fn end(handler: End, wish: Wish, datagram: usize) -> Result<Connection, Failure> {
    let mut media = MediaEngine::default();
    let codec = RTCRtpCodecParameters {
        rtp_codec: codec(),
        payload_type: PAYLOAD_TYPE,
    };
    media.register_codec(codec, RtpCodecKind::Video)?;
    let registry = register_default_interceptors(Registry::new(), &mut media)?;
    let mtu = (datagram - RECORD) & !3;
    let settings = SettingEngineBuilder::new()
        .with_sctp_mtu(u32::try_from(mtu)?)
        .with_receive_mtu(datagram.max(1_460))
        .build();
    let each = match wish {
        Wish::Channels(channels) => BUFFERED / channels.max(1),
        Wish::Media => BUFFERED,
    };
    let built = PeerConnectionBuilder::new()
        .with_media_engine(media)
        .with_setting_engine(settings)
        .with_interceptor_registry(registry)
        .with_handler(Arc::new(handler))
        .with_runtime(Arc::new(webrtc::runtime::TokioRuntime))
        .with_udp_addrs(vec!["127.0.0.1:0".to_owned()])
        .with_data_channel_send_buffer_limit(each)
        .build()
        .await?;
    Ok(Arc::new(built))
}

async fn wait(
    heard: &mut UnboundedReceiver<Told>,
    fits: impl Fn(&Told) -> bool,
) -> Result<(), Failure> {
    loop {
        match tokio::time::timeout(PATIENCE, heard.recv()).await? {
            Some(Told::Failed) | None => return Err("the connection failed".into()),
            Some(told) if fits(&told) => return Ok(()),
            Some(_) => {}
        }
    }
}

fn local_track() -> Arc<TrackLocalStaticRTP> {
    let encoding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            ssrc: Some(SSRC),
            ..Default::default()
        },
        codec: codec(),
        ..Default::default()
    };
    let [stream, track, label] = ["stream", "track", "bench"].map(str::to_owned);
    let track = MediaStreamTrack::new(stream, track, label, RtpCodecKind::Video, vec![encoding]);
    Arc::new(TrackLocalStaticRTP::new(track))
}

/// Where an end tells something, and where that is heard.
type Ear = (UnboundedSender<Told>, UnboundedReceiver<Told>);

/// Offer and answer, each with all its candidates.
async fn agree(ends: &[Connection; 2], heard: &mut [Ear; 2]) -> Result<(), Failure> {
    let offer = ends[0].create_offer(None).await?;
    ends[0].set_local_description(offer).await?;
    wait(&mut heard[0].1, |told| matches!(told, Told::Gathered)).await?;
    let offer = ends[0].local_description().await.ok_or("no offer")?;
    ends[1].set_remote_description(offer).await?;
    let answer = ends[1].create_answer(None).await?;
    ends[1].set_local_description(answer).await?;
    wait(&mut heard[1].1, |told| matches!(told, Told::Gathered)).await?;
    let answer = ends[1].local_description().await.ok_or("no answer")?;
    ends[0].set_remote_description(answer).await?;
    Ok(())
}

async fn connect(
    runtime: Arc<Runtime>,
    wish: Wish,
    arrived: Arc<Arrived>,
    datagram: usize,
) -> Result<WebRtcPair, Failure> {
    let mut heard = [unbounded_channel(), unbounded_channel()];
    let listener = |at: usize| End {
        told: heard[at].0.clone(),
        arrived: Arc::clone(&arrived),
    };
    let ends = [
        end(listener(0), wish, datagram).await?,
        end(listener(1), wish, datagram).await?,
    ];
    let mut channels: Vec<Arc<dyn DataChannel>> = Vec::new();
    let mut track = None;
    match wish {
        Wish::Channels(count) => {
            for _ in 0..count {
                channels.push(ends[0].create_data_channel("bench", None).await?);
            }
        }
        Wish::Media => {
            let local: Arc<TrackLocalStaticRTP> = local_track();
            ends[0]
                .add_track(Arc::clone(&local) as Arc<dyn TrackLocal>)
                .await?;
            track = Some(local);
        }
    }
    for channel in &channels {
        let told = heard[0].0.clone();
        tokio::spawn(follow(Arc::clone(channel), told, Arc::clone(&arrived)));
    }
    agree(&ends, &mut heard).await?;
    for (_, listen) in &mut heard {
        wait(listen, |told| matches!(told, Told::Connected)).await?;
        for _ in 0..channels.len() {
            wait(listen, |told| matches!(told, Told::Open)).await?;
        }
    }
    Ok(WebRtcPair {
        runtime,
        ends,
        channels,
        track,
    })
}

impl Contender for WebRtc {
    fn connect(&mut self, wish: Wish, arrived: Arc<Arrived>) -> Result<Box<dyn Pair>, String> {
        let runtime = runtime(&mut self.runtime)?;
        let joined = runtime.spawn(connect(Arc::clone(&runtime), wish, arrived, self.datagram));
        let pair = runtime.block_on(joined).map_err(|it| it.to_string())?;
        Ok(Box::new(pair.map_err(|it| it.to_string())?))
    }

    fn apart(&self) -> Option<String> {
        sized(self.datagram)
    }
}

impl Pair for WebRtcPair {
    fn pour(&mut self, message: usize) {
        let channels = self.channels.clone();
        self.runtime.spawn(async move {
            let data = vec![7; message];
            for channel in channels.iter().cycle() {
                // It takes each message over, so that each is a copy.
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
            let mut beat = tokio::time::interval(Duration::from_secs(1) * BURST / packets);
            for burst in 0_u32.. {
                beat.tick().await;
                for at in 0..BURST {
                    let number = burst.wrapping_mul(BURST).wrapping_add(at);
                    let header = rtp::header::Header {
                        version: 2,
                        payload_type: PAYLOAD_TYPE,
                        sequence_number: (number & 0xffff) as u16,
                        timestamp: burst.wrapping_mul(90),
                        ssrc: SSRC,
                        ..Default::default()
                    };
                    let payload = payload.clone();
                    if track
                        .write_rtp(rtp::Packet { header, payload })
                        .await
                        .is_err()
                    {
                        return;
                    }
                }
            }
        });
    }
}

impl Drop for WebRtcPair {
    fn drop(&mut self) {
        for end in &self.ends {
            let end = Arc::clone(end);
            self.runtime.spawn(async move {
                let _ = end.close().await;
            });
        }
    }
}
