// Files over the data channel "file": a header, the bytes, and the receiver's word that it has them all.

const CHUNK = 64 * 1024;
const HIGH = 1024 * 1024;
const MOST = 256 * 1024 * 1024;

/** Sends and receives files over whatever channel is open now. `show(transfer)` is called on each change. */
export class Files {
  constructor(show) {
    this.show = show;
    this.transfers = [];
    this.queue = [];
    this.channel = null;
    this.answers = null;
    this.sending = null;
    this.receiving = null;
    this.most = CHUNK;
  }

  /** A new channel takes the place of the old one. */
  use(channel, mostMessage) {
    this.lose();
    this.channel = channel;
    this.most = Math.max(1, Math.min(CHUNK, mostMessage || CHUNK));
    channel.bufferedAmountLowThreshold = HIGH / 4;
    this.pump();
  }

  /** The channel is gone: what was on its way is lost, what waits goes on waiting. */
  lose() {
    this.channel = null;
    for (const transfer of [this.sending, this.receiving]) {
      if (transfer) this.finish(transfer, "the connection ended");
    }
  }

  add(file) {
    const transfer = { name: file.name, size: file.size, mime: file.type, direction: "out", moved: 0, confirmed: 0, done: false, error: null, file };
    this.note(transfer);
    this.queue.push(transfer);
    this.pump();
  }

  note(transfer) {
    this.transfers.push(transfer);
    if (this.transfers.length > 100) this.transfers.shift();
    this.show(transfer);
  }

  finish(transfer, error = null) {
    transfer.done = !error;
    transfer.error = error;
    transfer.file = null;
    if (transfer === this.sending) this.sending = null;
    if (transfer === this.receiving) this.receiving = null;
    this.show(transfer);
  }

  pump() {
    if (this.sending || this.channel?.readyState !== "open") return;
    const transfer = this.queue.shift();
    if (!transfer) return;
    this.sending = transfer;
    this.send(transfer, this.channel)
      .catch((error) => {
        if (this.sending !== transfer) return;
        this.say({ type: "cancel" });
        this.finish(transfer, error.message);
      })
      .finally(() => this.pump());
  }

  /** Speaks as the sender, or answers on the channel by which a file comes. */
  say(object, channel = this.channel) {
    if (channel?.readyState === "open") channel.send(JSON.stringify(object));
  }

  answer(object) {
    this.say(object, this.answers);
  }

  async send(transfer, channel) {
    const { file, name, size, mime } = transfer;
    this.say({ type: "file", name, size, mime });
    for (let at = 0; at < size; at += this.most) {
      if (channel.bufferedAmount > HIGH) await drained(channel);
      const bytes = await file.slice(at, at + this.most).arrayBuffer();
      if (this.sending !== transfer) return;
      channel.send(bytes);
      transfer.moved = at + bytes.byteLength;
      this.show(transfer);
    }
  }

  take(data, channel) {
    this.answers = channel;
    if (typeof data !== "string") return this.takeBytes(data);
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    switch (message?.type) {
      case "file":
        return this.takeHeader(message);
      case "progress":
        return this.takeProgress(message);
      case "done":
      case "refused":
        return this.takeEnd(message);
      case "cancel":
        if (this.receiving) this.finish(this.receiving, "the sender gave up");
    }
  }

  takeProgress({ received }) {
    if (!this.sending || !Number.isFinite(received)) return;
    this.sending.confirmed = received;
    this.show(this.sending);
  }

  takeEnd({ type, received, reason }) {
    const transfer = this.sending;
    if (!transfer) return;
    const whole = type === "done" && received === transfer.size;
    if (whole) transfer.confirmed = received;
    const error = type === "done" ? "it did not arrive whole" : `refused: ${String(reason ?? "no reason").slice(0, 200)}`;
    this.finish(transfer, whole ? null : error);
    this.pump();
  }

  takeHeader({ name, size, mime }) {
    if (this.receiving) this.finish(this.receiving, "the sender began another");
    const transfer = { name: String(name).slice(0, 255), size, mime: String(mime ?? ""), direction: "in", moved: 0, done: false, error: null, parts: [] };
    const wrong = !Number.isSafeInteger(size) || size < 0 ? "its size is wrong" : size > MOST ? "it is over 256 MiB" : null;
    if (wrong) {
      transfer.size = 0;
      this.note(transfer);
      this.answer({ type: "refused", reason: wrong });
      return this.finish(transfer, wrong);
    }
    this.receiving = transfer;
    this.note(transfer);
    this.close(transfer);
  }

  takeBytes(bytes) {
    const transfer = this.receiving;
    if (!transfer) return;
    if (transfer.moved + bytes.byteLength > transfer.size) {
      this.answer({ type: "refused", reason: "more bytes than announced" });
      return this.finish(transfer, "more bytes than announced");
    }
    transfer.parts.push(bytes);
    const before = transfer.moved;
    transfer.moved += bytes.byteLength;
    if (Math.floor(before / HIGH) !== Math.floor(transfer.moved / HIGH)) {
      this.answer({ type: "progress", received: transfer.moved });
    }
    this.show(transfer);
    this.close(transfer);
  }

  close(transfer) {
    if (transfer.moved !== transfer.size) return;
    // Never a type that a browser would run when the link is opened.
    transfer.url = URL.createObjectURL(new Blob(transfer.parts, { type: "application/octet-stream" }));
    transfer.parts = null;
    this.answer({ type: "done", received: transfer.size });
    this.finish(transfer);
  }
}

function drained(channel) {
  return new Promise((resolve, reject) => {
    const stop = new AbortController();
    const { signal } = stop;
    const end = (settle) => () => {
      stop.abort();
      settle();
    };
    channel.addEventListener("bufferedamountlow", end(resolve), { signal });
    channel.addEventListener("close", end(() => reject(new Error("the connection ended"))), { signal });
  });
}
