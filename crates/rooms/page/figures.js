// Live figures from getStats(), and their plots.

const HISTORY = 90;

/** The figures of one PeerConnection, once a second. */
export class Figures {
  constructor() {
    this.reset();
  }

  reset() {
    this.last = null;
    this.now = empty();
    this.history = { bitrate: [], fps: [], loss: [], rtt: [] };
  }

  async sample(pc) {
    const stats = await pc.getStats();
    const now = read(stats);
    if (this.last) derive(now, this.last);
    this.last = now;
    this.now = now;
    const put = (name, value) => {
      this.history[name].push(value);
      if (this.history[name].length > HISTORY) this.history[name].shift();
    };
    put("bitrate", now.bitsIn);
    put("fps", now.fps);
    put("loss", now.loss);
    put("rtt", now.rtt === null ? null : now.rtt * 1000);
    return now;
  }
}

function empty() {
  return {
    at: 0, pair: null, rtt: null, dtls: null, cipher: null, bytesIn: 0, bytesOut: 0, bitsIn: null, bitsOut: null,
    packets: 0, packetsLost: 0, loss: null, frames: 0, fps: null, width: 0, height: 0, frozen: 0, jitter: null,
    audioLevel: 0, audioEnergy: 0, codecs: [], channels: [],
  };
}

function read(stats) {
  const now = empty();
  let transport = null;
  const pairs = [];
  stats.forEach((entry) => {
    if (entry.timestamp > now.at) now.at = entry.timestamp;
    if (entry.type === "transport") transport ??= entry;
    else if (entry.type === "candidate-pair") pairs.push(entry);
    else if (entry.type === "inbound-rtp") readInbound(now, entry, stats);
    else if (entry.type === "data-channel") now.channels.push(entry);
  });
  const selected = stats.get?.(transport?.selectedCandidatePairId) ?? carrying(pairs);
  if (selected) readPair(now, selected, stats);
  if (transport) {
    now.bytesIn = transport.bytesReceived ?? now.bytesIn;
    now.bytesOut = transport.bytesSent ?? now.bytesOut;
    now.dtls = { FEFD: "DTLS 1.2", FEFC: "DTLS 1.3" }[transport.tlsVersion] ?? null;
    now.cipher = transport.srtpCipher ?? null;
  }
  return now;
}

/** The pair in use, where the browser does not name it. After a restart of ICE it need not be a nominated one. */
function carrying(pairs) {
  const works = pairs.filter((pair) => pair.state === "succeeded");
  const latest = (pair) => pair.lastPacketReceivedTimestamp ?? 0;
  const used = works.sort((a, b) => latest(b) - latest(a)).find(latest);
  return works.find((pair) => pair.selected) ?? used ?? works.find((pair) => pair.nominated) ?? null;
}

function readInbound(now, entry, stats) {
  now.bytesIn += entry.bytesReceived ?? 0; // Where there is neither a pair nor a transport to ask.
  now.packets += entry.packetsReceived ?? 0;
  now.packetsLost += entry.packetsLost ?? 0;
  const codec = stats.get?.(entry.codecId);
  if (codec) now.codecs.push(codec.mimeType.split("/")[1]);
  if (entry.kind === "video") {
    now.frames = entry.framesDecoded ?? 0;
    now.fps = entry.framesPerSecond ?? null;
    now.width = entry.frameWidth ?? 0;
    now.height = entry.frameHeight ?? 0;
    now.frozen = entry.freezeCount ?? 0;
    now.jitter = entry.jitter ?? null;
  } else {
    now.audioLevel = entry.audioLevel ?? 0;
    now.audioEnergy = entry.totalAudioEnergy ?? 0;
  }
}

function readPair(now, pair, stats) {
  const local = stats.get(pair.localCandidateId);
  const remote = stats.get(pair.remoteCandidateId);
  const name = (candidate) => {
    if (!candidate) return "?";
    const host = candidate.address ?? candidate.ip ?? "hidden";
    return `${candidate.candidateType} ${host.includes(":") ? `[${host}]` : host}:${candidate.port}`;
  };
  now.pair = `${name(local)} → ${name(remote)} ${(local?.protocol ?? "udp").toUpperCase()}`;
  now.rtt = pair.currentRoundTripTime ?? null;
  now.bytesIn = pair.bytesReceived ?? now.bytesIn;
  now.bytesOut = pair.bytesSent ?? 0;
}

function derive(now, last) {
  const seconds = (now.at - last.at) / 1000;
  if (seconds <= 0) return;
  now.bitsIn = Math.max(0, ((now.bytesIn - last.bytesIn) * 8) / seconds);
  now.bitsOut = Math.max(0, ((now.bytesOut - last.bytesOut) * 8) / seconds);
  now.fps ??= Math.max(0, (now.frames - last.frames) / seconds);
  const lost = Math.max(0, now.packetsLost - last.packetsLost);
  const came = Math.max(0, now.packets - last.packets);
  now.loss = lost + came > 0 ? (100 * lost) / (lost + came) : 0;
}

export function bits(value) {
  if (value === null) return "–";
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} Mbit/s`;
  return `${Math.round(value / 1e3)} kbit/s`;
}

/** Draws the history of a figure from right to left, filled below, on its own scale. */
export function plot(canvas, values, floor) {
  const ratio = devicePixelRatio || 1;
  const width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio);
  if (!width || !height) return;
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, width, height);
  const style = getComputedStyle(canvas);
  const top = Math.max(floor, ...values.map((value) => value ?? 0)) * 1.15;
  const step = width / (HISTORY - 1);
  const x = (index) => width - (values.length - 1 - index) * step;
  const y = (value) => height - ratio - ((value ?? 0) / top) * (height - 3 * ratio);
  context.strokeStyle = style.getPropertyValue("--line");
  context.lineWidth = ratio;
  context.beginPath();
  context.moveTo(0, height - ratio / 2);
  context.lineTo(width, height - ratio / 2);
  context.stroke();
  if (values.length < 2) return;
  context.beginPath();
  values.forEach((value, index) => context.lineTo(x(index), y(value)));
  context.strokeStyle = style.getPropertyValue("--accent");
  context.lineWidth = 1.6 * ratio;
  context.lineJoin = "round";
  context.stroke();
  context.lineTo(width, height);
  context.lineTo(x(0), height);
  context.closePath();
  context.globalAlpha = 0.12;
  context.fillStyle = style.getPropertyValue("--accent");
  context.fill();
  context.globalAlpha = 1;
}
