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
    const [due] = [...this.#timers].filter(([, timer]) => timer.at <= end).sort(([a, one], [b, two]) => one.at - two.at || a - b);
    if (due) this.#timers.delete(due[0]);
    return due?.[1];
  }
}

/** All promises that can settle without time have settled. */
export function settled() {
  return new Promise((resolve) => setImmediate(resolve));
}
