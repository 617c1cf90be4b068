// One PeerConnection: from ACCEPT_CALL to its end. A call is used once.
//
// Events (CustomEvent.detail): state (connectionState), track {stream}, channel (RTCDataChannel), failed {reason}.

/** Whether this browser can show H.264, which is all that the device sends. */
export function hasH264() {
  const codecs = RTCRtpReceiver.getCapabilities?.("video")?.codecs ?? [];
  return codecs.some((codec) => codec.mimeType.toLowerCase() === "video/h264");
}

export class Call extends EventTarget {
  constructor({ signaling, microphone }) {
    super();
    this.signaling = signaling;
    this.microphone = microphone;
    this.closed = false;
    this.heard = false; // Whether the other side has said something in this call.
    this.channels = new Map();
    this.stream = new MediaStream();
    this.candidates = [];
    this.steps = Promise.resolve();
    this.pc = new RTCPeerConnection({
      iceServers: signaling.iceServers,
      bundlePolicy: "max-bundle",
      rtcpMuxPolicy: "require",
    });
    this.watch();
  }

  tell(type, detail) {
    if (!this.closed) this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  watch() {
    const { pc } = this;
    pc.onicecandidate = ({ candidate }) => {
      if (this.closed || !candidate?.candidate) return;
      this.signaling.send({
        type: "candidate",
        candidate: candidate.candidate,
        id: candidate.sdpMid,
        label: candidate.sdpMLineIndex,
      });
    };
    pc.onconnectionstatechange = () => this.tell("state", pc.connectionState);
    pc.oniceconnectionstatechange = () => this.tell("state", pc.connectionState);
    pc.ontrack = ({ track }) => {
      this.stream.addTrack(track);
      this.tell("track", { stream: this.stream });
    };
    pc.ondatachannel = ({ channel }) => this.adopt(channel);
  }

  adopt(channel) {
    channel.binaryType = "arraybuffer";
    const known = this.channels.get(channel.label);
    if (!known || known.readyState === "closed") this.channels.set(channel.label, channel);
    this.tell("channel", channel);
    return channel;
  }

  openChannels() {
    for (const label of ["chat", "file"]) {
      if (!this.channels.has(label)) this.adopt(this.pc.createDataChannel(label));
    }
  }

  addMicrophone() {
    const track = this.microphone?.getAudioTracks()[0];
    if (track) this.pc.addTrack(track, this.microphone);
    return Boolean(track);
  }

  /** Offers: sound both ways, picture to here, data. */
  offer() {
    return this.step(async () => {
      const { pc } = this;
      if (!this.addMicrophone()) pc.addTransceiver("audio", { direction: "recvonly" });
      if (hasH264()) {
        const video = pc.addTransceiver("video", { direction: "recvonly" });
        const rank = (codec) => (codec.mimeType.toLowerCase() === "video/h264" ? 0 : 1);
        const codecs = RTCRtpReceiver.getCapabilities("video").codecs;
        video.setCodecPreferences?.([...codecs].sort((a, b) => rank(a) - rank(b)));
      }
      this.openChannels();
      await pc.setLocalDescription();
      this.signaling.send({ type: "offer", sdp: pc.localDescription.sdp });
    });
  }

  /** Takes an offer, an answer or a candidate; one after the other, in the order they came. */
  take(message) {
    this.heard = true;
    return this.step(async () => {
      const { pc } = this;
      if (message.type === "offer") {
        await this.answer(message);
      } else if (message.type === "answer") {
        // An answer to an offer that was dropped.
        if (pc.signalingState !== "have-local-offer") return;
        await pc.setRemoteDescription({ type: "answer", sdp: String(message.sdp) });
        await this.takeCandidates();
      } else {
        if (this.candidates.length < 256) this.candidates.push(message);
        if (pc.remoteDescription) await this.takeCandidates();
      }
    });
  }

  /** Of two offers that cross, the page drops its own (setRemoteDescription rolls back). */
  async answer(message) {
    const { pc } = this;
    const first = !pc.currentRemoteDescription;
    const fresh = pc.signalingState === "stable" && first;
    if (fresh) this.addMicrophone();
    await pc.setRemoteDescription({ type: "offer", sdp: String(message.sdp) });
    if (first && /^m=application /m.test(message.sdp)) this.openChannels();
    await pc.setLocalDescription();
    this.signaling.send({ type: "answer", sdp: pc.localDescription.sdp });
    await this.takeCandidates();
  }

  async takeCandidates() {
    for (const message of this.candidates.splice(0)) {
      const { candidate, id, label } = message;
      if (typeof candidate !== "string") continue;
      const init = { candidate };
      if (id != null) init.sdpMid = String(id);
      if (label != null && Number.isFinite(Number(label))) init.sdpMLineIndex = Number(label);
      if (init.sdpMid == null && init.sdpMLineIndex == null) init.sdpMLineIndex = 0;
      // One that cannot be used is no reason to give up the others.
      await this.pc.addIceCandidate(init).catch(() => {});
    }
  }

  step(action) {
    this.steps = this.steps.then(async () => {
      if (this.closed) return;
      try {
        await action();
      } catch (error) {
        this.tell("failed", { reason: error.message });
      }
    });
    return this.steps;
  }

  close() {
    this.closed = true;
    for (const channel of this.channels.values()) channel.close();
    this.pc.close();
  }
}
