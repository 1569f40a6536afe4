// The line between this page and the world, which the buttons disturb: the client on it is not told, it finds out.

/** @import { Host } from "/whimbrel/transports/link.js" */

export class Line {
  #cut = false;
  /** @type {Set<WebSocket>} */
  #sockets = new Set();
  #requests = new AbortController();

  get isCut() {
    return this.#cut;
  }

  /** No byte passes until `mend`; the browser notices, as it does when a cable is pulled. */
  cut() {
    this.#cut = true;
    this.drop();
    dispatchEvent(new Event("offline"));
  }

  mend() {
    this.#cut = false;
    dispatchEvent(new Event("online"));
  }

  /** Break what is open, once. */
  drop() {
    for (const socket of this.#sockets) {
      const { onclose } = socket;
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
      onclose?.call(socket, new CloseEvent("close", { code: 1006, reason: "the line broke" }));
    }
    this.#sockets.clear();
    this.#requests.abort(new TypeError("the line broke"));
    this.#requests = new AbortController();
  }

  /** @type {Host["fetch"]} */
  fetch = (input, init = {}) => {
    if (this.#cut) return Promise.reject(new TypeError("the line is cut"));
    const line = this.#requests.signal;
    const signal = init.signal ? AbortSignal.any([init.signal, line]) : line;
    return fetch(input, { ...init, signal });
  };

  /** A constructor for the client: `new line.WebSocket(url, protocols)`. */
  get WebSocket() {
    const line = this;
    /** @param {string} url @param {string[]} protocols */
    function Tapped(url, protocols) {
      if (line.#cut) return refused();
      const socket = new WebSocket(url, protocols);
      line.#sockets.add(socket);
      return socket;
    }
    return /** @type {new (url: string, protocols: string[]) => WebSocket} */ (/** @type {unknown} */ (Tapped));
  }
}

/** @returns {WebSocket} a socket that never opens */
function refused() {
  const socket = { readyState: 3, onopen: null, onmessage: null, onclose: /** @type {((event: object) => void) | null} */ (null), send() {}, close() {} };
  setTimeout(() => socket.onclose?.({ code: 1006, reason: "the line is cut" }), 50);
  return /** @type {WebSocket} */ (/** @type {unknown} */ (socket));
}
