// The way out of polling: one state that never goes back, whatever brings it.

import assert from "node:assert/strict";
import test from "node:test";

import { replacePolling } from "../src/replace-polling.js";
import { Scene } from "./support/scene.js";

const CHANNEL = "orders:42";
const INTERVAL_MS = 5_000;

/** A product that stores a state, publishes it, and answers who asks for it. */
class Product {
  scene = new Scene();
  /** @type {{version?: number, status: string}} */
  state = { version: 1, status: "placed" };
  fetches = 0;
  positioned = false; // replies bear `Whimbrel-Position`
  lagMs = 20; // between reading the state and the reply's arrival
  down = false;
  /** @type {[string, string][]} */
  shown = [];

  /** @param {object} [options] */
  replace(options = {}) {
    this.client = this.scene.client();
    return replacePolling(/** @type {any} */ ({ client: this.client, channel: CHANNEL, intervalMs: INTERVAL_MS, fetch: () => this.fetch(), apply: (/** @type {any} */ { status }, /** @type {string} */ source) => void this.shown.push([status, source]), ...options }));
  }

  /** @param {string} status @param {{publishes?: boolean}} [how] */
  change(status, { publishes = true } = {}) {
    this.state = { ...(this.state.version !== undefined && { version: this.state.version + 1 }), status };
    if (publishes) this.scene.edge.publish(CHANNEL, this.state);
  }

  async fetch() {
    this.fetches += 1;
    if (this.down) throw new Error("backend down");
    const { epoch, log } = this.scene.edge.history(CHANNEL);
    /** @type {Record<string, string>} */
    const headers = this.positioned ? { "whimbrel-position": `orders:1=e9.7, ${CHANNEL}=${epoch}.${log.at(-1)?.offset ?? 0}` } : {};
    const reply = new Response(JSON.stringify(this.state), { headers });
    await new Promise((resolve) => this.scene.clock.setTimeout(() => resolve(undefined), this.lagMs));
    return reply;
  }
}

test("a plain endpoint gives the first state, publications every later one, and nothing is polled", async () => {
  const product = new Product();
  const replacement = product.replace();
  await product.scene.pass(200);
  for (const status of ["paid", "packed", "shipped"]) {
    product.change(status);
    await product.scene.pass(60_000);
  }
  assert.deepEqual(product.shown.filter(([, source]) => source === "push").map(([status]) => status), ["paid", "packed", "shipped"]);
  assert.equal(product.shown[0]?.[0], "placed");
  assert.equal(product.fetches, 2); // one at once, one when the channel was open: nothing lies between
  assert.equal(replacement.live, true);
  const { polls, fetches, savedRequests, savedBytes } = replacement.cost;
  assert.deepEqual({ polls, fetches, savedRequests }, { polls: 37, fetches: 2, savedRequests: 35 });
  assert.ok(savedBytes > 35 * 20, `${savedBytes} bytes`);
});

test("what changes between the first fetch and the subscription is not missed", async () => {
  const product = new Product();
  product.replace();
  await product.scene.pass(10);
  product.change("paid"); // after the state was read, before the channel is open
  await product.scene.pass(1_000);
  assert.equal(product.shown.at(-1)?.[0], "paid");
});

test("a reply that bears its position needs one fetch, and what was published since then follows", async () => {
  const product = new Product();
  product.positioned = true;
  product.change("paid");
  product.replace();
  await product.scene.pass(10);
  product.change("packed");
  await product.scene.pass(1_000);
  product.change("shipped");
  await product.scene.pass(1_000);
  assert.deepEqual(product.shown, [["paid", "fetch"], ["packed", "push"], ["shipped", "push"]]);
  assert.equal(product.fetches, 1);
});

test("a fetch that was overtaken by a publication does not bring the old state back", async () => {
  const product = new Product();
  product.lagMs = 2_000;
  product.replace();
  await product.scene.pass(2_500); // the second fetch is under way
  product.change("paid");
  await product.scene.pass(10_000);
  assert.deepEqual(product.shown.map(([status]) => status), ["placed", "paid"]);
});

test("neither does it where states have no version: it is fetched again", async () => {
  const product = new Product();
  product.state = { status: "placed" };
  product.lagMs = 2_000;
  product.replace();
  await product.scene.pass(2_500);
  product.change("paid");
  await product.scene.pass(10_000);
  assert.deepEqual(product.shown.map(([status]) => status), ["placed", "paid", "paid"]);
  assert.equal(product.fetches, 3);
});

test("while push is away the old interval serves, and the next publication takes over again", async () => {
  const product = new Product();
  const replacement = product.replace();
  await product.scene.pass(1_000);
  const before = product.fetches;
  product.scene.edge.reachable = false;
  product.scene.edge.cut();
  product.change("paid", { publishes: false });
  await product.scene.pass(3 * INTERVAL_MS);
  assert.equal(replacement.live, false);
  assert.ok(product.fetches - before >= 2 && product.fetches - before <= 3, `${product.fetches - before} fetches`);
  assert.equal(product.shown.at(-1)?.[0], "paid");
  product.scene.edge.reachable = true;
  await product.scene.pass(30_000);
  const after = product.fetches;
  product.change("packed");
  await product.scene.pass(60_000);
  assert.deepEqual(product.shown.at(-1), ["packed", "push"]);
  assert.equal(product.fetches, after);
});

test("a history that cannot be proved complete costs one fetch", async () => {
  const product = new Product();
  product.replace();
  await product.scene.pass(1_000);
  product.change("paid");
  await product.scene.pass(1_000);
  product.scene.edge.cut();
  product.scene.edge.loseHistory(CHANNEL);
  product.change("packed", { publishes: false });
  const before = product.fetches;
  await product.scene.pass(4_000);
  assert.equal(product.fetches - before, 1);
  assert.equal(product.shown.at(-1)?.[0], "packed");
});

test("an endpoint that fails is asked again after the interval, and push serves meanwhile", async () => {
  const product = new Product();
  /** @type {string[]} */
  const failures = [];
  product.down = true;
  product.replace({ failed: (/** @type {Error} */ error) => failures.push(error.message) });
  await product.scene.pass(1_000);
  product.change("paid");
  await product.scene.pass(1_000);
  assert.deepEqual(product.shown, [["paid", "push"]]);
  assert.ok(failures.every((message) => message === "backend down") && failures.length >= 1);
});

test("what `apply` throws is no failure of the endpoint: the host is told, and push goes on", async () => {
  const product = new Product();
  /** @type {Error[]} */
  const failures = [];
  /** @type {unknown[]} */
  const uncaught = [];
  const told = (/** @type {unknown} */ error) => void uncaught.push(error);
  const before = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", told);
  const replacement = product.replace({ apply: () => assert.fail("of the page"), failed: (/** @type {Error} */ error) => failures.push(error) });
  await product.scene.pass(1_000);
  await new Promise(setImmediate);
  process.off("uncaughtException", told);
  for (const each of before) process.on("uncaughtException", each);
  assert.deepEqual([failures, uncaught.map((error) => /** @type {Error} */ (error).message)], [[], ["of the page", "of the page"]]);
  assert.equal(replacement.live, true);
});

test("once it is stopped nothing is applied or fetched any more", async () => {
  const product = new Product();
  const replacement = product.replace();
  await product.scene.pass(1_000);
  replacement.stop();
  product.change("paid");
  product.scene.edge.cut();
  const { fetches } = product;
  await product.scene.pass(60_000);
  assert.deepEqual(product.shown.map(([status]) => status), ["placed", "placed"].slice(0, product.shown.length));
  assert.equal(product.fetches, fetches);
});
