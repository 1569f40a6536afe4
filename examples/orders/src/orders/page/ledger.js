// The page's own books: which events came, how late, and whether any came twice or not at all. Trusts nobody, the client least.

const SAMPLES = 120; // latencies of live events that the median is taken of

/** @typedef {{run?: string, seq?: number}} Numbered the shop numbers the events of its board */

export class Ledger {
  received = 0;
  away = 0;
  repeated = 0;
  /** @type {number[]} ms, of live events, newest last */
  latencies = [];

  /** @type {Set<string>} channel and event id */
  #seen = new Set();
  #run = "";
  /** @type {Set<number>} */
  #numbers = new Set();
  #first = Infinity;
  #last = -Infinity;

  /**
   * @param {string} channel
   * @param {{event_id: string, data: Numbered}} publication
   * @param {{latencyMs: number, away: boolean}} how
   */
  take(channel, { event_id, data }, { latencyMs, away }) {
    const key = `${channel} ${event_id}`;
    if (this.#seen.has(key)) this.repeated += 1;
    this.#seen.add(key);
    this.received += 1;
    if (away) this.away += 1;
    else this.latencies = [...this.latencies.slice(1 - SAMPLES), latencyMs];
    if (channel === "orders:board" && data?.run && data.seq) this.#number(data.run, data.seq);
  }

  /** Numbers between the first and the last one heard that did not come. */
  get missing() {
    return this.#numbers.size === 0 ? 0 : this.#last - this.#first + 1 - this.#numbers.size;
  }

  /** Begin to count anew: the edge could not prove that the history is complete. */
  restart() {
    this.#numbers.clear();
    this.#first = Infinity;
    this.#last = -Infinity;
  }

  /** @param {number} share e.g. 0.5 for the median @returns {number | null} ms */
  percentile(share) {
    const sorted = this.latencies.toSorted((a, b) => a - b);
    return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? null;
  }

  /** @param {string} run @param {number} seq */
  #number(run, seq) {
    if (run !== this.#run) this.restart();
    this.#run = run;
    this.#numbers.add(seq);
    this.#first = Math.min(this.#first, seq);
    this.#last = Math.max(this.#last, seq);
  }
}
