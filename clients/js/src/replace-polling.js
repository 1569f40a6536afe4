// The way out of polling: the endpoint that was polled gives the first state, publications give every later one, and the old interval
// serves while push is away.

import { checkChannel, checkHandler } from "./checks.js";
import { Freshness } from "./core/freshness.js";
import { messageOf } from "./errors.js";

/**
 * @import { Position } from "./protocol.gen.js"
 * @import { Whimbrel } from "./client.js"
 * @import { ChannelPublication, Subscription } from "./subscription.js"
 *
 * @typedef {"fetch" | "push"} Source
 *
 * @typedef {object} Cost
 * @property {number} polls that the old interval would have made by now
 * @property {number} fetches that were made
 * @property {number} publications that were applied
 * @property {number} savedRequests
 * @property {number} savedBytes bodies alone, by the average of those fetched
 */

/**
 * @template T
 * @typedef {object} Replacement
 * @property {Whimbrel} client
 * @property {string} channel on which the backend publishes each new state
 * @property {() => Promise<Response | T>} fetch what was called at each interval; a `Response` is read as JSON, and its `Whimbrel-Position`, if
 *   it has one, closes the gap between the state and the stream
 * @property {number} intervalMs the old one
 * @property {(value: T, source: Source) => void} apply the one way in which a state is shown; never called with one older than before
 * @property {(publication: ChannelPublication) => T} [read] the state in a publication: its `data`, by default
 * @property {(value: T) => any} [version] what grows with each state, comparable by `<`: its `version`, by default; where there is none,
 *   positions and the order of arrival decide
 * @property {(error: Error) => void} [failed] a fetch failed; it is tried again after the interval
 */

const POSITION_HEADER = "whimbrel-position";

/**
 * Show a state that was polled: by the old endpoint first, by publications from then on.
 *
 * @template T
 * @param {Replacement<T>} replacement
 * @returns {PollingReplacement<T>}
 * @throws {TypeError} where something is missing
 */
export function replacePolling(replacement) {
  const { client, channel, fetch, apply, intervalMs } = replacement;
  checkChannel(channel);
  checkHandler("fetch", fetch);
  checkHandler("apply", apply);
  if (!(intervalMs > 0)) throw new TypeError("intervalMs is missing: write how many milliseconds lay between two polls");
  if (!client) throw new TypeError("client is missing: write client: new Whimbrel(…)");
  return new PollingReplacement(replacement);
}

/** What `replacePolling` returns. @template T */
class PollingReplacement {
  #what;
  #host;
  #freshness = new Freshness();
  /** @type {Subscription | null} */
  #subscription = null;
  #positioned = false; // the subscription goes on from where the fetched state was read
  #loading = false;
  #again = false; // load once more, after the load under way
  #stopped = false;
  #began;
  #fetches = 0;
  #bytes = 0;
  /** @type {any} */
  #timer = null;
  #unlisten;

  /** @internal @param {Replacement<T>} what */
  constructor(what) {
    this.#what = what;
    this.#host = what.client.host;
    this.#began = this.#host.now();
    this.#unlisten = what.client.on("state", () => this.#wind());
    this.#load();
  }

  /** Whether publications arrive: otherwise the old interval serves. */
  get live() {
    return this.#what.client.state === "connected" && this.#subscription?.state === "subscribed";
  }

  /** What polling would have cost, and what this did. @returns {Cost} */
  get cost() {
    const polls = 1 + Math.floor((this.#host.now() - this.#began) / this.#what.intervalMs);
    const savedRequests = Math.max(0, polls - this.#fetches);
    const perFetch = this.#fetches > 0 ? this.#bytes / this.#fetches : 0;
    return { polls, fetches: this.#fetches, publications: this.#freshness.published, savedRequests, savedBytes: Math.round(savedRequests * perFetch) };
  }

  /** End it: nothing is applied any more. */
  stop() {
    this.#stopped = true;
    this.#host.clearTimeout(this.#timer);
    this.#unlisten();
    this.#subscription?.unsubscribe();
  }

  // --- fetched

  async #load() {
    if (this.#loading) {
      this.#again = true;
      return;
    }
    this.#loading = true;
    this.#again = false;
    const since = this.#freshness.published;
    try {
      const { value, position } = await this.#read();
      if (this.#stopped) return;
      this.#fetched(value, position, since);
      this.#follow(position);
    } catch (error) {
      if (this.#stopped) return;
      this.#what.failed?.(error instanceof Error ? error : new Error(messageOf(error)));
      this.#follow(null);
    } finally {
      this.#loading = false;
    }
    if (this.#again) this.#load();
    else this.#wind();
  }

  /** @returns {Promise<{value: T, position: Position | null}>} */
  async #read() {
    this.#fetches += 1;
    const reply = await this.#what.fetch();
    if (!(reply instanceof Response)) return { value: reply, position: null };
    if (!reply.ok) throw new Error(`the endpoint answered HTTP ${reply.status}`);
    const text = await reply.text();
    this.#bytes += text.length;
    return { value: JSON.parse(text), position: positionOf(reply.headers.get(POSITION_HEADER), this.#what.channel) };
  }

  /** @param {T} value @param {Position | null} position @param {number} since */
  #fetched(value, position, since) {
    const version = this.#versionOf(value);
    const verdict = this.#freshness.ofFetched({ version, position, since });
    // Publications came while it was under way, and nothing tells which is newer: ask again.
    if (verdict === "unknown") this.#again = true;
    if (verdict !== "newer") return;
    this.#freshness.took({ version, position });
    try {
      this.#what.apply(value, "fetch");
    } catch (error) {
      // No failure of the endpoint: it is reported to the host, as what a listener throws.
      queueMicrotask(() => {
        throw error;
      });
    }
  }

  // --- published

  /** Subscribe, once the first state was asked for. @param {Position | null} position */
  #follow(position) {
    if (this.#subscription) return;
    this.#positioned = position !== null;
    this.#subscription = this.#what.client.subscribe(this.#what.channel, {
      ...(position && { position }),
      publication: (publication) => this.#published(publication),
      reset: () => {
        this.#freshness.forget();
        this.#load();
      },
      state: ({ state }) => {
        // Between the first fetch and now something may have been published, which only a position would bring.
        if (state === "subscribed" && !this.#positioned) this.#load();
        if (state === "subscribed") this.#positioned = true; // from now on by the client's own position
        this.#wind();
      },
    });
    // Somebody else follows it already: no change of its state will come.
    if (this.#subscription.state === "subscribed" && !this.#positioned) {
      this.#positioned = true;
      this.#again = true;
    }
  }

  /** @param {ChannelPublication} publication */
  #published(publication) {
    if (this.#stopped) return;
    const { read = ({ data }) => data } = this.#what;
    const value = read(publication);
    const version = this.#versionOf(value);
    const { offset = null } = publication;
    if (this.#freshness.ofPublished({ version, offset }) === "older") return;
    const epoch = this.#subscription?.position?.epoch;
    this.#freshness.published += 1;
    this.#freshness.took({ version, position: offset !== null && epoch ? { epoch, offset } : null });
    this.#what.apply(value, "push");
  }

  /** @param {T} value */
  #versionOf(value) {
    const { version = (/** @type {any} */ each) => each?.version } = this.#what;
    return version(value);
  }

  /** While push is away, the old interval. */
  #wind() {
    if (this.#stopped || this.live) {
      this.#host.clearTimeout(this.#timer);
      this.#timer = null;
    } else this.#timer ??= this.#host.setTimeout(() => this.#poll(), this.#what.intervalMs);
  }

  #poll() {
    this.#timer = null;
    if (!this.live) this.#load();
  }
}

/** @param {string | null} header `channel=epoch.offset`, more than one joined by commas @param {string} channel @returns {Position | null} */
function positionOf(header, channel) {
  const own = (header ?? "").split(",").map((each) => each.trim()).find((each) => each.startsWith(`${channel}=`));
  const [, epoch, offset] = /^(.{1,32})\.(\d+)$/.exec(own?.slice(channel.length + 1) ?? "") ?? [];
  return epoch && offset ? { epoch, offset: Number(offset) } : null;
}
