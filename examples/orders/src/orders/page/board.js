// The board: one column for each status, cards that move.

import { element } from "./dom.js";

/** @typedef {{id: string, customer: string, item: string, total: number, status: string, version: number}} Order */

export const STATUSES = ["placed", "paid", "packed", "shipped", "delivered"];
const DELIVERED_SHOWN = 5;
const MOVE = { duration: 420, easing: "cubic-bezier(.2,.8,.2,1)" };
const EURO = new Intl.NumberFormat("en", { style: "currency", currency: "EUR" });

export class Board {
  /** @type {Map<string, {order: Order, card: HTMLElement}>} */
  #cards = new Map();
  /** @type {Map<string, {body: HTMLElement, count: HTMLElement}>} */
  #columns = new Map();
  #own;
  #open;

  /**
   * @param {HTMLElement} root
   * @param {string} own the user whose orders stand out
   * @param {(id: string) => void} open an order was clicked
   */
  constructor(root, own, open) {
    this.#own = own;
    this.#open = open;
    for (const status of STATUSES) {
      const count = element("small");
      const body = element("div", { class: "column", "data-status": status, "data-testid": `column-${status}` }, element("h2", {}, status, count));
      this.#columns.set(status, { body, count });
      root.append(body);
    }
  }

  /** Take the state that the shop gives at the beginning and after a reset. @param {Order[]} orders */
  load(orders) {
    for (const { card } of this.#cards.values()) card.remove();
    this.#cards.clear();
    for (const order of orders) this.#place(order);
    this.#tidy();
  }

  /**
   * Show what an event says of an order, unless a later one was shown already.
   *
   * @param {Order} order
   * @param {boolean} away
   */
  apply(order, away) {
    const known = this.#cards.get(order.id);
    if (known && known.order.version >= order.version) return;
    const before = known?.card.getBoundingClientRect();
    const card = this.#place(order);
    card.classList.toggle("away", away);
    this.#tidy();
    this.#move(card, before);
  }

  /** @returns {string | null} the newest order that is not delivered yet, this user's rather than another's */
  get underWay() {
    const all = [...this.#cards.values()].map(({ order }) => order).filter(({ status }) => status !== "delivered");
    return (all.findLast(({ customer }) => customer === this.#own) ?? all.at(-1))?.id ?? null;
  }

  /** @param {Order} order */
  #place(order) {
    this.#cards.get(order.id)?.card.remove();
    const { id, customer, item, total, status } = order;
    const card = element(
      "button",
      { type: "button", class: customer === this.#own ? "card own" : "card", "data-status": status, "data-order": id },
      element("code", {}, `#${id}`),
      element("span", { class: "price" }, EURO.format(total)),
      element("b", {}, item),
      element("span", { class: "who" }, customer),
    );
    card.addEventListener("click", () => this.#open(id));
    this.#cards.set(id, { order, card });
    this.#columns.get(status)?.body.querySelector("h2")?.after(card);
    return card;
  }

  #tidy() {
    for (const [status, { body, count }] of this.#columns) {
      const cards = body.querySelectorAll(".card");
      if (status === "delivered") {
        for (const old of [...cards].slice(DELIVERED_SHOWN)) {
          this.#cards.delete(old.getAttribute("data-order") ?? "");
          old.remove();
        }
      }
      count.textContent = String(body.querySelectorAll(".card").length);
    }
  }

  /** @param {HTMLElement} card @param {DOMRect | undefined} before */
  #move(card, before) {
    card.classList.add("moved");
    if (document.hidden || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const after = card.getBoundingClientRect();
    const from = before ? `translate(${before.left - after.left}px, ${before.top - after.top}px)` : "translateY(-14px) scale(.96)";
    card.animate([{ transform: from, zIndex: 1, ...(before ? {} : { opacity: 0 }) }, { transform: "none", zIndex: 1 }], MOVE);
  }
}
