// The tabs of one browser: Web Locks and BroadcastChannels between them, which end when a tab does.

import { Scene } from "./scene.js";

/**
 * @import { Options } from "../../src/options.js"
 *
 * @typedef {{name: string, tab: Tab, run: (lock: object) => unknown, resolve: (value: unknown) => void, reject: (error: unknown) => void}} Request
 */

/** A token that tells whose it is. @param {string} sub */
export function tokenOf(sub) {
  return `.${btoa(JSON.stringify({ sub, iat: 0, exp: 3600 }))}.`;
}

export class Browser {
  scene = new Scene();
  /** @type {Map<string, Request>} */
  #held = new Map();
  /** @type {Request[]} */
  #queue = [];
  /** @type {Set<{name: string, tab: Tab, onmessage: ((event: {data: unknown}) => void) | null}>} */
  channels = new Set();

  /** Open a tab. @param {Partial<Options>} [options] @param {object} [host] what is otherwise in this one */
  open(options = {}, host = {}) {
    return new Tab(this, options, host);
  }

  /** @param {Tab} tab @returns {any} */
  locks(tab) {
    return {
      /** @param {string} name @param {{signal?: AbortSignal, steal?: boolean}} options @param {(lock: object) => unknown} run */
      request: (name, { signal, steal = false }, run) =>
        new Promise((resolve, reject) => {
          /** @type {Request} */
          const request = { name, tab, run, resolve, reject };
          signal?.addEventListener("abort", () => {
            this.#queue = this.#queue.filter((each) => each !== request);
            reject(signal.reason);
          });
          if (steal) {
            this.#held.get(name)?.reject(new DOMException("stolen", "AbortError"));
            this.#held.delete(name);
            this.#queue.unshift(request);
          } else this.#queue.push(request);
          this.grant();
        }),
    };
  }

  /** Give free locks to who waits for them. */
  grant() {
    for (const request of [...this.#queue]) {
      if (this.#held.has(request.name) || request.tab.frozen) continue;
      this.#queue = this.#queue.filter((each) => each !== request);
      this.#held.set(request.name, request);
      Promise.resolve()
        .then(() => request.run({}))
        .then(request.resolve)
        .finally(() => {
          if (this.#held.get(request.name) === request) this.#held.delete(request.name);
          this.grant();
        });
    }
  }

  /** All that a tab holds is free. @param {Tab} tab */
  free(tab) {
    this.#queue = this.#queue.filter((each) => each.tab !== tab);
    for (const [name, request] of [...this.#held]) if (request.tab === tab) this.#held.delete(name);
    this.grant();
  }

  /** @param {Tab} tab @param {string} name @returns {any} */
  broadcast(tab, name) {
    const channel = {
      name,
      tab,
      onmessage: /** @type {((event: {data: unknown}) => void) | null} */ (null),
      /** @param {unknown} data */
      postMessage: (data) => {
        if (tab.dead || tab.frozen) return;
        const copy = structuredClone(data);
        for (const each of this.channels) {
          if (each !== channel && each.name === name) this.scene.clock.setTimeout(() => each.tab.hear(() => each.onmessage?.({ data: copy })), 1);
        }
      },
      close: () => void this.channels.delete(channel),
    };
    this.channels.add(channel);
    return channel;
  }
}

export class Tab {
  dead = false;
  frozen = false;
  /** @type {any[]} */
  seen = [];
  resets = 0;
  /** @type {string[]} */
  states = [];
  /** @type {(() => void)[]} */
  #waiting = [];
  #end = new AbortController(); // of its requests

  /** @param {Browser} browser @param {Partial<Options>} options @param {object} own */
  constructor(browser, options, own) {
    this.browser = browser;
    const { scene } = browser;
    const { host } = scene;
    this.page = new EventTarget();
    const { WebSocket } = host;
    /** @type {typeof host.fetch} */
    const fetch = (input, init) => host.fetch(input, { ...init, signal: init.signal ? AbortSignal.any([init.signal, this.#end.signal]) : this.#end.signal });
    const document = Object.assign(new EventTarget(), { visibilityState: "visible", baseURI: "http://app.test/" });
    /** @type {Set<any>} */
    this.sockets = new Set();
    const tab = this;
    const Socket = /** @type {any} */ (
      class {
        /** @param {string} url @param {string[]} protocols */
        constructor(url, protocols) {
          const socket = new WebSocket(url, protocols);
          tab.sockets.add(socket);
          if (tab.dead) socket.close(); // what promises still run in a tab that is gone
          return socket;
        }
      }
    );
    /** @type {typeof host.setTimeout} */
    const setTimeout = (call, ms) => host.setTimeout(() => this.hear(call), ms);
    /** @type {any} */
    const surroundings = { ...host, setTimeout, fetch, WebSocket: Socket, page: this.page, document, locks: browser.locks(this), broadcast: (/** @type {string} */ name) => browser.broadcast(this, name), ...own };
    this.client = scene.client({ token: () => (scene.tokens++, tokenOf("alice")), host: surroundings, ...options });
    this.client.on("state", ({ state }) => this.states.push(state));
  }

  /** @param {string} channel @param {object} [options] */
  follow(channel, options = {}) {
    return this.client.subscribe(channel, { publication: ({ data }) => this.seen.push(data), reset: () => (this.resets += 1), ...options });
  }

  /** What happens in this tab, now or when it thaws. @param {() => void} call */
  hear(call) {
    if (this.frozen) this.#waiting.push(call);
    else if (!this.dead) call();
  }

  /** The user closes it. */
  close() {
    this.page.dispatchEvent(new Event("pagehide"));
    this.crash();
  }

  /** It is gone without a word. */
  crash() {
    this.dead = true;
    for (const socket of this.sockets) socket.close();
    this.#end.abort();
    for (const channel of this.browser.channels) if (channel.tab === this) this.browser.channels.delete(channel);
    this.browser.free(this);
  }

  freeze() {
    this.frozen = true;
  }

  thaw() {
    this.frozen = false;
    for (const call of this.#waiting.splice(0)) call();
    this.browser.grant();
  }
}
