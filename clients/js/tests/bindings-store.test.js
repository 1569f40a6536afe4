// The plain stores: a value, while somebody listens.

import assert from "node:assert/strict";
import test from "node:test";

import { channelStore, connectionStore, presenceStore } from "../src/bindings/store.js";
import { numbers } from "./support/scene.js";
import { watched } from "./support/watched.js";

const CHANNEL = "orders:42";
const sum = { initial: 0, reduce: (/** @type {number} */ total, /** @type {any} */ { data }) => total + data };

test("a listener is called at once and at each change, and the channel is open while there is one", async () => {
  const { scene, client, edge, open, listeners } = await watched();
  /** @type {string[]} */
  const seen = [];
  const ends = [
    channelStore(client, CHANNEL, sum).subscribe(({ value, state }) => seen.push(`${state} ${value}`)),
    connectionStore(client).subscribe(({ state, transport }) => seen.push(`${state} by ${transport}`)),
  ];
  await scene.pass(100);
  for (const n of numbers(1, 2)) edge.publish(CHANNEL, n);
  await scene.pass(100);
  assert.deepEqual(seen, ["subscribing 0", "connected by websocket", "subscribed 0", "subscribed 1", "subscribed 3"]);
  for (const end of ends) end();
  await scene.pass(100);
  assert.deepEqual([open(), listeners()], [[], 0]);
});

test("who listens again hears what came while nobody did, or that it cannot be had", async () => {
  const { scene, client, edge } = await watched();
  let resets = 0;
  const store = channelStore(client, CHANNEL, { ...sum, reset: () => resets++ });
  const listen = async () => {
    const end = store.subscribe(() => {});
    await scene.pass(100);
    return end;
  };
  let end = await listen();
  edge.publish(CHANNEL, 1);
  await scene.pass(100);
  end();
  await scene.pass(100);
  edge.publish(CHANNEL, 10);
  end = await listen();
  assert.deepEqual([store.get().value, resets], [11, 0]);
  end();
  await scene.pass(100);
  edge.loseHistory(CHANNEL);
  await listen();
  assert.equal(resets, 1);
});

for (const [what, channel, other] of /** @type {const} */ ([
  ["the inbox, which stays open", "inbox", false],
  ["a channel that somebody else holds open", CHANNEL, true],
])) {
  test(`who listens again to ${what} is told to load anew where something came meanwhile, and only there`, async () => {
    const { scene, client, edge } = await watched();
    let resets = 0;
    if (other) channelStore(client, channel).subscribe(() => {});
    const store = channelStore(client, channel, { ...sum, reset: () => resets++ });
    const listen = async () => {
      const end = store.subscribe(() => {});
      await scene.pass(100);
      return end;
    };
    /** @param {number} n */
    const publish = async (n) => {
      edge.publish(channel, n);
      await scene.pass(100);
    };
    let end = await listen();
    await publish(1);
    end();
    await scene.pass(100);
    end = await listen();
    assert.deepEqual([store.get().value, resets], [1, 0]);
    end();
    await scene.pass(100);
    await publish(10);
    await listen();
    assert.deepEqual([store.get().value, resets], [1, 1]);
    await publish(100);
    assert.deepEqual([store.get().value, resets], [101, 1]);
  });
}

test("nothing is left after 1,000 listeners", async () => {
  const { scene, client, open, listeners } = await watched();
  for (const n of numbers(1, 1_000)) {
    const stores = [channelStore(client, `orders:${n % 7}`), connectionStore(client), presenceStore(client, `orders:${n % 5}`)];
    for (const store of stores) /** @type {import("../src/bindings/store.js").Store<any>} */ (store).subscribe(() => {})();
  }
  await scene.pass(1_000);
  assert.deepEqual([open(), listeners(), Object.keys(client.positions)], [[], 0, ["inbox"]]);
});
