// The page's end: one RTCPeerConnection, its channels by label, and what came by them.

const WINDOW = 4 << 20;
const FOR_GOOD = 10_000; // What a channel that fell back may take until it stands again, in ms.

/** The word at this place of the stream that every bulk and every numbered message is made of. */
function word(index) {
  return Math.imul(index, 0x9e3779b1) ^ index;
}

function fill(words, from) {
  for (let at = 0; at < words.length; at++) words[at] = word(from + at);
  return words;
}

/** How many words of a message are not what they should be. */
function wrong(buffer, from) {
  if (!(buffer instanceof ArrayBuffer) || buffer.byteLength % 4) return 1;
  const words = new Int32Array(buffer);
  let bad = 0;
  for (let at = 0; at < words.length; at++) if (words[at] !== word(from + at)) bad++;
  return bad;
}

/**
 * Whether a channel that was open says that it connects: what no channel may (W3C WebRTC §6.2), and what cannot be sent
 * on. One that comes to Chromium 156 says so for a moment now and then, and once in thousands of connections for good.
 */
function falls({ channel, opened }) {
  return opened && channel.readyState === "connecting";
}

/** Resolves as soon as a channel that fell back stands again. */
function stands(entry) {
  if (!falls(entry)) return Promise.resolve();
  return new Promise((done, fail) => {
    entry.channel.addEventListener("open", done, { once: true });
    setTimeout(fail, FOR_GOOD, new Error("the channel fell back"));
  });
}

class End {
  constructor() {
    this.pc = new RTCPeerConnection();
    this.channels = new Map();
    this.pc.ondatachannel = ({ channel }) => this.keep(channel);
  }

  keep(channel) {
    channel.binaryType = "arraybuffer";
    const opened = channel.readyState === "open";
    const entry = { channel, opened, got: [], closed: false, echo: false, bulk: null, sent: 0, error: null, fell: null };
    this.channels.set(channel.label, entry);
    channel.onmessage = ({ data }) => {
      if (entry.bulk) {
        entry.bulk.wrong += wrong(data, entry.bulk.bytes / 4);
        entry.bulk.bytes += data.byteLength;
      } else if (entry.echo) stands(entry).then(() => channel.send(data));
      else entry.got.push(data);
    };
    channel.onopen = () => (entry.opened = true);
    channel.onclose = () => (entry.closed = true);
    return entry;
  }

  gathered() {
    const { pc } = this;
    return new Promise((done) => {
      const look = () => pc.iceGatheringState === "complete" && done(pc.localDescription.sdp);
      pc.onicegatheringstatechange = look;
      look();
    });
  }
}

window.data = {
  end: null,
  microphone: null,

  /** A new end in the place of the old one. With a microphone allowed, the browser tells its addresses. */
  async begin() {
    this.microphone ??= await navigator.mediaDevices.getUserMedia({ audio: true });
    this.end?.pc.close();
    this.end = new End();
  },

  async answer(sdp) {
    const { pc } = this.end;
    await pc.setRemoteDescription({ type: "offer", sdp });
    await pc.setLocalDescription();
    return this.end.gathered();
  },

  async offer() {
    await this.end.pc.setLocalDescription();
    return this.end.gathered();
  },

  /** An offer that restarts ICE. */
  async restart() {
    const { pc } = this.end;
    await pc.setLocalDescription(await pc.createOffer({ iceRestart: true }));
    return this.end.gathered();
  },

  /** The descriptions that both sides have agreed on: the page's, and the device's. */
  agreed() {
    const { currentLocalDescription, currentRemoteDescription, signalingState } = this.end.pc;
    return [signalingState, currentLocalDescription.sdp, currentRemoteDescription.sdp];
  },

  async accept(sdp) {
    await this.end.pc.setRemoteDescription({ type: "answer", sdp });
  },

  entry(label) {
    return this.end.channels.get(label);
  },

  open(label, options) {
    this.end.keep(this.end.pc.createDataChannel(label, options));
  },

  isOpen(label) {
    return this.entry(label)?.channel.readyState === "open";
  },

  /** Whether a channel has fallen back: "no", "now" for a moment at least, or "for good". */
  fellBack() {
    const now = performance.now();
    let first = Infinity;
    for (const entry of this.end?.channels.values() ?? []) {
      entry.fell = falls(entry) ? (entry.fell ?? now) : null;
      first = Math.min(first, entry.fell ?? Infinity);
    }
    if (first === Infinity) return "no";
    return now - first < FOR_GOOD ? "now" : "for good";
  },

  /** Sends a message; why it was refused, if it was. */
  async send(label, message) {
    try {
      await stands(this.entry(label));
      this.entry(label).channel.send(message);
      return null;
    } catch (error) {
      return `${error.name}: ${error.message}`;
    }
  },

  /** Sends so many bytes in messages of this size. */
  async sendBulk(label, bytes, size) {
    const entry = this.entry(label);
    const { channel } = entry;
    channel.bufferedAmountLowThreshold = WINDOW / 4;
    try {
      await stands(entry);
      for (; entry.sent < bytes; entry.sent += size) {
        if (channel.bufferedAmount > WINDOW) await new Promise((done) => (channel.onbufferedamountlow = done));
        channel.send(fill(new Int32Array(size / 4), entry.sent / 4));
      }
    } catch (error) {
      entry.error = String(error);
    }
  },

  receiveBulk(label) {
    this.entry(label).bulk = { bytes: 0, wrong: 0 };
  },

  /** Sends messages that begin with their number. */
  sendNumbers(label, from, to, size) {
    for (let number = from; number < to; number++) {
      const words = fill(new Int32Array(size / 4), number);
      words[0] = number;
      this.entry(label).channel.send(words);
    }
  },

  /** The numbers of what came, -1 for what is not as it was sent. */
  numbers(label) {
    return (this.entry(label)?.got ?? []).map((buffer) => {
      const words = new Int32Array(buffer);
      const number = words[0];
      words[0] = word(number);
      const bad = wrong(buffer, number);
      words[0] = number;
      return bad ? -1 : number;
    });
  },

  /** What came by a channel: text as it is, bytes as their number and whether they are right. */
  heard(label) {
    return (this.entry(label)?.got ?? []).map((it) =>
      typeof it === "string" ? it : { bytes: it.byteLength, wrong: it.byteLength ? wrong(it, 0) : 0 },
    );
  },
};
