import { backoff, reconnectAfter } from "../../../sdk/base/backoff.js";
import { newId } from "../../../sdk/base/id.js";

// A browser opens 255 websockets to a host, all tabs together: more users than this share sockets.
export const MOST_SOCKETS = 200;
const POLICY_VIOLATION = 1008;
const TIMES = { tick: 50, connectWithin: 10_000, finishWithin: 10_000 };
// So many handshakes at a time; events due by the clock, but never more than this much at once:
// a tab in the background, whose timers sleep, must not wake up with a burst.
const OPENING = 10;
const LONGEST_TICK_S = 0.2;
// With this much not yet answered nothing more is sent: the server is slower than the rate.
const WAITING_S = 2;

/**
 * Users that are not there: `users` of them on real websockets to `/v1/live`, who together send
 * `rate` events a second for `seconds`. `event()` makes an event; each gets an id and its user's
 * session. What became of it all is in `state`; `changed()` is called when it changes.
 */
export class Crowd {
  state = { phase: "idle" };
  #url;
  #key;
  #event;
  #changed;
  #WebSocket;
  #random;
  #times;
  #plan;
  #sockets = [];
  #lastRef = 0;
  #due = 0;
  #tickedAt = 0;
  #startedAt = 0;
  #pausedUntil = 0;
  #timer = null;

  constructor({
    url,
    key,
    event,
    changed = () => {},
    WebSocket = globalThis.WebSocket,
    random = Math.random,
    times = {},
  }) {
    this.#url = url;
    this.#key = key;
    this.#event = event;
    this.#changed = changed;
    this.#WebSocket = WebSocket;
    this.#random = random;
    this.#times = { ...TIMES, ...times };
  }

  start({ users, rate, seconds }) {
    const sockets = Math.min(users, MOST_SOCKETS);
    const sent = { sent: 0, counted: 0, rejected: 0, lost: 0, waiting: 0 };
    this.#plan = { users, rate, seconds };
    this.#sockets = Array.from({ length: sockets }, (_, i) => new Seat(i));
    this.state = { phase: "opening", users, sockets, open: 0, ...sent, done: 0, message: "" };
    this.#due = this.#pausedUntil = 0;
    this.#tickedAt = performance.now();
    this.#timer = setInterval(() => this.#tick(), this.#times.tick);
    this.#tick();
  }

  /** Sends no more. What is in flight is still waited for, unless it is a matter of haste. */
  stop({ atOnce = false } = {}) {
    const { phase } = this.state;
    if (phase === "idle" || phase === "done") return;
    if (atOnce || this.state.waiting === 0) return this.#end();
    this.state.phase = "finishing";
    this.#startedAt = performance.now();
    this.#changed();
  }

  #tick() {
    const now = performance.now();
    const elapsed = Math.min((now - this.#tickedAt) / 1_000, LONGEST_TICK_S);
    this.#tickedAt = now;
    const { state } = this;
    if (state.phase === "opening" || state.phase === "running") this.#openSome(now);
    if (state.phase === "opening" && state.open === state.sockets) this.#run(now);
    if (state.phase === "running") this.#send(now, elapsed);
    if (state.phase === "finishing") this.#finish(now);
    this.#changed();
  }

  #run(now) {
    this.state.phase = "running";
    this.#startedAt = now;
  }

  #finish(now) {
    if (this.state.waiting === 0 || now - this.#startedAt > this.#times.finishWithin) this.#end();
  }

  #end() {
    clearInterval(this.#timer);
    for (const seat of this.#sockets) this.#leave(seat);
    this.state.lost += this.state.waiting;
    this.state.waiting = 0;
    this.state.open = 0;
    this.state.phase = "done";
    this.#changed();
  }

  // --- Sockets

  #openSome(now) {
    const opening = this.#sockets.filter(({ socket, ready }) => socket && !ready).length;
    const due = this.#sockets.filter(({ socket, openAt }) => !socket && openAt <= now);
    for (const seat of due.slice(0, Math.max(0, OPENING - opening))) this.#open(seat);
    for (const seat of this.#sockets) if (now > seat.giveUpAt) this.#closed(seat, {});
  }

  #open(seat) {
    const socket = (seat.socket = new this.#WebSocket(this.#url));
    seat.giveUpAt = performance.now() + this.#times.connectWithin;
    const ours = (react) => (event) => seat.socket === socket && react(event);
    socket.onopen = ours(() => socket.send(JSON.stringify({ type: "auth", key: this.#key })));
    socket.onmessage = ours(({ data }) => this.#receive(seat, JSON.parse(data)));
    socket.onclose = ours((event) => this.#closed(seat, event));
  }

  #leave(seat) {
    const { socket } = seat;
    seat.socket = null;
    socket?.close();
  }

  #closed(seat, { code, reason }) {
    const { state } = this;
    this.#leave(seat);
    if (seat.ready) state.open -= 1;
    for (const n of seat.waiting.values()) {
      state.waiting -= n;
      state.lost += n;
    }
    seat.waiting.clear();
    seat.ready = false;
    seat.giveUpAt = Infinity;
    if (code === POLICY_VIOLATION) return this.#fail(reason);
    const wait = reconnectAfter(reason) + backoff(seat.attempt, { random: this.#random });
    seat.attempt += 1;
    seat.openAt = performance.now() + wait;
  }

  #fail(message) {
    this.state.message = message || "The key was refused.";
    this.#end();
  }

  // --- Events

  #send(now, elapsed) {
    const { rate, seconds } = this.#plan;
    const { state } = this;
    state.done = Math.min(1, (now - this.#startedAt) / 1_000 / seconds);
    if (state.done === 1) return this.stop();
    if (now < this.#pausedUntil) return;
    const left = Math.round(rate * seconds) - state.sent;
    const room = Math.min(left, Math.max(1, rate * WAITING_S) - state.waiting);
    this.#due = Math.min(this.#due + rate * elapsed, Math.max(1, rate * LONGEST_TICK_S));
    const ready = this.#sockets.filter((seat) => seat.ready);
    const n = ready.length === 0 ? 0 : Math.min(Math.floor(this.#due), room);
    for (let i = 0; i < n; i++) this.#sendOne(ready[Math.floor(this.#random() * ready.length)]);
    this.#due -= Math.max(0, n);
  }

  #sendOne(seat) {
    const { users, sockets } = this.state;
    const shared = Math.ceil((users - seat.number) / sockets);
    const user = seat.number + sockets * Math.floor(this.#random() * shared);
    const event = { id: newId(), session: `simulated-${user + 1}`, ...this.#event() };
    const ref = ++this.#lastRef;
    seat.waiting.set(ref, 1);
    this.state.waiting += 1;
    this.state.sent += 1;
    seat.socket.send(JSON.stringify({ type: "track", ref, events: [event] }));
  }

  #receive(seat, message) {
    if (message.type === "ready") return this.#ready(seat);
    if (message.type !== "ack" && message.type !== "error") return;
    if (message.retry_after_s) this.#pausedUntil = performance.now() + message.retry_after_s * 1_000;
    if (message.type === "error" && message.code === "wrong_role") return this.#fail(message.message);
    if (!seat.waiting.delete(message.ref)) return;
    this.state.waiting -= 1;
    if (message.type === "ack" && message.accepted === 1) this.state.counted += 1;
    else this.#reject(message);
  }

  #reject({ message, rejected }) {
    this.state.rejected += 1;
    this.state.message = message ?? rejected?.[0]?.error.message ?? "";
  }

  #ready(seat) {
    seat.ready = true;
    seat.attempt = 0;
    seat.giveUpAt = Infinity;
    this.state.open += 1;
  }
}

/** One websocket, and what it was asked to store and has not answered: ref -> events. */
class Seat {
  socket = null;
  ready = false;
  attempt = 0;
  openAt = 0;
  giveUpAt = Infinity;
  waiting = new Map();

  constructor(number) {
    this.number = number;
  }
}
