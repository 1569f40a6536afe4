import { place } from "./support/page.js";

import assert from "node:assert/strict";
import test from "node:test";

import { createPinia, defineStore } from "pinia";
import { createApp, h, nextTick, ref } from "vue";
// @ts-expect-error: its package.json hides its types
import { createStore } from "vuex";

import { useChannel, useConnection, usePresence, whimbrel, whimbrelPinia, whimbrelVuex } from "../src/bindings/vue.js";
import { numbers } from "./support/scene.js";
import { watched } from "./support/watched.js";

const CHANNEL = "orders:42";

/** @param {() => () => string} setup @param {import("../src/index.js").Whimbrel} client */
function mount(setup, client) {
  const container = place();
  const app = createApp({ setup: () => ((render) => () => h("p", render()))(setup()) }).use(whimbrel(client));
  app.mount(container);
  return { text: () => container.textContent, unmount: () => app.unmount() };
}

/** @param {import("vue").MaybeRefOrGetter<string>} channel */
const order = (channel) => () => {
  const view = useChannel(channel, { reduce: (total, { data }) => total + /** @type {number} */ (data), initial: 0 });
  const connection = useConnection();
  const users = usePresence(channel);
  return () => `${view.value.state} ${view.value.value} by ${connection.value.transport} with ${users.value.join()}`;
};

test("a component shows what its channel brings, another channel ends the one before, and unmounting ends all", async () => {
  const { scene, client, edge, open, listeners } = await watched();
  const channel = ref(CHANNEL);
  const mounted = mount(order(channel), client);
  await scene.pass(100);
  for (const n of numbers(1, 4)) edge.publish(CHANNEL, n);
  await scene.pass(100);
  assert.equal(mounted.text(), "subscribed 10 by websocket with alice");
  channel.value = "orders:43";
  await nextTick();
  await scene.pass(100);
  edge.publish("orders:43", 5);
  await scene.pass(100);
  assert.equal(mounted.text(), "subscribed 5 by websocket with alice");
  assert.deepEqual(open(), ["orders:43"]);
  mounted.unmount();
  await scene.pass(100);
  assert.deepEqual([open(), listeners()], [[], 0]);
});

test("nothing is left after 1,000 mounts", async () => {
  const { scene, client, open, listeners } = await watched();
  for (const n of numbers(1, 1_000)) mount(order(`orders:${n % 7}`), client).unmount();
  await scene.pass(1_000);
  assert.deepEqual([open(), listeners(), Object.keys(client.positions)], [[], 0, ["inbox"]]);
});

test("a store of Pinia follows its channels until it is disposed of", async () => {
  const { scene, client, edge, open } = await watched();
  const pinia = createPinia();
  createApp({}).use(pinia);
  pinia.use(whimbrelPinia(client));
  const useOrders = defineStore("orders", /** @type {any} */ ({ state: () => ({ total: 0 }), channels: { [CHANNEL](/** @type {any} */ { data }) { /** @type {any} */ (this).total += data; } } }));
  const store = /** @type {any} */ (useOrders(pinia));
  await scene.pass(100);
  for (const n of numbers(1, 4)) edge.publish(CHANNEL, n);
  await scene.pass(100);
  assert.equal(store.total, 10);
  store.$dispose();
  await scene.pass(100);
  assert.deepEqual(open(), []);
});

test("a store of Vuex commits each publication as the mutation that is named for it", async () => {
  const { scene, client, edge } = await watched();
  const store = createStore({
    state: { total: 0 },
    mutations: { order: (/** @type {any} */ state, /** @type {any} */ { data }) => void (state.total += data) },
    plugins: [whimbrelVuex(client, { [CHANNEL]: "order" })],
  });
  await scene.pass(100);
  for (const n of numbers(1, 4)) edge.publish(CHANNEL, n);
  await scene.pass(100);
  assert.equal(store.state.total, 10);
});
