// The client of a device that serves itself: it listens to the device's event stream, and posts what it says.
//
// The events are those of signaling.js. The device offers, always; it is there while its stream is open.

const WAITS = [1, 2, 3, 5, 5, 8];
const BACK = [200, 1000, 2000]; // Until a stream that was cut is opened again, in ms.
const BUSY = 500; // Until something is posted again that was not taken, in ms.
const MOST_WAITING = 256;
const BYE = '{"type":"bye"}';

export class DeviceSignaling extends EventTarget {
  constructor() {
    super();
    this.clientId = null;
    this.initiator = false;
    this.present = false;
    this.open = false;
    this.iceServers = [];
    this.stream = null;
    this.last = null; // The number of the event that was heard last.
    this.waiting = []; // What is to be posted, in order; another array with each name.
    this.posting = false;
    this.attempts = 0;
    this.epoch = 0; // A step that belongs to an earlier epoch has no effect.
    this.timer = null;
    // A network that is back is no news to a stream that died with it.
    addEventListener("online", () => this.renew());
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Listens, and goes on trying until the device listens too. */
  join() {
    clearTimeout(this.timer);
    const epoch = ++this.epoch;
    const query = this.last ? `?last=${encodeURIComponent(this.last)}` : "";
    const stream = new EventSource(`/webrtc/signal${query}`);
    this.stream?.close();
    this.stream = stream;
    stream.onmessage = ({ data, lastEventId }) => {
      if (epoch !== this.epoch) return;
      if (lastEventId) this.last = lastEventId;
      const message = parse(data);
      if (message) this.receive(message);
    };
    stream.onerror = () => {
      if (epoch !== this.epoch) return;
      stream.close();
      this.cut();
    };
  }

  receive(message) {
    switch (message.type) {
      case "connected":
        this.attempts = 0;
        return message.resumed ? this.resume() : this.enter(message);
      case "taken":
        this.last = null;
        this.stream.close();
        return this.again("full");
      case "heartbeat":
        return void this.post(message).catch(() => {});
      default:
        if (typeof message.type === "string") this.tell("message", message);
    }
  }

  enter({ id, iceServers }) {
    this.clientId = id;
    this.iceServers = iceServers ?? [];
    this.waiting = [];
    this.tell("joined", { initiator: false });
    this.present = true;
    this.resume(false);
    this.tell("presence", true);
  }

  resume(again = true) {
    this.open = true;
    this.tell("open");
    this.pump();
    // What was posted last may not have arrived.
    if (again) this.tell("back");
  }

  /** The stream was cut, or did not open. */
  cut() {
    if (this.open) {
      this.open = false;
      this.tell("closed");
    }
    if (!this.last || this.attempts >= BACK.length) return this.again("offline");
    this.timer = setTimeout(() => this.join(), BACK[this.attempts++]);
  }

  /** Counts down to the next attempt. */
  again(why) {
    const wait = WAITS[Math.min(this.attempts++, WAITS.length - 1)];
    const epoch = this.epoch;
    const count = (seconds) => {
      if (epoch !== this.epoch) return;
      if (seconds <= 0) return this.join();
      this.tell(why, { seconds });
      this.timer = setTimeout(count, 1000, seconds - 1);
    };
    count(wait);
  }

  /** Makes the stream anew at once, whatever it looks like. */
  renew() {
    this.attempts = 0;
    if (this.open) {
      this.open = false;
      this.tell("closed");
    }
    this.join();
  }

  /** Posts a message, or keeps it until the stream is back. */
  send(message) {
    if (this.waiting.length < MOST_WAITING) this.waiting.push(message);
    this.pump();
  }

  /** Posts one after the other: their order matters. */
  async pump() {
    if (this.posting) return;
    this.posting = true;
    while (this.open && this.waiting.length > 0) {
      const { waiting } = this;
      let taken = false;
      try {
        const { status } = await this.post(waiting[0]);
        // Too many at once come later; what is refused will always be.
        taken = status !== 429;
      } catch {
        // The network is away.
      }
      if (taken) waiting.shift();
      else await new Promise((go) => setTimeout(go, BUSY));
    }
    this.posting = false;
  }

  post(message) {
    return fetch(this.place(), { method: "POST", body: JSON.stringify(message) });
  }

  place() {
    return `/webrtc/signal/post?id=${this.clientId}`;
  }

  /** Says what waits and bye, and listens again. */
  async rejoin() {
    const epoch = ++this.epoch;
    clearTimeout(this.timer);
    const place = this.clientId && this.place();
    const words = this.waiting.map((message) => JSON.stringify(message));
    this.drop();
    try {
      for (const body of place ? [...words, BYE] : []) await fetch(place, { method: "POST", body });
    } catch {
      // The device is away; it gives the place up by itself.
    }
    if (epoch === this.epoch) this.join();
  }

  /** Leaves for good, while the page is being unloaded. */
  leave() {
    this.epoch++;
    clearTimeout(this.timer);
    if (this.clientId) navigator.sendBeacon(this.place(), BYE);
    this.drop();
  }

  drop() {
    this.clientId = null;
    this.last = null;
    this.present = false;
    this.open = false;
    this.waiting = [];
    this.stream?.close();
    this.stream = null;
  }
}

function parse(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}
