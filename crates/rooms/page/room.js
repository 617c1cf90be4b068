// The room's page: what happens on messages, on presses, and on the connection's word.
// PROTOCOL.md tells the exchange; view.js shows it.

import { Call, isOfAnotherCall } from "./call.js";
import { Figures } from "./figures.js";
import { Files } from "./files.js";
import { Microphone } from "./microphone.js";
import { Recovery } from "./recovery.js";
import { View } from "./view.js";

const MOST_RETRIES = 3;
const RING_SECONDS = 45;
const GIVEN_UP = "The connection was lost, and does not come back. You can start another call.";
const SHAKY = 3_000; // What a connection may be silent until that is said large, in ms.

export class Room {
  /** `name` is empty where there is no room but a device alone. */
  constructor(name, signaling) {
    this.name = name;
    this.signaling = signaling;
    this.state = "joining";
    this.stateSince = Date.now();
    this.calls = 0;
    this.rings = 0;
    this.doorsOpened = 0;
    this.error = null;
    this.lastMessage = null;
    this.call = null;
    this.recovery = null; // Of the call.
    this.pending = null; // An offer and its candidates, until the user accepts.
    this.retries = 0;
    this.startOnJoin = false;
    this.attempt = 0;
    this.view = new View(this);
    this.input = new Microphone(this.view);
    this.figures = new Figures();
    this.files = new Files((transfer) => this.view.showTransfer(transfer));
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
    on("presence", () => this.onPresence());
    on("back", () => this.onBack());
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

  /** Whether the call was connected, and is looked for again. */
  get recovers() {
    return Boolean(this.recovery?.active);
  }

  get microphone() {
    return this.input.stream;
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
    } else if (this.call && this.state !== "connected" && !this.recovers) {
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
    else this.setState(state, this.keptNotice ?? "");
  }

  onPresence() {
    if (this.signaling.present) this.recovery?.hurry();
    this.view.refresh();
  }

  /** The link was away, here or there: what was said before the connection is there may be lost. */
  onBack() {
    if (this.recovers) this.recovery.hurry();
    else if (!this.call || this.state === "connected") return;
    else if (this.call.pc.localDescription) this.call.repeat();
    else if (!this.signaling.initiator) this.command("ACCEPT_CALL");
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
      // Another PeerConnection: begin with it, not with the old one.
      if (isOfAnotherCall(known, message.sdp)) this.renew();
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
    // It may have lost its network alone: while the connection is looked for, it has time to come back.
    if (expired && this.recovers) return this.view.refresh();
    // Whoever says bye in such a moment has given the connection up, not the call.
    const ghost = expired || this.recovers || (this.state === "calling" && !this.call.heard);
    if (ghost && this.retries < MOST_RETRIES) return this.callAgain();
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
    this.setState("calling", this.keptNotice ?? "");
    this.keptNotice = null;
    await this.input.open();
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
    this.recovery?.end();
    this.call?.close();
    this.files.lose();
    this.figures.reset();
    this.calls++;
    const call = new Call({ signaling: this.signaling, microphone: this.microphone });
    this.call = call;
    this.recovery = new Recovery({
      call,
      signaling: this.signaling,
      changed: () => this.onRecovery(),
      lost: () => this.redial(),
    });
    const on = (type, act) =>
      call.addEventListener(type, ({ detail }) => {
        if (call === this.call) act(detail);
      });
    on("state", (state) => this.onConnection(state));
    on("track", ({ stream }) => this.view.showStream(stream));
    on("channel", (channel) => this.onChannel(channel));
    on("failed", ({ reason }) => this.end(`The call failed: ${reason}`));
    on("anew", () => this.callAgain());
    this.view.refresh();
  }

  onConnection(state) {
    if (state === "connected") {
      const trouble = this.recovers;
      this.recovery.end();
      if (trouble || this.state !== "connected") this.setState("connected");
      clearTimeout(this.settled);
      this.settled = setTimeout(() => (this.retries = 0), 10_000);
    } else if (state === "disconnected") {
      this.onInterrupted("The connection is shaky: nothing has come for some seconds.");
    } else if (state === "failed") {
      this.onFailed();
    }
    this.view.refresh();
  }

  onInterrupted(notice) {
    clearTimeout(this.settled);
    if (this.state === "connected" || this.recovers) this.recovery.begin();
    this.view.notice(notice);
  }

  /** A picture that stands still for longer than a moment is covered by words. */
  onRecovery() {
    if (this.state === "connected" && this.recovery.lasts(SHAKY)) this.setState("connecting");
    else this.view.refresh();
  }

  /** ICE can be restarted where it was up before; DTLS cannot. */
  onFailed() {
    const lost = ["disconnected", "failed"].includes(this.call.pc.iceConnectionState);
    if (!lost || !(this.state === "connected" || this.recovers)) return this.redial();
    this.onInterrupted("");
    this.setState("connecting");
  }

  /** The other side has begun anew, or given the connection up: call it as this side does at first. */
  callAgain() {
    if (this.retries >= MOST_RETRIES) return this.end(GIVEN_UP);
    this.retries++;
    this.setState("calling");
    this.renew();
    this.greet();
  }

  /** The connection is gone and nobody said bye: build it anew. */
  redial() {
    if (this.retries >= MOST_RETRIES) return this.end(GIVEN_UP);
    this.retries++;
    this.finish(true);
    this.keptNotice = "The connection was lost; the doorbell is called again.";
    this.setState("calling", this.keptNotice);
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
    if (this.inCall || this.startOnJoin) this.end("");
  }

  /** Ends the call from here: bye, leave, join again. */
  end(notice) {
    this.error = notice || null;
    this.finish();
    this.keptNotice = notice;
    this.setState("joining", notice);
    this.signaling.rejoin();
  }

  finish(again = false) {
    this.attempt++;
    this.startOnJoin = false;
    this.recovery?.end();
    this.recovery = null;
    clearTimeout(this.settled);
    this.call?.close();
    this.call = null;
    this.files.lose();
    this.input.close(again);
    this.view.showStream(null);
  }

  async sample() {
    const { call } = this;
    if (!call) return this.view.showFigures(null);
    call.closeFallen();
    const now = await this.figures.sample(call.pc);
    if (call === this.call) this.view.showFigures(now);
  }
}
