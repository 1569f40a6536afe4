// The inbox and the group's channel: short lists of what was addressed to this user.

import { clock, element } from "./dom.js";

const SHOWN = 40;

export class Letters {
  #root;
  #nothing;
  /** @type {number[]} offsets; of letters too old to be shown as well */
  #unread = [];

  /** @param {HTMLElement} root @param {string} nothing what stands there while it is empty */
  constructor(root, nothing) {
    this.#root = root;
    this.#nothing = element("li", { class: "nothing" }, nothing);
    root.append(this.#nothing);
  }

  /** @param {string} id @param {Node} text @param {number} at @param {number} [offset] @param {string} [topic] */
  add(id, text, at, offset, topic) {
    this.#nothing.remove();
    this.#unread.push(offset ?? 0);
    const attributes = { class: "unread", "data-event-id": id, "data-topic": topic, "data-offset": offset === undefined ? undefined : String(offset) };
    this.#root.prepend(element("li", attributes, element("span", {}, text), element("time", {}, clock(at))));
    while (this.#root.childElementCount > SHOWN) this.#root.lastElementChild?.remove();
  }

  /** One that was read before, older than all that are shown. @param {string} id @param {Node} text @param {number} at */
  addRead(id, text, at) {
    if (this.#root.childElementCount >= SHOWN || this.#root.querySelector(`[data-event-id="${CSS.escape(id)}"]`)) return;
    this.#nothing.remove();
    this.#root.append(element("li", { "data-event-id": id }, element("span", {}, text), element("time", {}, clock(at))));
  }

  /** What a newer letter replaces or takes back, by its event or its topic. @param {{event_id?: string, topic?: string}} named */
  takeBack({ event_id: id, topic }) {
    for (const letter of this.#root.querySelectorAll("li")) {
      const its = letter.dataset;
      if ((id === undefined || its.eventId !== id) && (topic === undefined || its.topic !== topic)) continue;
      this.#unread = this.#unread.filter((each) => String(each) !== its.offset);
      letter.remove();
    }
  }

  /** Everything up to `offset` was read, here or on another device. @param {number} offset */
  readUpTo(offset) {
    this.#unread = this.#unread.filter((each) => each > offset);
    for (const letter of this.#root.querySelectorAll("li.unread")) {
      letter.classList.toggle("unread", Number(letter.getAttribute("data-offset")) > offset);
    }
  }

  get unread() {
    return this.#unread.length;
  }

  /** @param {string} nothing */
  clear(nothing) {
    this.#unread = [];
    this.#nothing.textContent = nothing;
    this.#root.replaceChildren(this.#nothing);
  }
}
