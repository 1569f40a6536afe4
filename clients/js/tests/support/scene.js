// A client in front of an edge in memory, and what the application saw.

import { Whimbrel } from "../../src/index.js";
import "../../src/transports/fallback.js"; // at hand, so that no real time passes
import { Clock } from "./clock.js";
import { Edge } from "./edge.js";

/** @import { Options } from "../../src/options.js" */

export class Scene {
  clock = new Clock();
  edge = new Edge(this.clock);
  host = this.edge.host;
  /** @type {string[]} */
  states = [];
  /** @type {number[]} */
  codes = [];
  /** @type {any[]} */
  seen = [];
  /** @type {any[]} */
  live = [];
  resets = 0;
  /** @type {any[]} */
  errors = [];
  tokens = 0;

  /** @param {Partial<Options>} [options] */
  client(options = {}) {
    const token = () => `token-${++this.tokens}`;
    const client = new Whimbrel("http://edge.test", { token, host: this.host, ...options });
    client.on("state", ({ state, code }) => {
      this.states.push(state);
      this.codes.push(code);
    });
    this.deafen = client.on("error", (error) => this.errors.push(error));
    return client;
  }

  /** Stop listening to the errors of the last client. */
  deafen = () => {};

  /** Write down all that a channel brings. @param {Whimbrel} client @param {string} channel @param {object} [options] */
  follow(client, channel, options = {}) {
    return client.subscribe(channel, {
      publication: ({ data }, { recovered }) => {
        this.seen.push(data);
        if (!recovered) this.live.push(data);
      },
      reset: () => (this.resets += 1),
      ...options,
    });
  }

  /** @param {number} ms */
  pass(ms) {
    return this.clock.pass(ms);
  }
}

/** @param {number} from @param {number} to @returns {number[]} both included */
export function numbers(from, to) {
  return Array.from({ length: to - from + 1 }, (_, index) => from + index);
}
