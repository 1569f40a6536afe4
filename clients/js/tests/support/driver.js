// The JavaScript client as a conversation tells it (tests/conversations): commands come on stdin, what the application sees goes to stdout.
// Run by: node --experimental-websocket

import { createInterface } from "node:readline";
import { Whimbrel } from "../../src/index.js";
import "../../src/transports/fallback.js"; // at hand: a clock that is held must not outrun the disk

/**
 * @import { Position } from "../../src/protocol.gen.js"
 * @import { Subscription } from "../../src/subscription.js"
 *
 * @typedef {{channel: string, position?: Position, last?: number, paused?: boolean}} Following
 */

const TURNS = 10; // of the loop, for what the network has brought, before the clock moves on

const turns = async () => {
  for (let turn = 0; turn < TURNS; turn++) await new Promise(setImmediate);
};

/** A clock that moves only when it is told to. */
class HeldClock {
  #now = 1_000_000;
  #id = 0;
  /** @type {Map<number, {due: number, call: () => void}>} */
  #timers = new Map();

  now = () => this.#now;

  /** @param {() => void} call @param {number} ms */
  setTimeout = (call, ms) => {
    const id = ++this.#id;
    this.#timers.set(id, { due: this.#now + Math.max(0, ms), call });
    if (ms <= 0) setImmediate(() => this.#ring(id));
    return id;
  };

  /** @param {number} id */
  clearTimeout = (id) => void this.#timers.delete(id);

  /** @param {number} id */
  #ring(id) {
    const timer = this.#timers.get(id);
    this.#timers.delete(id);
    timer?.call();
  }

  /** @param {number} ms */
  async advance(ms) {
    const until = this.#now + ms;
    for (;;) {
      await turns();
      const [next] = [...this.#timers].sort(([, one], [, other]) => one.due - other.due);
      if (!next || next[1].due > until) break;
      this.#now = Math.max(this.#now, next[1].due);
      this.#ring(next[0]);
    }
    this.#now = until;
  }
}

/** @param {string} event @param {object} [fields] */
const tell = (event, fields) => void process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);

const clock = new HeldClock();

class Conversation {
  /** @type {Map<string, Subscription>} */
  #subscriptions = new Map();
  /** @type {Map<string, () => void>} */
  #gates = new Map();

  /** @param {{url: string, transport: any, tokens: (string | null)[], subscribe: Following[]}} options */
  constructor({ url, transport, tokens, subscribe }) {
    const { now, setTimeout, clearTimeout } = clock;
    const token = () => (tokens.length > 1 ? tokens.shift() : tokens[0]) ?? null;
    this.client = new Whimbrel(url, { token, transport, host: { now, setTimeout, clearTimeout, random: () => 0.5 } });
    this.client.on("state", ({ state, code }) => tell("state", { state, code }));
    this.client.on("transport", (to) => this.client.state === "connected" && tell("transport", { transport: to }));
    this.client.on("acked", (acked) => tell("acked", acked));
    for (const each of subscribe) this.subscribe(each);
  }

  /** @param {Following} following */
  subscribe({ channel, paused, ...options }) {
    const subscription = this.client.subscribe(channel, {
      ...options,
      ...(!paused && { publication: ({ data, offset }) => tell("publication", { channel, data, offset }) }),
      reset: () => tell("reset", { channel }),
      state: ({ state, error }) => ["refused", "unsubscribed"].includes(state) && error && tell(state, { channel, code: error.code }),
    });
    for (const kind of /** @type {const} */ (["join", "leave"])) subscription.on(kind, ({ user }) => tell(kind, { channel, user }));
    if (paused) this.#read(subscription);
    this.#subscriptions.set(channel, subscription);
  }

  /** @param {Subscription} subscription */
  async #read(subscription) {
    const { channel } = subscription;
    const opened = new Promise((resolve) => this.#gates.set(channel, () => resolve(undefined)));
    for await (const { data, offset } of subscription) {
      await opened;
      tell("publication", { channel, data, offset });
    }
  }

  /** @param {Record<string, any>} command @returns {Promise<object>} */
  async #ask({ do: what, channel, event, data = null, key, expires_s, offset, ...range }) {
    const { client } = this;
    if (what === "publish") {
      const at = await client.publish(channel, event, data, { ...(key && { key }), ...(expires_s && { expiryMs: expires_s * 1000 }) });
      return at === null ? {} : { offset: at };
    }
    if (what === "ack") return client.ack(channel, offset).then(() => ({ offset }));
    if (what === "history") return { publications: (await client.history(channel, range)).publications.map((each) => each.data) };
    return { users: await client.presence(channel) };
  }

  /** @param {Record<string, any>} command */
  async do(command) {
    const { do: what, channel } = command;
    switch (what) {
      case "subscribe":
        return this.subscribe(/** @type {Following} */ (command));
      case "unsubscribe":
        return this.#subscriptions.get(channel)?.unsubscribe();
      case "resume":
        return this.#gates.get(channel)?.();
      case "positions":
        return tell("positions", { positions: this.client.positions });
      case "stop":
        return this.client.close();
      case "end":
        this.client.close();
        await turns();
        return tell("ended");
      default:
        return this.#ask(command).then(
          (answer) => tell("answer", { to: what, ...answer }),
          (error) => tell("failed", { to: what, slug: error.slug }),
        );
    }
  }
}

/** @type {Conversation | null} */
let conversation = null;
for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  if (command.do === "start") {
    conversation = new Conversation(command);
    tell("ready");
  } else if (command.do === "advance") {
    await clock.advance(command.seconds * 1000);
    tell("advanced");
  } else void conversation?.do(command);
}
