// The event log, newest first. What happened while the user was away stands together, each event once.

import { clock, element } from "./dom.js";

const ROWS = 400; // shown; older ones go

/**
 * @typedef {object} Entry
 * @property {string} id
 * @property {string} channel
 * @property {number} at Unix ms
 * @property {Node} text
 * @property {string} [status]
 * @property {number} [offset]
 * @property {number} latencyMs
 * @property {boolean} away
 */

export class Log {
  #root;
  /** @type {{list: HTMLElement, count: HTMLElement, ids: string[]} | null} the absence that events still belong to */
  #absence = null;

  /** @param {HTMLElement} root */
  constructor(root) {
    this.#root = root;
  }

  /** @param {Entry} entry */
  write({ id, channel, at, text, status, offset, latencyMs, away }) {
    const late = away && latencyMs >= 1_000 ? `+${Math.round(latencyMs / 1_000)} s` : `${latencyMs < 100 ? latencyMs.toFixed(1) : Math.round(latencyMs)} ms`;
    const row = element(
      "li",
      { class: "entry fresh", "data-event-id": id, "data-at": String(at), "data-channel": channel, "data-status": status, "data-away": away ? "" : undefined, title: offset === undefined ? undefined : `${channel} · offset ${offset}` },
      element("time", {}, clock(at)),
      element("span", { class: "channel" }, short(channel)),
      element("span", { class: "what" }, text),
      element("span", { class: "late" }, late),
    );
    if (away && this.#absence) {
      const { list, count, ids } = this.#absence;
      // Each channel brings its own in order; here they stand together in the order of time.
      const earlier = Array.from(list.children).find((each) => Number(each.getAttribute("data-at")) <= at);
      list.insertBefore(row, earlier ?? null);
      ids.push(`${channel} ${id}`);
      const repeated = ids.length - new Set(ids).size;
      count.textContent = `${ids.length} ${ids.length === 1 ? "event" : "events"}, ${repeated === 0 ? "each exactly once" : `${repeated} repeated`}`;
    } else this.#top(row);
  }

  /** The user is back. @param {number} seconds @param {string} transport */
  welcome(seconds, transport) {
    const count = element("small", {}, "nothing happened");
    const list = element("ol");
    const title = element("p", {}, "While you were away", element("small", {}, `${seconds.toFixed(1)} s · back by ${transport}`), count);
    this.#absence = { list, count, ids: [] };
    this.#top(element("li", { class: "absence", "data-testid": "absence" }, title, list));
  }

  /** A change of the connection. @param {string} state @param {string} text */
  note(state, text) {
    this.#top(element("li", { class: "journey", "data-state": state }, `${clock(Date.now())} · ${text}`));
  }

  /** @param {HTMLElement} row */
  #top(row) {
    this.#root.prepend(row);
    while (this.#root.childElementCount > ROWS) this.#root.lastElementChild?.remove();
  }
}

/** @param {string} channel */
function short(channel) {
  return channel === "orders:board" ? "board" : channel.replace("group:", "");
}
