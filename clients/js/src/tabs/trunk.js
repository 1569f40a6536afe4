// The one connection of a browser's tabs, and the switchboard on it.

import { Conversation } from "../conversation.js";
import { Session } from "../core/session.js";
import { Switchboard } from "../core/switchboard.js";
import { watch } from "../surroundings.js";

/**
 * @import { Transport } from "../core/choice.js"
 * @import { Terms } from "../core/terms.js"
 * @import { Effect } from "../core/effects.js"
 * @import { Frame, Tell } from "../core/switchboard.js"
 * @import { Host } from "../transports/link.js"
 *
 * @typedef {object} Ways
 * @property {string} base address of the edge
 * @property {Host} host
 * @property {Terms & {identity: {client: string, device?: string}}} terms
 * @property {string} resume the grant of the tab's last `connected`
 * @property {() => Promise<string | null>} token
 * @property {(effect: Effect & {type: "error"}) => void} report
 *
 * @typedef {object} TrunkEvents
 * @property {(to: string | null, frames: Frame[]) => void} tell
 * @property {(code: number, reason: string) => void} closed for good
 */

export class Trunk {
  #session;
  #board;
  #conversation;
  #host;
  #leave;

  /** @param {Ways} ways @param {TrunkEvents} events */
  constructor({ base, host, terms, resume, token, report }, { tell, closed }) {
    this.#host = host;
    this.#session = new Session(terms);
    this.#session.credentials.resume = resume;
    this.#board = new Switchboard(this.#session);
    /** @param {Effect | Tell} effect */
    const carryOut = (effect) => {
      if (effect.type === "tell") return tell(effect.to, effect.frames);
      if (effect.type === "error") return report(effect);
      if (effect.type === "state" && effect.state === "closed") return closed(effect.code, effect.reason);
      this.#perform(this.#board.hear(effect, host.now()));
    };
    this.#conversation = new Conversation(this.#session, { base, host, token, tell: carryOut });
    this.#leave = watch(host, {
      back: () => this.#perform(this.#session.wake(host.now())),
      online: () => this.#perform(this.#session.wake(host.now(), true)),
      leaving: () => {},
    });
  }

  /** A tab says something; the first word opens the connection. @param {string} tab @param {readonly Frame[]} frames */
  receive(tab, frames) {
    this.#perform(this.#board.receive(tab, frames, this.#host.now()));
    this.#perform(this.#session.start(this.#host.now()));
  }

  /** @param {string} tab */
  gone(tab) {
    this.#perform(this.#board.gone(tab));
  }

  /** @param {readonly Transport[]} transports */
  prefer(transports) {
    this.#perform(this.#session.prefer(transports, this.#host.now()));
  }

  close() {
    this.#leave();
    this.#perform(this.#session.close());
  }

  /** @param {readonly (Effect | Tell)[]} effects */
  #perform(effects) {
    this.#conversation.perform(/** @type {Effect[]} */ (effects));
  }
}
