// What automated browsers see and may do. PROTOCOL.md describes both.

import { hasH264 } from "./call.js";

export function expose(room) {
  Object.defineProperty(window, "__doorbell", { get: () => status(room) });
  if (!navigator.webdriver) return;
  const wanted = new URLSearchParams(location.search).get("autostart");
  const recorder = new Recorder(room);
  Object.defineProperty(window, "__doorbellTest", { value: recorder.hooks() });
  let done = !wanted;
  setInterval(() => {
    if (done || room.state !== "ready") return;
    done = wanted !== "always";
    document.getElementById("start").click();
  }, 100);
}

function status(room) {
  const { call, signaling, figures } = room;
  const now = figures.now;
  return Object.freeze({
    state: room.state,
    stateSince: room.stateSince,
    room: room.name,
    clientId: signaling.clientId,
    initiator: signaling.initiator,
    present: signaling.present,
    calls: room.calls,
    recovers: room.recovers,
    connectionState: call?.pc.connectionState ?? null,
    iceState: call?.pc.iceConnectionState ?? null,
    signaling: signaling.open ? "open" : "closed",
    pair: now.pair,
    dtls: now.dtls,
    channels: now.channels.map((entry) => ({
      label: entry.label,
      state: entry.state,
      id: entry.dataChannelIdentifier,
      sent: entry.messagesSent,
      received: entry.messagesReceived,
      bytesSent: entry.bytesSent,
      bytesReceived: entry.bytesReceived,
    })),
    openChannels: [...(call?.channels.values() ?? [])].filter((c) => c.readyState === "open").map((c) => c.label),
    lastMessage: room.lastMessage,
    received: {
      framesDecoded: now.frames,
      framesPerSecond: now.fps,
      width: now.width,
      height: now.height,
      audioLevel: now.audioLevel,
      totalAudioEnergy: now.audioEnergy,
      packetsLost: now.packetsLost,
      bytes: now.bytesIn,
    },
    rtt: now.rtt,
    door: room.doorsOpened,
    rings: room.rings,
    files: room.files.transfers.map(({ name, size, moved, direction, done, error }) => ({ name, size, moved, direction, done, error })),
    h264: hasH264(),
    microphone: Boolean(room.microphone),
    error: room.error,
  });
}

/** Keeps what comes by data channels of the present call, for tests that compare bytes. */
class Recorder {
  constructor(room) {
    this.room = room;
    this.call = null;
    this.heard = new Map();
    this.seen = new WeakSet();
    const renew = room.renew.bind(room);
    room.renew = () => {
      renew();
      this.heard.clear();
      room.call.addEventListener("channel", ({ detail }) => this.listen(detail));
    };
  }

  listen(channel) {
    if (this.seen.has(channel)) return;
    this.seen.add(channel);
    channel.addEventListener("message", ({ data }) => {
      if (!this.heard.has(channel.label)) this.heard.set(channel.label, []);
      this.heard.get(channel.label).push(data);
    });
  }

  hooks() {
    const { room, heard } = this;
    const channel = (label) => room.call?.channels.get(label) ?? null;
    return Object.freeze({
      pc: () => room.call?.pc ?? null,
      channel,
      open: (label, options) => room.call.adopt(room.call.pc.createDataChannel(label, options)).label,
      maxMessageSize: () => room.call?.pc.sctp?.maxMessageSize ?? null,
      send: (label, data) => {
        try {
          channel(label).send(data);
          return null;
        } catch (error) {
          return `${error.name}: ${error.message}`;
        }
      },
      received: (label) => heard.get(label) ?? [],
      clear: () => heard.clear(),
    });
  }
}
