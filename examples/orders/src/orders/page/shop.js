// The shop's own HTTP API, which has nothing to do with Whimbrel.

/** @import { Order } from "./board.js" */

const RETRY_MS = 1_000;

/** The shop answered, with an HTTP status that says no. */
export class ShopError extends Error {
  /** @param {string} what was asked @param {number} status */
  constructor(what, status) {
    super(`${what}: HTTP ${status}`);
    this.status = status;
  }
}

export class Shop {
  #fetch;

  /** @param {(input: string, init: RequestInit) => Promise<Response>} fetch the line to use */
  constructor(fetch) {
    this.#fetch = fetch;
  }

  /** @param {string} user @returns {Promise<{user: string, edge: string, token: string, expires_in: number, leader: boolean}>} leader: whether there is one to kill */
  signIn(user) {
    return this.#json("POST", "/session", { user });
  }

  /** @returns {Promise<{orders: Order[], items: string[]}>} */
  async board() {
    for (;;) {
      try {
        return await this.#json("GET", "/orders");
      } catch {
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS)); // meanwhile the events keep coming
      }
    }
  }

  /** What a page polls. @param {string} id @returns {Promise<Response>} */
  order(id) {
    return this.#send("GET", `/orders/${id}`);
  }

  /** @param {string} user @param {string} item @returns {Promise<Order>} */
  place(user, item) {
    return this.#json("POST", "/orders", { user, item });
  }

  /** @returns {Promise<string[]>} */
  async vips() {
    return (await this.#json("GET", "/vip")).members;
  }

  /** @param {string} user @param {boolean} member */
  async setVip(user, member) {
    await this.#send(member ? "PUT" : "DELETE", `/vip/${user}`);
  }

  /** @returns {Promise<string>} what was killed: the server that keeps the board */
  async killLeader() {
    return (await this.#json("POST", "/leader/kill")).said;
  }

  /** @param {string} method @param {string} path @param {object} [body] @returns {Promise<any>} */
  async #json(method, path, body) {
    return (await this.#send(method, path, body)).json();
  }

  /** @param {string} method @param {string} path @param {object} [body] */
  async #send(method, path, body) {
    const init = body ? { method, body: JSON.stringify(body), headers: { "content-type": "application/json" } } : { method };
    const response = await this.#fetch(path, init);
    if (!response.ok) throw new ShopError(`${method} ${path}`, response.status);
    return response;
  }
}
