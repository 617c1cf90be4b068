// One PeerConnection: from ACCEPT_CALL to its end. A call is used once.
//
// Events (CustomEvent.detail): state (connectionState), track {stream}, channel (RTCDataChannel), failed {reason},
// anew (the other side has begun anew, and knows nothing of this call).

/** Whether this browser can show H.264, which is all that the device sends. */
export function hasH264() {
  const codecs = RTCRtpReceiver.getCapabilities?.("video")?.codecs ?? [];
  return codecs.some((codec) => codec.mimeType.toLowerCase() === "video/h264");
}

/**
 * Whether a description is of another PeerConnection than the one known: with another certificate, or with another
 * session and other credentials. (Some give each description a session of its own.)
 */
export function isOfAnotherCall(known, sdp) {
  if (!known) return false;
  const other = (value) => value(known) !== value(sdp);
  return other(fingerprint) || (other(session) && other(ufrag));
}

const CROSSED = 1_000; // What an answer may take after two offers have crossed.
const FALLEN = 5_000; // What a channel that was open may say that it connects.

export class Call extends EventTarget {
  constructor({ signaling, microphone }) {
    super();
    this.signaling = signaling;
    this.microphone = microphone;
    this.closed = false;
    this.heard = false; // Whether the other side has said something in this call.
    this.controlling = signaling.initiator; // Whether this side controls ICE: it has made the first offer.
    this.agreedAt = -Infinity; // When an offer was answered last.
    this.channels = new Map();
    this.arrived = new Map(); // Channels of the other side, and since when each says that it connects.
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
    pc.ondatachannel = ({ channel }) => {
      this.arrived.set(channel, null);
      this.adopt(channel);
    };
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

  /**
   * Closes channels of the other side that say that they connect, and go on doing so: they were open when they came, and
   * nothing can be sent on them. None may do that (W3C WebRTC §6.2), but in Chromium 156 it is seen now and then. The
   * other side hears of the end, and uses the channels of this side.
   */
  closeFallen() {
    const now = performance.now();
    for (const [channel, since] of this.arrived) {
      const falls = channel.readyState === "connecting";
      this.arrived.set(channel, falls ? (since ?? now) : null);
      if (falls && since !== null && now - since >= FALLEN) channel.close();
      if (["closing", "closed"].includes(channel.readyState)) this.arrived.delete(channel);
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
        const { sdp } = message;
        if (isOfAnotherCall(pc.currentRemoteDescription?.sdp, sdp)) return this.tell("anew");
        if (!pc.currentRemoteDescription) this.controlling = true;
        await pc.setRemoteDescription({ type: "answer", sdp: String(sdp) });
        this.agreed(sdp);
        await this.takeCandidates();
      } else {
        if (this.candidates.length < 256) this.candidates.push(message);
        if (pc.remoteDescription) await this.takeCandidates();
      }
    });
  }

  /** Offers a restart of ICE; the call goes on meanwhile. */
  restart() {
    return this.step(async () => {
      const { pc } = this;
      if (pc.signalingState !== "stable") return;
      await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
      this.signaling.send({ type: "offer", sdp: pc.localDescription.sdp });
    });
  }

  /** Says the offer that waits for its answer once more, or the answer that the other side may not have heard. */
  repeat() {
    return this.step(async () => {
      const { signalingState, connectionState, localDescription } = this.pc;
      const offers = signalingState === "have-local-offer";
      const answered = localDescription?.type === "answer" && connectionState !== "connected";
      if (offers || answered) this.signaling.send({ type: localDescription.type, sdp: localDescription.sdp });
    });
  }

  agreed(sdp) {
    this.agreedAt = performance.now();
    if (/^a=ice-lite/m.test(sdp)) this.controlling = true;
  }

  /**
   * Which of two offers that cross counts: that of the side that controls ICE, and before there is one, that of the
   * greater session ID.
   */
  givesWay(theirs) {
    const { pc } = this;
    if (pc.currentRemoteDescription) return !this.controlling;
    return session(pc.localDescription.sdp) <= session(theirs);
  }

  async answer(message) {
    const { pc } = this;
    if (pc.signalingState === "have-local-offer" && !this.givesWay(message.sdp)) {
      // The other side answers ours; if it does not, it has not heard it.
      setTimeout(() => this.repeat(), CROSSED);
      return;
    }
    const first = !pc.currentRemoteDescription;
    const fresh = pc.signalingState === "stable" && first;
    if (fresh) this.addMicrophone();
    if (first) this.controlling = false;
    // Rolls an offer of this side back.
    await pc.setRemoteDescription({ type: "offer", sdp: String(message.sdp) });
    if (first && /^m=application /m.test(message.sdp)) this.openChannels();
    await pc.setLocalDescription();
    this.signaling.send({ type: "answer", sdp: pc.localDescription.sdp });
    this.agreed(message.sdp);
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

function fingerprint(sdp) {
  return /^a=fingerprint:(.*)$/m.exec(sdp)?.[1].trim().toUpperCase();
}

function ufrag(sdp) {
  return /^a=ice-ufrag:(\S+)/m.exec(sdp)?.[1];
}

/** The session ID of a description, as a number. */
function session(sdp) {
  const id = /^o=\S+ (\d+) /m.exec(sdp)?.[1];
  return BigInt(id ?? 0);
}
