// One order, shown as it was when it was polled: by `replacePolling`, which counts what polling would have cost.

import { replacePolling } from "/whimbrel/replace-polling.js";

import { byId, show } from "./dom.js";

/**
 * @import { Whimbrel } from "/whimbrel/index.js"
 * @import { Order } from "./board.js"
 * @import { Shop } from "./shop.js"
 */

const INTERVAL_MS = 2_000; // what such a page would poll at
const FAREWELL_MS = 4_000; // an order that was delivered stays so long
const REFRESH_MS = 500;
const KB = 1_000;

export class Watch {
  #client;
  #shop;
  #choose;
  /** @type {ReturnType<typeof replacePolling<Order>> | null} */
  #current = null;
  #before = { polls: 0, fetches: 0, publications: 0, savedBytes: 0 }; // of the orders watched before

  /** @param {Whimbrel} client @param {Shop} shop @param {() => string | null} choose the id of an order that is under way */
  constructor(client, shop, choose) {
    this.#client = client;
    this.#shop = shop;
    this.#choose = choose;
    setInterval(() => this.#draw(), REFRESH_MS);
  }

  /** Watch another order, where there is one. */
  next() {
    const id = this.#choose();
    if (id === null || this.#current) return;
    const watched = replacePolling({
      client: this.#client,
      channel: `orders:${id}`,
      fetch: () => this.#shop.order(id),
      intervalMs: INTERVAL_MS,
      /** @param {Order} order */
      apply: (order) => {
        if (this.#current === watched || !this.#current) this.#apply(order);
      },
    });
    this.#current = watched;
  }

  /** @param {Order} order */
  #apply({ id, item, status }) {
    byId("watched").dataset["status"] = status;
    show("watched-order", `#${id} ${item}`);
    show("watched-status", status);
    if (status === "delivered") setTimeout(() => this.#part(), FAREWELL_MS);
  }

  #part() {
    if (!this.#current) return;
    this.#before = this.#sum();
    this.#current.stop();
    this.#current = null;
    this.next();
  }

  #sum() {
    const { polls, fetches, publications, savedBytes } = this.#current?.cost ?? { polls: 0, fetches: 0, publications: 0, savedBytes: 0 };
    const before = this.#before;
    return { polls: before.polls + polls, fetches: before.fetches + fetches, publications: before.publications + publications, savedBytes: before.savedBytes + savedBytes };
  }

  #draw() {
    this.next();
    const { polls, fetches, publications, savedBytes } = this.#sum();
    show("watched-live", this.#current?.live ? "by push" : "by polling");
    byId("watched").dataset["live"] = String(this.#current?.live ?? false);
    show("polls", String(polls));
    show("fetches", String(fetches));
    show("pushed", `${publications} pushed`);
    show("saved", `${counted(Math.max(0, polls - fetches), "request")} and ${(savedBytes / KB).toFixed(1)} kB saved`);
    byId("watched").style.setProperty("--share", String(Math.min(1, fetches / Math.max(1, polls))));
  }
}

/** @param {number} count @param {string} what */
function counted(count, what) {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
