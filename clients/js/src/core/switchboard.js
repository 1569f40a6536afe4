// The edge's side of a conversation with each tab of a browser, played by the tab that holds the one connection, the trunk, for all.
//
// The tabs' frames go in; what to tell them and what the trunk is to do come out. A tab keeps the rule of exactly once by itself, so it is
// told the same as by an edge: each publication with its `prev`, which here is the offset that was told before it.

import * as LIMITS from "../limits.gen.js";
import { INBOX } from "../protocol.gen.js";
import { ABNORMAL } from "./codes.js";

/**
 * @import { Position } from "../protocol.gen.js"
 * @import { ChannelState, Effect, Reason } from "./effects.js"
 * @import { Session } from "./session.js"
 *
 * @typedef {{type: string} & Record<string, any>} Frame
 * @typedef {{type: "tell", to: string | null, frames: Frame[]}} Tell one tab, or all of them
 * @typedef {{tab: string, id: number | null, position: Position | null, last: number}} Asked
 *
 * @typedef {object} Line one channel of the trunk
 * @property {boolean} open
 * @property {string | null} epoch null: it has no positions
 * @property {number} begin the user's read mark, in the inbox
 * @property {number} head offset of what was told last
 * @property {Frame[]} told the most recent publications, oldest first
 * @property {Asked[]} waiting
 */

const KEPT = LIMITS.HISTORY_LIMIT; // publications per channel, for tabs that come over from another leader or begin at a position
const ASKED_FOR_MS = 600_000; // the tab that asks gives up before: it knows how long it wants to wait
const SLACK_S = 10; // over the trunk's own heartbeat
const SOON_MS = 250; // when a tab asks again, where the trunk cannot say

export class Switchboard {
  /** @type {Map<string, {channels: Set<string>, connectId: number}>} `connectId` of a `connect` that waits for the trunk, else 0 */
  #tabs = new Map();
  /** @type {Map<string, Line>} */
  #lines = new Map();
  /** @type {Map<number, (reply: Frame) => void>} by the trunk's request */
  #replies = new Map();
  /** @type {(Effect | Tell)[]} */
  #out = [];
  #now = 0;
  #trunk;

  /** @param {Session} trunk */
  constructor(trunk) {
    this.#trunk = trunk;
  }

  /** A tab says something. @param {string} tab @param {readonly Frame[]} frames @param {number} now */
  receive(tab, frames, now) {
    this.#now = now;
    for (const frame of frames) this.#on(tab, frame);
    return this.#take();
  }

  /** A tab is closed. @param {string} tab */
  gone(tab) {
    const channels = this.#tabs.get(tab)?.channels ?? [];
    this.#tabs.delete(tab);
    for (const name of channels) this.#release(name);
    return this.#take();
  }

  /** The trunk tells something. @param {Effect} effect @param {number} now */
  hear(effect, now) {
    this.#now = now;
    switch (effect.type) {
      case "publication":
        this.#publish({ type: "publication", ...effect.publication }, effect.recovered);
        break;
      case "channel":
        if (effect.state === "subscribed") this.#opened(effect.channel, effect.position);
        else if (effect.error) this.#closed(effect.channel, effect.state, effect.error);
        break;
      case "reset":
        this.#reset(effect.channel);
        break;
      case "acked":
        this.#read(effect.channel, effect.offset);
        this.#tell(null, effect);
        break;
      case "join":
      case "leave":
        this.#tell(null, effect);
        break;
      case "beat":
        this.#tell(null, { type: "ping" }, { type: "resume", grant: this.#trunk.credentials.resume });
        break;
      case "transport":
        this.#tell(null, { type: "carrier", transport: effect.transport });
        break;
      case "settle":
        this.#reply(effect.id, effect.ok);
        break;
      case "fail":
        this.#reply(effect.id, { type: "error", ...effect.error });
        break;
      case "state":
        if (effect.state === "connected") {
          for (const [tab, { connectId }] of this.#tabs) if (connectId > 0) this.#welcome(tab, connectId);
          this.#tell(null, { type: "up" });
        }
        if (effect.state === "disconnected") {
          this.#trunk.forget(); // a tab sends again what it still wants, and knows what has expired
          this.#replies.clear();
          this.#tell(null, this.#down(effect.code, effect.reason, effect.retryMs ?? 0));
        }
        break;
    }
    return this.#take();
  }

  // --- what the tabs say

  /** @param {string} tab @param {Frame} frame */
  #on(tab, { type, id = 0, ...fields }) {
    if (type === "connect") return this.#connect(tab, id, fields["channels"]);
    const known = this.#tabs.get(tab);
    if (!known) return this.#tell(tab, this.#down(ABNORMAL, "the leading tab does not know this one", 0));
    const name = fields["channel"];
    switch (type) {
      case "subscribe":
        known.channels.add(name);
        return this.#subscribe(name, { tab, id, position: fields["position"] ?? null, last: fields["last"] ?? 0 });
      case "unsubscribe":
        known.channels.delete(name);
        return this.#release(name);
      case "ping":
        this.#out.push(...this.#trunk.wake(this.#now));
        return this.#tell(tab, { type: "pong" });
      case "ack":
        this.#read(name, fields["offset"]);
        return this.#ask({ type, ...fields }, (reply) => this.#tell(tab, { ...reply, id }));
      case "publish":
      case "history":
      case "inbox":
      case "presence":
        if (this.#trunk.state !== "connected") return; // the tab is about to hear so, and asks again
        return this.#ask({ type, ...fields }, (reply) => this.#tell(tab, { ...reply, id }), ASKED_FOR_MS);
    }
  }

  /** @param {string} tab @param {number} id @param {Record<string, Position | null>} asked */
  #connect(tab, id, asked) {
    this.#tabs.set(tab, { channels: new Set(Object.keys(asked)), connectId: id });
    const trunk = this.#trunk;
    this.#out.push(...trunk.tick(this.#now)); // a tab in view keeps time better than one that is not
    if (trunk.state === "connected") this.#welcome(tab, id);
    for (const [name, position] of Object.entries(asked)) this.#subscribe(name, { tab, id: null, position, last: 0 });
    if (trunk.state === "connected") return;
    if (trunk.state === "disconnected" && trunk.deadline < Infinity) this.#tell(tab, this.#down(ABNORMAL, "the connection is away", trunk.deadline - this.#now));
  }

  /** Let a tab in; each channel that it follows is opened by a frame of its own. What the router opened it hears of here. @param {string} tab @param {number} id */
  #welcome(tab, id) {
    const known = this.#tabs.get(tab);
    if (!known) return;
    known.connectId = 0;
    const wanted = new Set([...this.#tabs.values()].flatMap(({ channels }) => [...channels]));
    const granted = [...this.#lines].filter(([name, { open }]) => open && !wanted.has(name));
    const channels = Object.fromEntries(granted.map(([name, { epoch, head }]) => [name, epoch === null ? {} : { epoch, offset: head }]));
    const { user, id: session, credentials, transport } = this.#trunk;
    const terms = { ping: LIMITS.PING_S + SLACK_S, pong: LIMITS.PONG_S, expires_in: 0 };
    this.#tell(tab, { type: "connected", id, user, session, resume: credentials.resume, channels, ...terms }, { type: "carrier", transport });
  }

  // --- channels

  /** @param {string} name @param {Position | null} [position] where the trunk begins, if it does not follow the channel yet @returns {Line} */
  #line(name, position = null) {
    const known = this.#lines.get(name);
    if (known) return known;
    /** @type {Line} */
    const line = { open: false, epoch: null, begin: 0, head: 0, told: [], waiting: [] };
    this.#lines.set(name, line);
    this.#out.push(...this.#trunk.subscribe(name, position ? { position } : {}));
    return line;
  }

  /** @param {string} name @param {Asked} asked */
  #subscribe(name, asked) {
    const line = this.#line(name, asked.position);
    if (line.open && this.#trunk.channels.state(name) === "subscribed") this.#answer(name, line, asked);
    else line.waiting.push(asked);
  }

  /**
   * Open a channel from where a tab is: by what was told of late, else by the history, else the tab must reload its state.
   *
   * @param {string} name
   * @param {Line} line
   * @param {Asked} asked
   */
  #answer(name, line, { tab, id, position, last }) {
    const { epoch, head, told } = line;
    /** @param {object} subscription */
    const answer = (subscription) => this.#tell(tab, { type: "subscribed", ...(id && { id }), channel: name, publications: [], ...subscription });
    if (epoch === null) return answer({});
    const at = position ?? (name === INBOX ? { epoch, offset: Math.min(line.begin, head) } : null);
    if (!at && !last) return answer({ epoch, offset: head });
    if (!at) return this.#history(name, { limit: last }, (found) => answer({ epoch, offset: found[0]?.["prev"] ?? line.head, publications: found }));
    const from = { epoch, offset: at.offset, ...(position && { recovered: true }) };
    if (at.epoch !== epoch) return answer({ epoch, offset: head, recovered: false });
    if (at.offset >= head) return answer(from);
    const [oldest] = told;
    if (oldest && oldest["prev"] <= at.offset) return answer({ ...from, publications: told.filter(({ offset }) => offset > at.offset) });
    this.#history(name, { after: at.offset, limit: LIMITS.HISTORY_LIMIT }, (found) => {
      const complete = found[0] && found[0]["prev"] <= at.offset && found.at(-1)?.["offset"] >= line.head;
      answer(complete ? { ...from, publications: found } : { epoch: line.epoch, offset: line.head, recovered: false });
    });
  }

  /** @param {string} name @param {Position | null} position */
  #opened(name, position) {
    const line = this.#lines.get(name) ?? { open: false, epoch: null, begin: 0, head: 0, told: [], waiting: [] };
    const first = !line.open;
    this.#lines.set(name, line);
    line.open = true;
    line.epoch = position?.epoch ?? null;
    if (first) line.begin = line.head = position?.offset ?? 0;
    const waiting = line.waiting.splice(0);
    for (const asked of waiting) this.#answer(name, line, asked);
    if (!first) return;
    for (const tab of this.#tabs.keys()) {
      if (!waiting.some((each) => each.tab === tab)) this.#tell(tab, { type: "subscribed", channel: name, publications: [], ...(position ?? {}) });
    }
  }

  /** @param {string} name @param {ChannelState} state @param {Reason} error */
  #closed(name, state, error) {
    const line = this.#lines.get(name);
    this.#lines.delete(name);
    this.#out.push(...this.#trunk.unsubscribe(name)); // whoever asks again is answered anew
    for (const { tab } of line?.waiting ?? []) this.#tell(tab, { type: "subscribed", channel: name, error });
    if (line?.open) this.#tell(null, state === "refused" ? { type: "subscribed", channel: name, error } : { type: "unsubscribed", channel: name, ...error, reason: error.message });
  }

  /** @param {string} name */
  #reset(name) {
    const line = this.#lines.get(name);
    const position = this.#trunk.channels.positions[name];
    if (!line || !position) return;
    Object.assign(line, { epoch: position.epoch, head: position.offset, begin: position.offset, told: [] });
    this.#tellFollowers(name, { type: "subscribed", channel: name, ...position, recovered: false, publications: [] });
  }

  /** @param {Frame} publication @param {boolean} recovered */
  #publish(publication, recovered) {
    const line = this.#lines.get(publication["channel"]);
    if (!line) return;
    const { offset = null } = publication;
    if (offset === null || line.epoch === null) return this.#tell(null, { ...publication, recovered });
    const frame = { ...publication, prev: line.head, recovered };
    line.head = offset;
    line.told = [...line.told.slice(1 - KEPT), frame];
    this.#tell(null, frame);
  }

  /** Everything up to `offset` was handled. @param {string} name @param {number} offset */
  #read(name, offset) {
    const line = this.#lines.get(name);
    if (line) line.begin = Math.max(line.begin, offset);
  }

  /** Nobody may follow a channel any more. @param {string} name */
  #release(name) {
    if (name === INBOX || [...this.#tabs.values()].some(({ channels }) => channels.has(name))) return;
    if (this.#lines.delete(name)) this.#out.push(...this.#trunk.unsubscribe(name));
  }

  // --- requests

  /** @param {string} name @param {object} range @param {(found: Frame[]) => void} use what was told already; none where it cannot be read */
  #history(name, range, use) {
    this.#ask({ type: "history", channel: name, ...range }, (reply) => {
      const head = this.#lines.get(name)?.head ?? 0;
      use(/** @type {Frame[]} */ (reply["publications"] ?? []).filter(({ offset }) => offset <= head));
    });
  }

  /** @param {Frame} frame @param {(reply: Frame) => void} use @param {number} [timeoutMs] */
  #ask(frame, use, timeoutMs) {
    const { id, effects } = this.#trunk.request(frame, this.#now, timeoutMs);
    this.#replies.set(id, use);
    this.#out.push(...effects);
  }

  /** @param {number} id @param {Frame} reply */
  #reply(id, reply) {
    this.#replies.get(id)?.(reply);
    this.#replies.delete(id);
  }

  // --- effects

  /** @param {number} code @param {string} reason @param {number} afterMs @returns {Frame} */
  #down(code, reason, afterMs) {
    return { type: "down", code, reason, after_ms: Math.max(SOON_MS, afterMs) };
  }

  /** @param {string | null} to @param {...Frame} frames */
  #tell(to, ...frames) {
    this.#out.push({ type: "tell", to, frames });
  }

  /** @param {string} name @param {Frame} frame */
  #tellFollowers(name, frame) {
    for (const [tab, { channels }] of this.#tabs) if (channels.has(name)) this.#tell(tab, frame);
  }

  #take() {
    const out = this.#out;
    this.#out = [];
    return out;
  }
}
