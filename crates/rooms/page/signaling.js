// The client of the room server: joins, registers, and is there until it leaves.
//
// Events (CustomEvent.detail): joined {initiator, iceServers}, full {seconds}, offline {seconds}, open, closed,
// message (a message of the other client), presence (boolean), back (one of the two has registered again: what was said
// meanwhile may be lost).

const WAITS = [1, 2, 3, 5, 5, 8];
const MOST_WAITING = 256;

export class Signaling extends EventTarget {
  constructor(room) {
    super();
    this.room = room;
    this.clientId = null;
    this.initiator = false;
    this.present = false;
    this.open = false;
    this.iceServers = [];
    this.socket = null;
    this.params = null;
    this.waiting = [];
    this.registered = false; // Under this name.
    this.toldOfUs = false; // Whether presence was told since then.
    this.unread = []; // What came with the answer to the join, until the socket is open.
    this.attempts = 0;
    this.epoch = 0; // A step that belongs to an earlier epoch has no effect.
    this.timer = null;
    // A network that is back is no news to a link that died with it.
    addEventListener("online", () => this.renew());
  }

  tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }

  /** Joins the room, and goes on trying until it is in. */
  async join() {
    const epoch = ++this.epoch;
    clearTimeout(this.timer);
    try {
      const response = await fetch(`/join/${this.room}`, { method: "POST" });
      const answer = await response.json();
      if (epoch !== this.epoch) {
        if (answer.result === "SUCCESS") leaveBy(this.room, answer.params.client_id);
        return;
      }
      if (answer.result === "FULL") return this.again("full");
      if (answer.result !== "SUCCESS") return this.again("offline");
      this.attempts = 0;
      this.enter(answer.params);
    } catch {
      if (epoch === this.epoch) this.again("offline");
    }
  }

  enter(params) {
    this.params = params;
    this.clientId = params.client_id;
    this.initiator = params.is_initiator === "true";
    try {
      this.iceServers = JSON.parse(params.pc_config).iceServers ?? [];
    } catch {
      this.iceServers = [];
    }
    this.waiting = [];
    this.present = false;
    this.unread = params.messages ?? [];
    this.registered = false;
    this.tell("joined", { initiator: this.initiator });
    this.connect();
  }

  /** Counts down to the next attempt. */
  again(why) {
    const wait = WAITS[Math.min(this.attempts++, WAITS.length - 1)];
    const epoch = this.epoch;
    const count = (seconds) => {
      if (epoch !== this.epoch) return;
      if (seconds <= 0) return void this.join();
      this.tell(why, { seconds });
      this.timer = setTimeout(count, 1000, seconds - 1);
    };
    count(wait);
  }

  connect() {
    const epoch = this.epoch;
    const socket = new WebSocket(this.params.wss_url);
    this.socket = socket;
    let refused = false;
    socket.onopen = () => {
      if (socket !== this.socket || epoch !== this.epoch) return socket.close();
      const who = { cmd: "register", roomid: this.room, clientid: this.clientId, presence: true };
      socket.send(JSON.stringify(who));
      const again = this.registered;
      this.registered = true;
      this.toldOfUs = false;
      this.open = true;
      this.tell("open");
      for (const text of this.unread.splice(0)) this.receive(text);
      for (const text of this.waiting.splice(0)) this.put(text);
      if (again) this.tell("back");
    };
    socket.onmessage = ({ data }) => {
      if (epoch !== this.epoch) return;
      const parcel = parse(data);
      if (!parcel) return;
      this.attempts = 0;
      if (typeof parcel.present === "boolean") {
        // The first one after our own registration follows from that.
        const again = this.present && parcel.present && this.toldOfUs;
        this.toldOfUs = true;
        this.present = parcel.present;
        this.tell("presence", parcel.present);
        if (again) this.tell("back");
      } else if (parcel.error) {
        refused ||= /join first/.test(parcel.error);
      } else if (typeof parcel.msg === "string") {
        this.receive(parcel.msg);
      } else if (parcel.type) {
        this.receive(data);
      }
    };
    socket.onclose = () => {
      if (socket !== this.socket || epoch !== this.epoch) return;
      this.open = false;
      this.tell("closed");
      this.reconnect(refused);
    };
  }

  /** Registers again under the same name; where that is not known any more, joins anew. */
  reconnect(refused) {
    const epoch = this.epoch;
    if (refused || this.attempts > 2) return void this.again("offline");
    const wait = [200, 1000, 2000][this.attempts++];
    this.timer = setTimeout(() => {
      if (epoch === this.epoch) this.connect();
    }, wait);
  }

  /** Makes the link anew at once, whatever it looks like. */
  renew() {
    if (!this.clientId) return void this.join();
    this.epoch++;
    clearTimeout(this.timer);
    this.attempts = 0;
    const old = this.socket;
    if (this.open) {
      this.open = false;
      this.tell("closed");
    }
    this.connect();
    old?.close();
  }

  receive(text) {
    const message = parse(text);
    if (!message || typeof message.type !== "string") return;
    if (message.type === "bye") this.initiator = true;
    this.tell("message", message);
  }

  /** Sends a message to the other client, or keeps it until the socket is back. */
  send(message) {
    const text = JSON.stringify(message);
    if (this.open) this.put(text);
    else if (this.waiting.length < MOST_WAITING) this.waiting.push(text);
  }

  put(text) {
    this.socket.send(JSON.stringify({ cmd: "send", msg: text }));
  }

  /** Says bye, leaves, and joins again: the server then knows who is the initiator. */
  async rejoin() {
    if (this.open) this.put('{"type":"bye"}');
    const epoch = ++this.epoch;
    clearTimeout(this.timer);
    const id = this.clientId;
    this.drop();
    if (id) {
      try {
        await fetch(`/leave/${this.room}/${id}`, { method: "POST" });
      } catch {
        // The server is away; it will know when the name expires.
      }
    }
    if (epoch === this.epoch) await this.join();
  }

  /** Leaves for good, while the page is being unloaded. */
  leave() {
    this.epoch++;
    clearTimeout(this.timer);
    if (this.clientId) leaveBy(this.room, this.clientId);
    this.drop();
  }

  drop() {
    this.clientId = null;
    this.present = false;
    this.open = false;
    this.waiting = [];
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }
}

function leaveBy(room, id) {
  navigator.sendBeacon(`/leave/${room}/${id}`);
}

function parse(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" ? value : null;
  } catch {
    return null;
  }
}
