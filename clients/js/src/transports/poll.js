// Frames over long-polls downwards, POST /v1/commands upwards. Any pod answers any of these requests.

import { GRACE_S, Polling } from "../core/polling.js";
import * as CLOSE_CODES from "../close-codes.gen.js";
import { Requester } from "./http.js";

/**
 * @import { PollReply, Position } from "../protocol.gen.js"
 * @import { Loss } from "../core/terms.js"
 * @import { Host, Link, LinkEvents } from "./link.js"
 *
 * @typedef {{type: string, id: number, channel: string, token: string, channels: Record<string, Position | null>, position?: Position}} Sent
 */

const PAUSE_MS = 1_000; // between polls that return at once with nothing new
const SIGN_MS = 20_000; // who rests because the edge wants it is not dead: a rest goes by in pieces of this

/**
 * @param {string} base http(s) address of the edge
 * @param {LinkEvents} events
 * @param {Host} host
 * @returns {Link}
 */
export function openPoll(base, events, host) {
  const requester = new Requester(base, events, host);
  Promise.resolve().then(() => requester.closed || events.opened());
  return new PollLink(requester);
}

/** @implements {Link} */
class PollLink {
  #requester;
  #polling;
  #current = new AbortController(); // the poll under way
  #pinged = false;
  #renewed = () => {};

  /** @param {Requester} requester */
  constructor(requester) {
    this.#requester = requester;
    this.#polling = new Polling(`poll-${requester.host.random().toString(36).slice(2, 10)}`);
  }

  close() {
    this.#requester.close();
    this.#current.abort();
    this.#renewed();
  }

  /** @param {object[]} frames */
  send(frames) {
    const commands = /** @type {Sent[]} */ (frames).filter((frame) => !this.#keep(frame));
    if (commands.length > 0) this.#requester.command(commands);
  }

  /**
   * @param {Sent} frame
   * @returns {boolean} whether it concerns the polling alone
   */
  #keep(frame) {
    switch (frame.type) {
      case "connect":
        this.#requester.token = frame.token;
        this.#polling.connect(frame);
        this.#run();
        return true;
      case "subscribe":
        this.#polling.subscribe(frame);
        this.#current.abort();
        return true;
      case "unsubscribe":
        this.#polling.unsubscribe(frame.channel);
        return true;
      case "refresh":
        this.#requester.token = frame.token;
        this.#renewed();
        Promise.resolve().then(() => this.#requester.receive([{ type: "ok", id: frame.id }]));
        return true;
      case "ping":
        this.#pinged = true;
        this.#current.abort();
        return true;
      case "pong":
        return true;
      default:
        return false;
    }
  }

  async #run() {
    const { host } = this.#requester;
    let refused = false; // the token, and not accepted since
    while (!this.#requester.closed) {
      this.#current = new AbortController();
      const asked = this.#polling.body;
      if (this.#pinged) asked.wait = 0;
      const owed = asked.wait === 0; // an answer, not only news
      const { restMs } = this.#requester;
      if (restMs > 0) asked.wait = 0;
      const began = host.now();
      /** @type {PollReply | Loss | null} */
      const reply = await this.#requester.ask("v1/poll", asked, (asked.wait + GRACE_S) * 1000, this.#current.signal);
      if (this.#requester.closed) return;
      if (reply === null) continue; // interrupted: the next poll asks for more
      if ("code" in reply) {
        if (reply.code !== CLOSE_CODES.token_expired || refused || owed) return this.#requester.lost(reply);
        refused = true;
        await this.#renewal();
        continue;
      }
      refused = false;
      const frames = this.#polling.answer(asked, reply);
      if (this.#pinged && asked.wait === 0) {
        this.#pinged = false;
        frames.push({ type: "pong" });
      }
      this.#requester.receive(frames);
      if (restMs > 0) await this.#rest(restMs);
      else if (frames.length === 0 && host.now() - began < PAUSE_MS) await this.#pause(PAUSE_MS);
    }
  }

  /** Ask the session for another token, and wait for it. */
  #renewal() {
    return new Promise((resolve) => {
      this.#renewed = () => resolve(undefined);
      this.#requester.receive([{ type: "expiring", in: 0 }]);
    });
  }

  /** @param {number} ms */
  async #rest(ms) {
    for (let left = ms; left > 0 && !this.#current.signal.aborted; left -= SIGN_MS) {
      await this.#pause(Math.min(left, SIGN_MS));
      this.#requester.receive([]);
    }
  }

  /** Wait, unless something is to be asked for meanwhile. @param {number} ms */
  #pause(ms) {
    const { host } = this.#requester;
    return new Promise((resolve) => {
      const timer = host.setTimeout(() => resolve(undefined), ms);
      this.#current.signal.addEventListener("abort", () => {
        host.clearTimeout(timer);
        resolve(undefined);
      });
    });
  }
}
