// Named events with listeners.

import { checkHandler } from "./checks.js";

/** @template {Record<string, any>} Events by name, the value that its listeners get */
export class Emitter {
  /** @type {Map<keyof Events, Set<(value: any) => void>>} */
  #listeners = new Map();

  /**
   * Hear an event.
   *
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {(value: Events[Name]) => void} listener
   * @returns {() => void} call it to stop listening
   * @throws {TypeError} where the listener is none
   */
  on(name, listener) {
    checkHandler(String(name), listener);
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /** @internal @param {keyof Events} name @returns {boolean} whether anybody listens */
  heard(name) {
    return Boolean(this.#listeners.get(name)?.size);
  }

  /**
   * @internal
   * @template {keyof Events} Name
   * @param {Name} name
   * @param {Events[Name]} value
   */
  emit(name, value) {
    const listeners = this.#listeners.get(name) ?? new Set();
    // Those of now: a listener that leaves and comes again would be met again, for ever.
    for (const listener of [...listeners]) {
      try {
        if (listeners.has(listener)) listener(value);
      } catch (error) {
        // As an EventTarget does it: the fault is reported to the host, and the others are called all the same.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }
}
