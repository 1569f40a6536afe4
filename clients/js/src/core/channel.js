// One channel of a client: what was asked, what was applied, and when it is asked for again.

/**
 * @import { Position } from "../protocol.gen.js"
 * @import { ChannelState } from "./effects.js"
 */

/** `position` is what this client has applied; it survives every connection. */
export class Channel {
  /** @type {ChannelState} */
  state = "subscribing";
  /** @type {Position | null} */
  position = null;
  /** @type {number | null} the request that is under way on this connection */
  asked = null;
  mending = false; // asked again because of a gap
  retryAt = Infinity;
  failures = 0;
  resetTo = 0; // offset of the last reset: positions before it are of another life of the channel

  /**
   * @param {string} name
   * @param {boolean} wanted by the application; otherwise the router opened it
   * @param {number | null} last how many publications to begin with, where there is no position
   */
  constructor(name, wanted, last) {
    this.name = name;
    this.wanted = wanted;
    this.last = last;
  }

  /**
   * Whether the channel was reset since it was asked for, beside the connection in use: an answer to that would lead back to before the reset.
   *
   * @param {Position | null | undefined} from where it was asked for
   */
  outdates(from) {
    const { position, resetTo } = this;
    return Boolean(from && position && (from.epoch !== position.epoch || from.offset < resetTo));
  }
}
