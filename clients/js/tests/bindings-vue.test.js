import { place } from "./support/page.js";

import assert from "node:assert/strict";
import test from "node:test";

import { createPinia, defineStore, disposePinia } from "pinia";
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
  return () => `${view.value.state} ${view.value.value} by ${connection.value.transport} with ${users.value.users.join()}`;
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

const useOrders = defineStore("orders", /** @type {any} */ ({ state: () => ({ total: 0 }), channels: { [CHANNEL](/** @type {any} */ { data }) { /** @type {any} */ (this).total += data; } } }));

test("a store of Pinia follows its channels until it is disposed of", async () => {
  const { scene, client, edge, open } = await watched();
  const pinia = createPinia().use(whimbrelPinia(client));
  createApp({}).use(pinia);
  const store = /** @type {any} */ (useOrders(pinia));
  await scene.pass(100);
  for (const n of numbers(1, 4)) edge.publish(CHANNEL, n);
  await scene.pass(100);
  assert.equal(store.total, 10);
  store.$dispose();
  await scene.pass(100);
  assert.deepEqual(open(), []);
});

test("a store of Pinia is told where publications may be missing, and begins where it says", async () => {
  const { scene, client, edge } = await watched();
  for (const n of numbers(1, 4)) edge.publish(CHANNEL, n);
  const channels = {
    [CHANNEL]: {
      last: 2,
      publication(/** @type {any} */ { data }) {
        /** @type {any} */ (this).total += data;
      },
      reset() {
        /** @type {any} */ (this).stale = true;
      },
    },
  };
  const pinia = createPinia().use(whimbrelPinia(client));
  createApp({}).use(pinia);
  const store = defineStore("told", /** @type {any} */ ({ state: () => ({ total: 0, stale: false }), channels }))(pinia);
  await scene.pass(100);
  assert.deepEqual(store.$state, { total: 7, stale: false });
  edge.loseHistory(CHANNEL);
  edge.cut();
  await scene.pass(5_000);
  assert.deepEqual(store.$state, { total: 7, stale: true });
  disposePinia(pinia);
});

test("nothing is left after 1,000 mounts with stores of Pinia, disposed of by themselves or with it, written by options or as a setup", async () => {
  const { scene, client, open, listeners } = await watched();
  const useSetup = defineStore("setup", () => ({ order: useChannel("orders:43"), connection: useConnection() }));
  const Component = { setup: () => ((one, two) => () => h("p", `${one.total} ${two.order.state}`))(/** @type {any} */ (useOrders()), /** @type {any} */ (useSetup())) };
  for (const n of numbers(1, 1_000)) {
    const pinia = createPinia().use(whimbrelPinia(client));
    const app = createApp(Component).use(whimbrel(client)).use(pinia);
    app.mount(place());
    app.unmount();
    if (n % 2 === 0) disposePinia(pinia);
    else for (const use of [useOrders, useSetup]) use(pinia).$dispose();
  }
  await scene.pass(1_000);
  assert.deepEqual([open(), listeners(), Object.keys(client.positions)], [[], 0, ["inbox"]]);
});

/** @param {import("../src/index.js").Whimbrel} client */
const shop = (client) =>
  createStore({
    state: { total: 0 },
    mutations: { order: (/** @type {any} */ state, /** @type {any} */ { data }) => void (state.total += data) },
    plugins: [whimbrelVuex(client, { [CHANNEL]: "order" })],
  });

test("a store of Vuex commits each publication as the mutation that is named for it, while an app uses it", async () => {
  const { scene, client, edge, open } = await watched();
  const store = shop(client);
  const apps = [1, 2].map(() => createApp({ render: () => h("p", store.state.total) }).use(store));
  for (const app of apps) app.mount(place());
  await scene.pass(100);
  for (const n of numbers(1, 4)) edge.publish(CHANNEL, n);
  await scene.pass(100);
  assert.equal(store.state.total, 10);
  apps[0]?.unmount();
  await scene.pass(100);
  assert.deepEqual(open(), [CHANNEL]);
  apps[1]?.unmount();
  await scene.pass(100);
  assert.deepEqual(open(), []);
  createApp({ render: () => h("p") }).use(store).mount(place());
  await scene.pass(100);
  assert.deepEqual(open(), [CHANNEL]);
});

test("a store of Vuex is told where publications may be missing, by the mutation that is named for that", async () => {
  const { scene, client, edge } = await watched();
  const store = createStore({
    state: { stale: "" },
    mutations: { order() {}, stale: (/** @type {any} */ state, /** @type {string} */ channel) => void (state.stale = channel) },
    plugins: [whimbrelVuex(client, { [CHANNEL]: { publication: "order", reset: "stale" } })],
  });
  await scene.pass(100);
  edge.loseHistory(CHANNEL);
  edge.cut();
  await scene.pass(5_000);
  assert.equal(store.state.stale, CHANNEL);
});

test("nothing is left after 1,000 mounts with a store of Vuex", async () => {
  const { scene, client, open, listeners } = await watched();
  const Component = { setup: order("orders:43") };
  for (const _ of numbers(1, 1_000)) {
    const store = shop(client);
    const app = createApp({ render: () => h("p", [store.state.total, h(Component)]) }).use(whimbrel(client)).use(store);
    app.mount(place());
    app.unmount();
  }
  await scene.pass(1_000);
  assert.deepEqual([open(), listeners(), Object.keys(client.positions)], [[], 0, ["inbox"]]);
});
