// The client as the application holds it: subscriptions, requests, events.

import { addressOf, checkChannel, checkedOptions, checkHandler, checkTransport } from "./checks.js";
import { Conversation } from "./conversation.js";
import { ABNORMAL, HANDLER } from "./core/codes.js";
import { Session } from "./core/session.js";
import { Emitter } from "./emitter.js";
import { WhimbrelError } from "./errors.js";
import { browser } from "./host.js";
import { newKey } from "./key.js";
import { Positions } from "./positions.js";
import { INBOX } from "./protocol.gen.js";
import { Provider } from "./provider.js";
import { Remembered } from "./remembered.js";
import { forgettable, Replies } from "./replies.js";
import { canShare, Sharing } from "./sharing.js";
import { Subscription } from "./subscription.js";
import { Subscriptions } from "./subscriptions.js";
import { watch } from "./surroundings.js";
import { openLink } from "./transports/open.js";

/**
 * @import { Ok, Publication } from "./protocol.gen.js"
 * @import { Transport } from "./core/choice.js"
 * @import { ConnectionState, Effect } from "./core/effects.js"
 * @import { Events, Options, Preference } from "./options.js"
 * @import { ChannelPublication, Handler, SubscribeOptions } from "./subscription.js"
 */

const VERSION = "whimbrel-js/0.1.0";
const PUBLISH_EXPIRY_MS = 60_000; // a train's tunnel; what was meant for now is not sent an hour later
/** @type {Readonly<Record<Preference, readonly Transport[]>>} */
const ORDER = { auto: ["websocket", "sse", "poll"], websocket: ["websocket"], sse: ["sse"], poll: ["poll"] };

/**
 * The connection to an edge, as the application holds it.
 *
 * @extends {Emitter<Events>}
 */
export class Whimbrel extends Emitter {
  #base;
  #host;
  #session;
  #conversation;
  #positions;
  #remembered;
  #provider;
  /** @type {Sharing | null} */
  #sharing = null;
  /** @type {Preference} */
  #preference;
  /** @type {Transport} */
  #told;
  #subscriptions = new Subscriptions((channel, error) => this.#blame(channel, error));
  #replies = new Replies();
  #leave;

  /**
   * Connects by itself, after the code that runs now: subscribe in the same breath and all is opened in one step.
   *
   * @param {string} url of the edge, e.g. "https://push.example.com"
   * @param {Options} options
   * @throws {TypeError} saying what to write instead
   */
  constructor(url, options) {
    super();
    const { token: ask, transport = "auto", storage = null, tabs = "shared", device, host = {} } = checkedOptions(options);
    this.#host = browser(host);
    this.#provider = new Provider(ask, this.#host, (subject) => this.#session.channels.restore(this.#positions.load(subject)));
    const token = () => this.#provider.token();
    this.#base = addressOf(url, this.#host.document?.baseURI);
    this.#positions = new Positions(storage, this.#base, this.#host);
    this.#preference = transport;
    this.#remembered = new Remembered(this.#host.session, this.#base);
    const { transport: remembered } = this.#remembered;
    const identity = { client: VERSION, ...(device && { device }) };
    const terms = { transports: this.#available(transport), remembered, curious: transport === "auto" && !remembered, random: this.#host.random, identity };
    const shared = tabs === "shared" && canShare(this.#host);
    this.#session = new Session(shared ? { transports: ["tabs"], random: this.#host.random, identity } : terms);
    if (shared) {
      this.#sharing = new Sharing(this.#session, {
        base: this.#base,
        host: this.#host,
        terms: () => ({ ...terms, transports: this.#available(this.#preference) }),
        subject: () => this.#provider.subject ?? "",
        token,
        perform: (effects) => this.#perform(effects),
        carried: () => this.#carried(),
        report: (effect) => this.#hear(effect),
        impossible: () => {
          this.#sharing = null;
          this.useTransport(this.#preference);
        },
      });
    }
    this.#told = this.transport;
    this.#conversation = new Conversation(this.#session, {
      base: this.#base,
      host: this.#host,
      token,
      tell: (effect) => this.#hear(effect),
      done: () => this.#positions.keep(() => this.positions),
      open: (way, base, events) => {
        if (way !== "tabs") return openLink(way, base, events, this.#host);
        return /** @type {Sharing} */ (this.#sharing).open(transport, events);
      },
    });
    this.#leave = watch(this.#host, {
      back: () => this.#perform(this.#session.wake(this.#host.now())),
      online: () => this.#perform(this.#session.wake(this.#host.now(), true)),
      leaving: () => {
        this.#positions.save();
        this.#putAway();
      },
    });
    Promise.resolve().then(() => this.#perform(this.#session.start(this.#host.now())));
  }

  /** What the client takes from its surroundings. */
  get host() {
    return this.#host;
  }

  /** @type {ConnectionState} of the connection; each change is a `state` event, with its reason */
  get state() {
    return this.#session.state;
  }

  /** @type {Transport} the one in use, or the next to be tried */
  get transport() {
    const { transport } = this.#session;
    return transport === "tabs" ? (this.#sharing?.carrier ?? "websocket") : transport;
  }

  /** Whether this tab holds the connection: by itself, or for all tabs of the browser. */
  get leads() {
    return this.#sharing?.leads ?? true;
  }

  /** The user whom the token names; empty before the first connect. */
  get user() {
    return this.#session.user || this.#provider.subject || "";
  }

  /** By channel, what was applied so far. */
  get positions() {
    return this.#session.channels.positions;
  }

  /** What has happened: publications applied, duplicates dropped, gaps mended, resets, and connects. */
  get counters() {
    return { ...this.#session.channels.counters, connects: this.#session.connects };
  }

  /**
   * Follow a channel. The first subscription of a channel opens it, the last one that ends closes it.
   *
   * @param {string} channel
   * @param {Handler | SubscribeOptions} [what] a handler of publications, or more; nothing where they are iterated over
   * @returns {Subscription}
   * @throws {WhimbrelError} unknown_channel
   * @throws {TypeError} where a handler is none
   */
  subscribe(channel, what = {}) {
    checkChannel(channel);
    if (typeof what !== "object" || what === null) checkHandler("publications", what);
    const options = typeof what === "function" ? { publication: what } : what;
    const subscription = new Subscription(this, channel, options);
    this.#subscriptions.add(subscription);
    this.#perform(this.#session.subscribe(channel, options));
    queueMicrotask(() => {
      if (this.state === "closed") subscription.end();
      else subscription.stands(subscription.state, null); // the channel may be open already
    });
    return subscription;
  }

  /** Follow the user's own channel, from the read mark on. @param {Handler | SubscribeOptions} [what] */
  inbox(what) {
    return this.subscribe(INBOX, what);
  }

  /** @internal @param {Subscription} subscription */
  unsubscribe(subscription) {
    const { channel } = subscription;
    if (this.#subscriptions.remove(subscription) && channel !== INBOX) this.#perform(this.#session.unsubscribe(channel));
  }

  /** @internal @param {string} channel */
  channelState(channel) {
    return this.state === "closed" ? "unsubscribed" : this.#session.channels.state(channel);
  }

  /**
   * Publish, once: a repeat after a reconnect carries the same key. Await it to learn whether it succeeded. While the connection is away
   * it waits, and is rejected once it has expired; at most 256 requests wait.
   *
   * @param {string} channel
   * @param {string} event
   * @param {unknown} data
   * @param {{key?: string, expiryMs?: number}} [options]
   * @returns {Promise<number | null>} the offset; null in an ephemeral channel
   */
  publish(channel, event, data, { key = newKey(this.#host.random), expiryMs = PUBLISH_EXPIRY_MS } = {}) {
    return forgettable(this.#publish({ type: "publish", channel, event, key }, data, expiryMs));
  }

  /**
   * Say that everything up to `offset` was handled; moves this user's read mark on all devices. Nobody has to await it.
   *
   * @param {string} channel
   * @param {number} [offset] what was applied so far, by default
   * @returns {Promise<void>}
   */
  ack(channel, offset = this.positions[channel]?.offset) {
    if (offset === undefined) return Promise.resolve();
    return forgettable(this.#request({ type: "ack", channel, offset }).then(() => {}));
  }

  /**
   * Read retained publications: oldest first after `after`, otherwise the newest ones, before `before` if given.
   *
   * @param {string} channel
   * @param {{after?: number, before?: number, limit?: number}} [range] at most 200
   * @returns {Promise<{epoch: string | null, publications: readonly Publication[]}>}
   */
  async history(channel, range = {}) {
    const { epoch = null, publications = [] } = await this.#request({ type: "history", channel, ...range });
    return { epoch, publications };
  }

  /**
   * What is in the user's inbox now, oldest first, and how much of it is unread. Not `complete`: it is full of unread messages, and older
   * ones may have been dropped.
   *
   * @param {{unread?: boolean, before?: number, limit?: number}} [range] only what is unread; at most 200, 0 only counts
   * @returns {Promise<{unread: number, read: number, complete: boolean, publications: readonly Publication[]}>}
   */
  async listInbox(range = {}) {
    const { unread = 0, read = 0, complete = true, publications = [] } = await this.#request({ type: "inbox", channel: "inbox", ...range });
    return { unread, read, complete, publications };
  }

  /**
   * Ask who is in a channel. An edge that keeps no presence, as that of this version, rejects it: `unavailable` (108).
   *
   * @param {string} channel
   * @returns {Promise<readonly any[]>}
   */
  async presence(channel) {
    return (await this.#request({ type: "presence", channel })).users ?? [];
  }

  /** Change the transport; positions make the change invisible to subscriptions. @param {Preference} preference */
  useTransport(preference) {
    const available = this.#available(preference);
    this.#preference = preference;
    if (this.#sharing) this.#sharing.prefer(available);
    else this.#perform(this.#session.prefer(available, this.#host.now()));
  }

  /** End for good: requests under way are rejected, nothing is delivered any more. */
  close() {
    this.#perform(this.#session.close());
  }

  /** @param {{type: string, channel: string, event: string, key: string}} frame @param {unknown} data @param {number} expiryMs @returns {Promise<number | null>} */
  async #publish(frame, data, expiryMs) {
    const copy = JSON.parse(JSON.stringify(data) ?? "null"); // of what it is now: it may wait, and go through another tab
    const { offset = null } = await this.#request({ ...frame, data: copy }, expiryMs);
    return offset;
  }

  /** @param {{type: string, channel: string} & Record<string, unknown>} frame @param {number} [timeoutMs] @returns {Promise<Ok>} */
  async #request(frame, timeoutMs) {
    checkChannel(frame.channel);
    const { id, effects } = this.#session.request(frame, this.#host.now(), timeoutMs);
    const reply = this.#replies.to(id);
    this.#perform(effects);
    return reply;
  }

  // --- effects

  /** @param {readonly Effect[]} effects */
  #perform(effects) {
    this.#conversation.perform(effects);
  }

  /** @param {Effect} effect */
  #hear(effect) {
    switch (effect.type) {
      case "publication":
        return this.#deliver(effect.publication, effect.recovered);
      case "state":
        return this.#changed(effect);
      case "channel":
        return this.#subscriptions.each(effect.channel, (each) => each.stands(effect.state, effect.error));
      case "reset":
        return this.#subscriptions.each(effect.channel, (each) => each.emit("reset", undefined));
      case "join":
      case "leave":
        return this.#subscriptions.each(effect.channel, (each) => each.emit(effect.type, { user: effect.user, info: effect.info }));
      case "transport":
        return this.#carried();
      case "acked":
        return this.emit("acked", { channel: effect.channel, offset: effect.offset });
      case "settle":
      case "fail":
        return this.#replies.hear(effect);
      case "error":
        return this.emit("error", new WhimbrelError(effect.error));
    }
  }

  /** @param {Effect & {type: "state"}} change */
  #changed({ state, code, reason, retryMs }) {
    this.#remember();
    if (state === "closed") {
      this.#leave();
      this.#sharing?.leave();
      this.#positions.save();
    }
    this.emit("state", { state, code, reason, retryMs });
    if (state !== "connected") this.#subscriptions.all((each) => each.stands(each.state, null)); // else an effect of its own tells
    if (state === "closed") this.#subscriptions.all((each) => each.end());
  }

  /** What was found by trying is worth remembering; what the application has asked for, it will ask for again. */
  #remember() {
    if (this.state === "connected" && this.#preference === "auto") this.#remembered.keep(this.transport);
  }

  /**
   * @param {ChannelPublication} publication
   * @param {boolean} recovered
   */
  #deliver(publication, recovered) {
    if (this.state === "closed") return; // by the handler of a publication before this one
    if (!this.#subscriptions.has(publication.channel)) return this.emit("publication", publication);
    this.#subscriptions.each(publication.channel, (each) => each.take(publication, { recovered }));
  }

  /** @param {string} channel @param {unknown} cause what a handler threw; where nobody hears of it, the host does, as of any other fault of the page */
  #blame(channel, cause) {
    if (this.heard("error")) this.emit("error", new WhimbrelError({ code: HANDLER, slug: "handler", message: `${channel}: ${cause}` }, { cause }));
    else (globalThis.reportError ?? console.error)(cause);
  }

  /** The page may never run again, or lie in the browser's cache, where it may hold no connection. */
  #putAway() {
    if (this.#sharing) this.#sharing.leave();
    else if (this.state === "connected") this.#perform(this.#session.lost({ code: ABNORMAL, reason: "the tab was put away" }, this.#host.now()));
  }

  #carried() {
    this.#remember();
    if (this.transport !== this.#told) this.emit("transport", (this.#told = this.transport));
  }

  /** @param {Preference} preference */
  #available(preference) {
    checkTransport(preference, Boolean(this.#host.WebSocket));
    return ORDER[preference].filter((each) => each !== "websocket" || this.#host.WebSocket);
  }
}
