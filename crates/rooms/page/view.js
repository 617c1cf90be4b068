// What the user sees. Text of others is only ever text.

import { hasH264 } from "./call.js";
import { bits, plot } from "./figures.js";

const byId = (id) => document.getElementById(id);
const show = (element, visible) => (element.hidden = !visible);

const STATES = {
  joining: "Joining",
  full: "Room is full",
  offline: "Offline",
  ready: "Ready",
  ringing: "Ringing",
  calling: "Calling",
  connecting: "Connecting",
  connected: "Connected",
};

export class View {
  constructor(room) {
    this.room = room;
    this.title = document.title;
    this.rows = new Map();
    this.noticeText = "";
    this.lacking = "";
    this.microphoneState = null;
    show(byId("room-name").parentElement, Boolean(room.name));
    byId("room-name").textContent = room.name.length > 24 ? `${room.name.slice(0, 6)}…` : room.name;
    this.press("start", () => room.start());
    this.press("accept", () => room.start());
    this.press("deny", () => room.deny());
    this.press("hangup", () => room.hangUp());
    this.press("door", () => room.openDoor());
    this.press("mute", () => room.input.toggle());
    this.press("unmute-video", () => this.unmute());
    this.press("fullscreen", () => this.toggleFullscreen());
    this.chat();
    this.dropZone();
    addEventListener("resize", () => this.drawPlots());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.drawPlots());
    byId("figures").addEventListener("toggle", () => this.drawPlots());
  }

  press(id, act) {
    byId(id).addEventListener("click", act);
  }

  /** What happened; without that, what this browser cannot do in the call. */
  notice(text) {
    this.noticeText = text;
    const words = text || (this.room.inCall ? this.lacking : "");
    const element = byId("notice");
    element.textContent = words;
    show(element, Boolean(words));
  }

  refresh() {
    const { room } = this;
    const { state, signaling, call } = room;
    byId("state").dataset.state = state;
    const cut = !signaling.open && (room.inCall || state === "ready") && !room.recovers;
    const word = state === "connecting" && room.recovers ? "Reconnecting" : STATES[state];
    byId("state-text").textContent = word + (cut ? " · no signaling" : "");
    document.title = state === "ringing" ? `(1) Ringing – ${this.title}` : this.title;
    show(byId("ring-banner"), state === "ringing");
    show(byId("start"), !room.inCall && state !== "ringing" && !room.startOnJoin);
    byId("start").disabled = state !== "ready";
    show(byId("hangup"), room.inCall || room.startOnJoin);
    const track = room.microphone?.getAudioTracks()[0];
    show(byId("mute"), room.inCall && Boolean(track));
    byId("mute").setAttribute("aria-pressed", String(track ? !track.enabled : false));
    byId("mute-text").textContent = track && !track.enabled ? "Unmute" : "Mute";
    byId("door").disabled = !signaling.open;
    this.cover();
    const open = (label) => call?.channels.get(label)?.readyState === "open";
    byId("chat-text").disabled = byId("chat-send").disabled = !open("chat");
    byId("chat-text").placeholder = open("chat") ? "Write something" : "Opens with the call";
    byId("file-hint").textContent = open("file") ? "Drop files here, or choose them" : "Files wait for the call";
  }

  /** What stands where the picture is not. */
  cover() {
    const { name, state, signaling, waitSeconds, startOnJoin, recovers } = this.room;
    const video = byId("video");
    const picture = state === "connected" && video.videoWidth > 0;
    show(byId("cover"), !picture);
    show(byId("fullscreen"), picture);
    const [title, text] = {
      joining: ["One moment", name ? "Joining the room." : "Asking the device."],
      full: [
        name ? "This room is full" : "Somebody else is here",
        `${name ? "Two are in it already" : "The device talks to one at a time"}. Trying again in ${waitSeconds} s.`,
      ],
      offline: [
        name ? "The server is not there" : "The device is not there",
        `Trying again in ${waitSeconds} s.${startOnJoin ? " Then the doorbell is called at once." : ""}`,
      ],
      ready: signaling.present
        ? ["The doorbell is here", "Start the call to see and hear it."]
        : ["Nobody is here yet", "You can call already: the doorbell answers when it joins."],
      ringing: ["", ""],
      calling: [
        "Calling",
        this.microphoneState === "asking"
          ? "Your browser asks whether it may use the microphone."
          : signaling.present
            ? "Waiting for an answer."
            : "Waiting for the doorbell to join.",
      ],
      connecting: recovers ? whyAway(signaling) : ["Connecting", "Looking for a way to the doorbell."],
      connected: hasH264()
        ? ["Connected", "Waiting for the picture."]
        : ["Sound only", "This browser cannot show H.264, which is all that the doorbell sends. You hear it, it hears you."],
    }[state];
    byId("cover-title").textContent = title;
    byId("cover-text").textContent = text;
    show(byId("cover-title"), Boolean(title));
    show(byId("cover-text"), Boolean(text));
    byId("cover").dataset.state = state;
  }

  ring(words) {
    byId("ring-text").textContent = words;
    chime();
    navigator.vibrate?.([200, 100, 200]);
  }

  microphone(state) {
    this.microphoneState = state;
    const words = {
      NotAllowedError: "The microphone was not allowed: you hear, but are not heard.",
      NotFoundError: "There is no microphone: you hear, but are not heard.",
      SecurityError: "Browsers give the microphone to secure pages only: you hear, but are not heard.",
    };
    const fine = state === "asking" || state === "on";
    this.lacking = fine ? "" : (words[state] ?? "The microphone cannot be used: you hear, but are not heard.");
    this.notice(this.noticeText);
    this.refresh();
  }

  showStream(stream) {
    const video = byId("video");
    if (!stream) {
      video.srcObject = null;
      video.muted = false;
      show(byId("unmute-video"), false);
      return this.refresh();
    }
    if (video.srcObject !== stream) video.srcObject = stream;
    video.onresize = video.onloadeddata = () => this.refresh();
    video.play().catch((error) => {
      // A stream that is taken away before it plays says nothing about sound.
      if (error.name !== "NotAllowedError") return;
      // Sound without a press is not allowed everywhere; a picture is.
      video.muted = true;
      show(byId("unmute-video"), true);
      video.play().catch(() => {});
    });
  }

  unmute() {
    const video = byId("video");
    video.muted = false;
    video.play().catch(() => {});
    show(byId("unmute-video"), false);
  }

  toggleFullscreen() {
    if (document.fullscreenElement) document.exitFullscreen();
    else byId("stage").requestFullscreen?.().catch(() => {});
  }

  showDoor(what) {
    const button = byId("door");
    const words = { waiting: "Opening…", opened: "Door opened", silent: "No answer", idle: "Open door" };
    button.dataset.door = what;
    byId("door-text").textContent = words[what];
    clearTimeout(this.doorTimer);
    const next = { waiting: ["silent", 6000], opened: ["idle", 4000], silent: ["idle", 4000] }[what];
    if (next) this.doorTimer = setTimeout(() => this.showDoor(next[0]), next[1]);
  }

  chat() {
    byId("chat-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const input = byId("chat-text");
      const text = input.value.trim();
      if (text && this.room.say(text)) input.value = "";
    });
  }

  addLine(who, text) {
    const log = byId("chat-log");
    const line = document.createElement("li");
    line.className = who;
    const body = document.createElement("span");
    body.textContent = text.slice(0, 10_000);
    const time = document.createElement("time");
    time.textContent = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
    line.append(body, time);
    const low = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    log.append(line);
    while (log.childElementCount > 500) log.firstElementChild.remove();
    if (low) log.scrollTop = log.scrollHeight;
    show(byId("chat-empty"), false);
  }

  dropZone() {
    const zone = byId("drop");
    const take = (files) => [...files].forEach((file) => this.room.files.add(file));
    byId("file-input").addEventListener("change", ({ target }) => {
      take(target.files);
      target.value = "";
    });
    for (const type of ["dragenter", "dragover"]) {
      addEventListener(type, (event) => {
        event.preventDefault();
        zone.classList.add("over");
      });
    }
    for (const type of ["dragleave", "drop"]) addEventListener(type, () => zone.classList.remove("over"));
    addEventListener("drop", (event) => {
      event.preventDefault();
      take(event.dataTransfer?.files ?? []);
    });
  }

  showTransfer(transfer) {
    let row = this.rows.get(transfer);
    if (!row) {
      row = byId("file-row").content.firstElementChild.cloneNode(true);
      row.dataset.direction = transfer.direction;
      this.rows.set(transfer, row);
      byId("file-list").prepend(row);
      while (byId("file-list").childElementCount > 100) byId("file-list").lastElementChild.remove();
    }
    const part = (name) => row.querySelector(`.${name}`);
    const { moved, size, done, error, direction } = transfer;
    part("name").textContent = transfer.name || "unnamed";
    if (done && transfer.url && !part("name").href) {
      part("name").href = transfer.url;
      part("name").download = transfer.name || "file";
    }
    part("progress").value = done ? 1 : size ? moved / size : 0;
    show(part("progress"), !done && !error);
    const sofar = !done && moved > 0 ? `${amount(moved)} of ${amount(size)}` : amount(size);
    const word = done ? (direction === "in" ? "received" : "sent") : moved > 0 ? "" : direction === "out" ? "waits" : "";
    part("what").textContent = error ? error : [sofar, word].filter(Boolean).join(" · ");
    row.dataset.end = error ? "error" : done ? "done" : "";
  }

  showFigures(now) {
    if (!now) {
      byId("figures").dataset.live = "no";
      return;
    }
    byId("figures").dataset.live = "yes";
    const { call } = this.room;
    const set = (id, text) => (byId(id).textContent = text);
    set("f-bitrate", bits(now.bitsIn));
    set("f-bitrate-out", `${bits(now.bitsOut)} sent`);
    set("f-fps", now.fps === null ? "–" : `${Math.round(now.fps)} fps`);
    set("f-size", now.width ? `${now.width} × ${now.height}` : "no picture");
    set("f-loss", now.loss === null ? "–" : `${now.loss.toFixed(1)} %`);
    set("f-lost", `${now.packetsLost} packets in all`);
    set("f-rtt", now.rtt === null ? "–" : `${(now.rtt * 1000).toFixed(now.rtt < 0.01 ? 1 : 0)} ms`);
    set("f-jitter", now.jitter === null ? "" : `jitter ${(now.jitter * 1000).toFixed(1)} ms`);
    set("f-state", call ? `${call.pc.connectionState} · ICE ${call.pc.iceConnectionState}` : "–");
    set("f-pair", now.pair ?? "–");
    set("f-secure", [now.dtls, now.cipher?.replaceAll("_", " ")].filter(Boolean).join(" · ") || "–");
    set("f-codecs", now.codecs.join(", ") || "–");
    const channels = call ? [...call.channels.values()] : [];
    set("f-channels", channels.map((c) => `${c.label} ${c.readyState}`).join(", ") || "–");
    this.drawPlots();
  }

  drawPlots() {
    const { history } = this.room.figures;
    plot(byId("p-bitrate"), history.bitrate, 100_000);
    plot(byId("p-fps"), history.fps, 10);
    plot(byId("p-loss"), history.loss, 2);
    plot(byId("p-rtt"), history.rtt, 5);
  }
}

/** What is known of a connection that is looked for again. */
function whyAway({ open, present }) {
  if (!open) {
    return [
      "The connection is lost",
      "The server cannot be reached either: is this device online? The call goes on when the network is back.",
    ];
  }
  if (!present) return ["The doorbell is away", "It seems to have lost its network. The call goes on when it is back."];
  return ["Reconnecting", "Nothing comes from the doorbell. Looking for another way to it."];
}

function amount(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(0)} kB`;
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Two soft notes, where the browser lets a page sound that nobody has touched. */
function chime() {
  try {
    const audio = new AudioContext();
    if (audio.state !== "running") return void audio.close();
    [659.3, 523.3].forEach((pitch, index) => {
      const tone = audio.createOscillator();
      const volume = audio.createGain();
      const start = audio.currentTime + index * 0.45;
      tone.frequency.value = pitch;
      volume.gain.setValueAtTime(0.0001, start);
      volume.gain.exponentialRampToValueAtTime(0.2, start + 0.02);
      volume.gain.exponentialRampToValueAtTime(0.0001, start + 1.2);
      tone.connect(volume).connect(audio.destination);
      tone.start(start);
      tone.stop(start + 1.3);
    });
    setTimeout(() => audio.close(), 2500);
  } catch {
    // A page may be silent.
  }
}
