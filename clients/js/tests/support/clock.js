// Time that passes when a test says so.

export class Clock {
  time = 1_000_000;
  /** @type {Map<number, {at: number, call: () => void}>} */
  #timers = new Map();
  #last = 0;

  now = () => this.time;

  /** @type {(call: () => void, ms: number) => number} */
  setTimeout = (call, ms) => {
    this.#timers.set(++this.#last, { at: this.time + Math.max(0, ms), call });
    return this.#last;
  };

  /** @type {(timer: any) => void} */
  clearTimeout = (timer) => void this.#timers.delete(timer);

  /** Let `ms` pass: every timer rings at its time, and what it sets off is done before the next. @param {number} ms */
  async pass(ms) {
    const end = this.time + ms;
    await settled();
    for (let next = this.#next(end); next; next = this.#next(end)) {
      this.time = Math.max(this.time, next.at);
      next.call();
      await settled();
    }
    this.time = end;
  }

  /** The machine sleeps: time passes and no timer rings. @param {number} ms */
  sleep(ms) {
    this.time += ms;
  }

  /** @param {number} end */
  #next(end) {
    let due = 0; // the first of them; of those at the same time, the one that was set first
    let at = end;
    for (const [timer, each] of this.#timers) {
      if (each.at > at || (each.at === at && due !== 0)) continue;
      due = timer;
      at = each.at;
    }
    const call = this.#timers.get(due);
    this.#timers.delete(due);
    return call;
  }
}

/** All promises that can settle without time have settled. */
export function settled() {
  return new Promise((resolve) => setImmediate(resolve));
}
