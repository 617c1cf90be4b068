// The room's page: what happens on messages, on presses, and on the connection's word.
// PROTOCOL.md tells the exchange; view.js shows it.

import { Call } from "./call.js";
import { Figures } from "./figures.js";
import { Files } from "./files.js";
import { Signaling } from "./signaling.js";
import { expose } from "./status.js";
import { View } from "./view.js";

const MOST_RETRIES = 3;
const RING_SECONDS = 45;

export class Room {
  constructor(name) {
    this.name = name;
    this.state = "joining";
    this.stateSince = Date.now();
    this.calls = 0;
    this.rings = 0;
    this.doorsOpened = 0;
    this.error = null;
    this.lastMessage = null;
    this.call = null;
    this.microphone = null;
    this.pending = null; // An offer and its candidates, until the user accepts.
    this.retries = 0;
    this.startOnJoin = false;
    this.attempt = 0;
    this.view = new View(this);
    this.figures = new Figures();
    this.files = new Files((transfer) => this.view.showTransfer(transfer));
    this.signaling = new Signaling(name);
    this.listen();
    setInterval(() => this.sample(), 1000);
  }

  listen() {
    const { signaling } = this;
    const on = (type, act) => signaling.addEventListener(type, ({ detail }) => act(detail));
    on("joined", () => this.onJoined());
    on("full", ({ seconds }) => this.onWaiting("full", seconds));
    on("offline", ({ seconds }) => this.onWaiting("offline", seconds));
    on("open", () => this.view.refresh());
    on("closed", () => this.view.refresh());
    on("presence", () => this.view.refresh());
    on("message", (message) => this.onMessage(message));
    addEventListener("pagehide", () => signaling.leave());
    addEventListener("pageshow", (event) => {
      // Back from the browser's cache: the room has been left, the call is gone.
      if (event.persisted) location.reload();
    });
    signaling.join();
  }

  setState(state, notice = "") {
    if (state !== this.state) this.stateSince = Date.now();
    this.state = state;
    this.view.notice(notice);
    this.view.refresh();
  }

  get inCall() {
    return ["calling", "connecting", "connected"].includes(this.state);
  }

  onJoined() {
    if (this.startOnJoin) {
      this.startOnJoin = false;
      this.begin();
    } else if (!this.inCall) {
      this.setState("ready", this.keptNotice ?? "");
      this.keptNotice = null;
    } else if (this.call && this.state !== "connected") {
      // What was said in the room before is lost with it.
      this.setState("calling");
      this.renew();
      this.greet();
    } else {
      this.view.refresh();
    }
  }

  onWaiting(state, seconds) {
    this.waitSeconds = seconds;
    if (this.call) this.view.refresh();
    else this.setState(state);
  }

  onMessage(message) {
    switch (message.type) {
      case "offer":
        return this.onOffer(message);
      case "answer":
      case "candidate":
        if (this.call) this.call.take(message);
        else if (this.pending && this.pending.length < 64) this.pending.push(message);
        return;
      case "bye":
        return this.onBye(message.reason === "expired");
      case "customized":
        return this.onCommand(message.data);
    }
  }

  onOffer(message) {
    if (this.call) {
      const known = this.call.pc.remoteDescription?.sdp;
      // Another certificate is another PeerConnection: begin with it, not with the old one.
      if (known && fingerprint(known) !== fingerprint(message.sdp)) this.renew();
      this.call.take(message);
      this.onHeard();
    } else {
      this.pending = [message];
      if (this.state !== "calling") this.ring("Somebody is calling");
    }
  }

  onHeard() {
    if (this.state === "calling") this.setState("connecting");
  }

  onCommand(command) {
    switch (command) {
      case "RING":
        this.rings++;
        return this.ring("Somebody is at the door");
      case "ACCEPT_CALL":
        return this.ring("Somebody is calling");
      case "DENY_CALL":
        if (this.state === "calling") this.end("The call was declined.");
        return;
      case "DOOR_OPENED":
        this.doorsOpened++;
        return this.view.showDoor("opened");
      default:
        if (typeof command === "string") this.view.addLine("info", command);
    }
  }

  ring(words) {
    if (this.state === "ringing") return;
    if (this.state !== "ready") {
      if (this.state === "connected") this.view.notice("The bell was rung again.");
      return;
    }
    this.setState("ringing");
    this.view.ring(words);
    clearTimeout(this.ringTimer);
    this.ringTimer = setTimeout(() => {
      if (this.state === "ringing") this.stopRinging("The bell was rung; nobody answered.");
    }, RING_SECONDS * 1000);
  }

  stopRinging(notice) {
    this.pending = null;
    this.setState("ready", notice);
  }

  onBye(expired) {
    this.pending = null;
    if (this.state === "ringing") return this.stopRinging("They rang and went away again.");
    if (!this.call) return this.view.refresh();
    const alive = this.call.pc.connectionState === "connected";
    if (expired && alive) {
      return this.view.notice("The doorbell has lost its signaling. The call goes on.");
    }
    const ghost = expired || (this.state === "calling" && !this.call.heard);
    if (ghost && this.retries < MOST_RETRIES) {
      this.retries++;
      this.setState("calling");
      this.renew();
      return this.greet();
    }
    this.finish();
    this.setState("ready", "The other side hung up.");
  }

  /** Start, and Accept. */
  start() {
    if (this.state !== "ready" && this.state !== "ringing") return;
    this.retries = 0;
    this.begin();
  }

  async begin() {
    const attempt = ++this.attempt;
    this.setState("calling");
    await this.openMicrophone();
    if (attempt !== this.attempt || this.state !== "calling") return;
    const { pending } = this;
    this.pending = null;
    this.renew();
    if (pending) {
      for (const message of pending) this.call.take(message);
      this.onHeard();
    } else {
      this.greet();
    }
  }

  greet() {
    this.command("ACCEPT_CALL");
    if (this.signaling.initiator) this.call.offer();
  }

  /** A new PeerConnection in the place of the one there is. */
  renew() {
    this.call?.close();
    this.files.lose();
    this.figures.reset();
    this.calls++;
    const call = new Call({ signaling: this.signaling, microphone: this.microphone });
    this.call = call;
    const on = (type, act) =>
      call.addEventListener(type, ({ detail }) => {
        if (call === this.call) act(detail);
      });
    on("state", (state) => this.onConnection(state));
    on("track", ({ stream }) => this.view.showStream(stream));
    on("channel", (channel) => this.onChannel(channel));
    on("failed", ({ reason }) => this.end(`The call failed: ${reason}`));
    this.view.refresh();
  }

  onConnection(state) {
    if (state === "connected") {
      if (this.state !== "connected") this.setState("connected");
      clearTimeout(this.settled);
      this.settled = setTimeout(() => (this.retries = 0), 10_000);
    } else if (state === "disconnected") {
      clearTimeout(this.settled);
      this.view.notice("The connection is shaky…");
    } else if (state === "failed") {
      clearTimeout(this.settled);
      this.redial();
    }
    this.view.refresh();
  }

  /** The connection is gone and nobody said bye: build it anew. */
  redial() {
    if (this.retries >= MOST_RETRIES) return this.end("The connection was lost.");
    this.retries++;
    const { microphone } = this;
    this.microphone = null;
    this.finish();
    this.microphone = microphone;
    this.setState("calling", "The connection was lost; calling again.");
    this.startOnJoin = true;
    this.signaling.rejoin();
  }

  onChannel(channel) {
    const { label } = channel;
    const opened = () => {
      const chosen = this.call?.channels.get(label) === channel;
      if (label === "file" && chosen) this.files.use(channel, this.call.pc.sctp?.maxMessageSize);
      this.view.refresh();
    };
    if (channel.readyState === "open") opened();
    channel.addEventListener("open", opened);
    channel.addEventListener("close", () => {
      if (channel === this.files.channel) this.files.lose();
      this.view.refresh();
    });
    channel.addEventListener("message", ({ data }) => {
      this.lastMessage = { label, data: typeof data === "string" ? data.slice(0, 4096) : data.byteLength };
      if (label === "file") this.files.take(data, channel);
      else if (typeof data === "string") this.view.addLine("them", data);
      else this.view.addLine("info", `${data.byteLength} bytes on ${label}`);
    });
  }

  say(text) {
    const channel = this.call?.channels.get("chat");
    if (channel?.readyState !== "open") return false;
    try {
      channel.send(text);
    } catch (error) {
      this.view.addLine("info", `Not sent: ${error.message}`);
      return false;
    }
    this.view.addLine("me", text);
    return true;
  }

  command(data) {
    this.signaling.send({ type: "customized", data });
  }

  openDoor() {
    this.command("OPEN_DOOR");
    this.view.showDoor("waiting");
  }

  deny() {
    if (this.state !== "ringing") return;
    const { pending } = this;
    this.stopRinging("Declined.");
    this.command("DENY_CALL");
    // Whoever has offered waits for an answer; a bye ends that.
    if (pending) this.signaling.rejoin();
  }

  hangUp() {
    if (this.inCall) this.end("");
  }

  /** Ends the call from here: bye, leave, join again. */
  end(notice) {
    this.error = notice || null;
    this.finish();
    this.keptNotice = notice;
    this.setState("joining", notice);
    this.signaling.rejoin();
  }

  finish() {
    this.attempt++;
    this.startOnJoin = false;
    clearTimeout(this.settled);
    this.call?.close();
    this.call = null;
    this.files.lose();
    this.microphone?.getTracks().forEach((track) => track.stop());
    this.microphone = null;
    this.view.showStream(null);
  }

  async openMicrophone() {
    if (this.microphone) return;
    const attempt = this.attempt;
    this.view.microphone("asking");
    try {
      if (!navigator.mediaDevices) throw new DOMException("insecure", "SecurityError");
      const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
      const stream = await navigator.mediaDevices.getUserMedia({ audio });
      if (attempt !== this.attempt) return stream.getTracks().forEach((track) => track.stop());
      this.microphone = stream;
      this.view.microphone("on");
    } catch (error) {
      this.view.microphone(error.name);
    }
  }

  toggleMute() {
    const track = this.microphone?.getAudioTracks()[0];
    if (!track) return;
    track.enabled = !track.enabled;
    this.view.refresh();
  }

  async sample() {
    const { call } = this;
    if (!call) return this.view.showFigures(null);
    const now = await this.figures.sample(call.pc);
    if (call === this.call) this.view.showFigures(now);
  }
}

function fingerprint(sdp) {
  return /^a=fingerprint:(.*)$/m.exec(sdp)?.[1].trim().toUpperCase();
}

const name = location.pathname.split("/")[2];
const room = new Room(name);
expose(room);
