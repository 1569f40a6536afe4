// Whatever a network, an edge and a browser do, in whatever order: once it is over, every tab stands where it should.

import assert from "node:assert/strict";
import test from "node:test";

import "../src/tabs/group.js"; // at hand, so that no real time passes
import { Browser, tokenOf } from "./support/browser.js";
import { numbers } from "./support/scene.js";

/** @import { Tab } from "./support/browser.js" */

const CHANNEL = "orders:42";
const STEPS = 40;
const WALKS = Number(process.env["WALKS"] ?? 40); // WALKS=4000 node --test tests/wild.test.js goes through as many, in a minute
const FIRST = Number(process.env["FIRST"] ?? 1); // the seed of the first: FIRST=7 WALKS=1 goes through the seventh again
const HEALED_MS = 600_000; // longer than any wait: of the client, of what the edge has named, of a probe
const KINDS = /** @type {const} */ ([{}, {}, {}, { tabs: "apart" }, { tabs: "apart", transport: "sse" }, { tabs: "apart", transport: "poll" }]);
const COMES_BACK = [4000, 4001, 4002, 4003, 4004, 4005, 4006, 4007, 4008, 4009, 4010, 4499];

/** Numbers from [0, 1), the same for the same seed (mulberry32). @param {number} seed */
function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One walk: steps at random, and what must hold after them. */
class Walk {
  browser = new Browser();
  scene = this.browser.scene;
  edge = this.scene.edge;
  /** @type {Tab[]} */
  tabs = [];
  published = 0;
  hasTokens = true;
  /** @type {string[]} what was done, to be read where it went wrong */
  steps = [];

  /** @param {number} seed */
  constructor(seed) {
    this.random = randomFrom(seed);
    for (const _ of numbers(1, 3)) this.open();
  }

  /** @template T @param {readonly T[]} of @returns {T} */
  any(of) {
    return /** @type {T} */ (of[Math.floor(this.random() * of.length)]);
  }

  open() {
    const token = () => {
      if (!this.hasTokens) throw new Error("backend down");
      return tokenOf("alice");
    };
    const tab = this.browser.open({ token, ...this.any(KINDS) }, { random: this.random });
    tab.follow(CHANNEL);
    this.tabs.push(tab);
  }

  publish() {
    for (const _ of numbers(1, this.any([1, 1, 3, 20]))) this.edge.publish(CHANNEL, ++this.published);
  }

  /** @param {object} frame */
  say(frame) {
    for (const socket of this.edge.sockets) socket.say(/** @type {any} */ (frame));
  }

  /** What was said meanwhile is lost, and with it each connection, for TCP loses nothing in between. @param {"reachable" | "answers"} what */
  toggle(what) {
    this.edge[what] = !this.edge[what];
    if (this.edge[what]) this.edge.cut();
  }

  /** @param {Tab} tab @param {string} event */
  page(tab, event) {
    tab.page.dispatchEvent(new Event(event));
  }

  /** @type {Record<string, () => unknown>} */
  actions = {
    publish: () => this.publish(),
    "publish again": () => this.publish(),
    "a moment": () => this.scene.pass(this.random() * 50),
    "some seconds": () => this.scene.pass(this.random() * 5_000),
    "a minute": () => this.scene.pass(this.random() * 60_000),
    sleep: () => this.scene.clock.sleep(this.random() * 600_000),
    cut: () => this.edge.cut(),
    network: () => this.toggle("reachable"),
    upgrades: () => (this.edge.upgrades = !this.edge.upgrades),
    streams: () => (this.edge.streams = !this.edge.streams),
    silence: () => this.toggle("answers"),
    disconnect: () => this.edge.disconnect({ code: this.any(COMES_BACK), after_ms: this.any([0, 0, 500, 8_000]) }),
    leave: () => this.edge.leave(this.any([100, 3_000])),
    policy: () => {
      this.edge.policy = this.any([["poll"], ["sse", "poll"], ["websocket", "sse", "poll"]]);
      this.edge.intervalS = this.any([0, 15]);
      this.say({ type: "policy", transports: this.edge.policy, heartbeat: { ping: 25, pong: 10 }, poll: { interval: this.edge.intervalS } });
    },
    expiring: () => this.say({ type: "expiring", in: 30 }),
    tokens: () => (this.hasTokens = !this.hasTokens),
    online: () => this.tabs.forEach((tab) => this.page(tab, "online")),
    look: () => this.page(this.any(this.tabs), "pageshow"),
    cache: async () => {
      const tab = this.any(this.tabs);
      this.page(tab, "pagehide");
      await this.scene.pass(this.random() * 2_000);
      this.page(tab, "pageshow");
    },
    prefer: () => this.any(this.tabs).client.useTransport(this.any(["auto", "websocket", "sse", "poll"])),
    freeze: () => this.any(this.tabs).freeze(),
    thaw: () => this.tabs.forEach((tab) => tab.thaw()),
    open: () => this.tabs.length < 5 && this.open(),
    close: () => this.leave("close"),
    crash: () => this.leave("crash"),
  };

  /** @param {"close" | "crash"} how */
  leave(how) {
    if (this.tabs.length < 2) return;
    const [tab] = this.tabs.splice(Math.floor(this.random() * this.tabs.length), 1);
    tab?.[how]();
  }

  async run() {
    for (const _ of numbers(1, STEPS)) {
      const name = this.any(Object.keys(this.actions));
      this.steps.push(name);
      await this.actions[name]?.();
    }
    for (const what of /** @type {const} */ (["reachable", "answers"])) if (!this.edge[what]) this.toggle(what);
    Object.assign(this.edge, { upgrades: true, streams: true, policy: ["websocket", "sse", "poll"], intervalS: 0 });
    this.hasTokens = true;
    for (const tab of this.tabs) tab.thaw();
    await this.scene.pass(HEALED_MS);
    this.publish();
    await this.scene.pass(60_000);
  }

  check() {
    for (const [index, { client, seen, resets }] of this.tabs.entries()) {
      const which = `tab ${index + 1} of ${this.tabs.length}, by ${client.transport}: ${JSON.stringify([client.state, seen, this.published])}`;
      assert.equal(client.state, "connected", which);
      assert.equal(resets, 0, which);
      assert.equal(seen.at(-1), this.published, which);
      assert.deepEqual(seen, numbers(seen[0], this.published), which);
    }
    assert.ok(this.edge.sockets.size <= this.tabs.length, `${this.edge.sockets.size} connections`);
    assert.deepEqual(this.scene.errors.filter(({ slug }) => slug !== "token_unavailable"), []);
  }
}

for (const seed of numbers(FIRST, FIRST + WALKS - 1)) {
  test(`walk ${seed}`, async () => {
    const walk = new Walk(seed);
    await walk.run();
    try {
      walk.check();
    } catch (error) {
      throw new Error(`${error}\nafter ${walk.steps.join(", ")}`, { cause: error });
    }
  });
}
