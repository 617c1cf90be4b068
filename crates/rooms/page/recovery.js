// A connection that has fallen silent: ICE is restarted, from there or from here, until it works again.
//
// 1. The side that controls ICE offers a restart soon; the other side only if none comes.
// 2. An offer that is not answered is sent again, since the link that carried it often dies of the same cause.
//    From time to time that link is made anew, too: a dead one may look alive for long.
// 3. While the room server is away, or the other side has left the room, nobody would hear: the search rests.
// 4. After a minute the connection is given up.

const TURN = 500;
const LIMIT = 60_000;
const PATIENCE = { controlling: 3_000, controlled: 8_000 }; // Until the first offer from here.
const REPEAT = 5_000; // Until an offer without an answer is sent again.
const BRIEF = 500; // The same when those who were away are back.
const SEARCH = 12_000; // What a restart may take until the next one.

export class Recovery {
  /** `changed` is called when there is something new to show, `lost` when the connection is to be given up. */
  constructor({ call, signaling, changed, lost }) {
    Object.assign(this, { call, signaling, changed, lost });
    this.since = null; // When the trouble began; null without any.
    this.offered = -Infinity; // When an offer was sent last.
    this.repeats = 0;
    this.timer = null;
  }

  /** Whether there is trouble. */
  get active() {
    return this.since !== null;
  }

  /** Whether the trouble has lasted for so many milliseconds. */
  lasts(time) {
    return this.active && performance.now() - this.since >= time;
  }

  /** The connection is silent or has failed. */
  begin() {
    if (this.active) return;
    this.since = performance.now();
    this.repeats = 0;
    this.timer = setInterval(() => this.turn(), TURN);
    this.changed();
  }

  /** The connection works, or is not wanted any more. */
  end() {
    clearInterval(this.timer);
    if (!this.active) return;
    this.since = null;
    this.changed();
  }

  /** Those who were away are back: what was said meanwhile is lost. */
  hurry() {
    if (this.active) this.turn(true);
  }

  turn(hurried = false) {
    const now = performance.now();
    if (now - this.since >= LIMIT) {
      this.end();
      return this.lost();
    }
    this.changed();
    if (!this.signaling.open || !this.signaling.present) return;
    const { signalingState } = this.call.pc;
    if (signalingState === "have-local-offer") this.repeat(now, hurried);
    else if (signalingState === "stable") this.restart(now);
  }

  repeat(now, hurried) {
    if (now - this.offered < (hurried ? BRIEF : REPEAT)) return;
    this.offered = now;
    if (hurried || ++this.repeats % 2 === 1) return void this.call.repeat();
    this.signaling.renew();
    this.offered = now - REPEAT + BRIEF;
  }

  restart(now) {
    const patience = this.call.controlling ? PATIENCE.controlling : PATIENCE.controlled;
    // What was agreed on since then gets its time.
    const waits = this.call.agreedAt > this.since ? this.call.agreedAt + SEARCH : this.since + patience;
    if (now < waits) return;
    this.offered = now;
    this.call.restart();
  }
}
