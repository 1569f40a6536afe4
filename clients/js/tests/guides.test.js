// What the guides of the frameworks tell to write does what they say, in the frameworks themselves.

import { place } from "./support/page.js";

import assert from "node:assert/strict";
import test from "node:test";

import { act, createElement as h, StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createApp, h as vue, nextTick } from "vue";

import { WhimbrelProvider } from "../src/bindings/react.js";
import { whimbrel } from "../src/bindings/vue.js";
import { Whimbrel } from "../src/index.js";
import { filesOf, guide } from "./support/guide.js";
import { Scene } from "./support/scene.js";
import { watched } from "./support/watched.js";

test("the guide of React: an order is shown, and kept current", async () => {
  const { scene, client, edge, open } = await watched();
  const { App } = await guide("use-with-react.md", "order.jsx", client);
  const container = place();
  const root = createRoot(container);
  act(() => root.render(h(StrictMode, {}, h(App))));
  await act(() => scene.pass(100));
  edge.publish("orders:42", { status: "shipped" });
  await act(() => scene.pass(100));
  assert.equal(container.innerHTML, '<p class="connected">Order 42 is shipped</p>');
  act(() => root.unmount());
  await scene.pass(100);
  assert.deepEqual(open(), []);
});

test("the guide of React: a state from the API is loaded once the channel is open, and again after a reset", async () => {
  const { scene, client, edge } = await watched();
  const baskets = [{ version: 3, items: 3 }, { version: 9, items: 9 }];
  const { fetch } = globalThis;
  globalThis.fetch = async () => new Response(JSON.stringify(baskets.shift()));
  const { Basket } = await guide("use-with-react.md", "basket.jsx", client);
  const container = place();
  const root = createRoot(container);
  const shown = async () => {
    await act(() => scene.pass(100));
    return container.textContent;
  };
  act(() => root.render(h(WhimbrelProvider, { client }, h(Basket, { id: "7" }))));
  assert.equal(await shown(), "3 items");
  edge.publish("baskets:7", { version: 2, items: 2 }); // older
  assert.equal(await shown(), "3 items");
  edge.publish("baskets:7", { version: 4, items: 4 });
  assert.equal(await shown(), "4 items");
  edge.cut();
  await act(() => scene.pass(5_000));
  assert.equal(await shown(), "4 items"); // it came back from its position: nothing is loaded
  edge.loseHistory("baskets:7");
  edge.cut();
  await act(() => scene.pass(5_000));
  assert.equal(await shown(), "9 items");
  act(() => root.unmount());
  globalThis.fetch = fetch;
});

test("the guide of Redux: what is followed is in the store", async () => {
  const { scene, client, edge, open } = await watched();
  const { showOrder, store } = await guide("use-with-redux.md", "follow.js store.js", client);
  edge.publish("orders:42", { status: "paid" });
  const end = showOrder("42");
  await scene.pass(100);
  const { orders, channels } = store.getState();
  assert.deepEqual([orders, channels], [{ "orders:42": { status: "paid" } }, { "orders:42": "subscribed" }]);
  edge.loseHistory("orders:42");
  edge.cut();
  await scene.pass(5_000);
  const { stale, connection } = store.getState();
  assert.deepEqual([stale, connection], [["orders:42"], "connected"]);
  end();
  await scene.pass(100);
  assert.deepEqual(open(), []);
});

test("the guide of Vue: an order is shown, and the button shows the next", async () => {
  const { scene, client, edge, open } = await watched();
  const { app } = await guide("use-with-vue.md", "main.js", client);
  const container = place();
  app.mount(container);
  await scene.pass(100);
  edge.publish("orders:42", { status: "shipped" });
  await scene.pass(100);
  assert.match(container.innerHTML, /<p class="connected">Order 42 is shipped \(subscribed\)<\/p>/);
  container.querySelector("button")?.click();
  await nextTick();
  await scene.pass(100);
  assert.match(container.innerHTML, /<p class="connected">Order 43 is … \(subscribed\)<\/p>/);
  assert.deepEqual(open(), ["orders:43"]);
  app.unmount();
  await scene.pass(100);
  assert.deepEqual(open(), []);
});

test("the guide of Pinia: a store of options and a setup store hold what their channels bring, and end with the Pinia", async () => {
  const { scene, client, edge, open } = await watched();
  const { pinia, useOrders } = await guide("use-with-pinia.md", "orders.js", client);
  const { useOrder } = await guide("use-with-pinia.md", "order.js", client);
  createApp({ render: () => vue("p") }).use(whimbrel(client)).use(pinia);
  const { useLetters } = await guide("use-with-pinia.md", "letters.js", client);
  const [orders, order, letters] = [useOrders(pinia), useOrder(pinia), useLetters(pinia)];
  await scene.pass(100);
  edge.publish("orders:board", { order: "42", status: "shipped" });
  edge.publish("orders:42", { status: "shipped" });
  edge.publish("inbox", "a letter");
  await scene.pass(100);
  assert.deepEqual([orders.all["42"].status, order.status, letters.newest, letters.stale], ["shipped", "shipped", "a letter", false]);
  edge.loseHistory("inbox");
  edge.cut();
  await scene.pass(5_000);
  assert.equal(letters.stale, true);
  letters.$dispose();
  orders.$dispose();
  order.$dispose();
  await scene.pass(100);
  assert.deepEqual(open(), []);
});

test("the guide of Vuex: publications are committed, for the store's own channels and a component's", async () => {
  const { scene, client, edge, open } = await watched();
  const { store } = await guide("use-with-vuex.md", "store.js", client);
  const { default: Order } = await guide("use-with-vuex.md", "Order.vue", client);
  const container = place();
  const app = createApp({ render: () => vue(Order, { id: "42" }) }).use(whimbrel(client)).use(store);
  app.mount(container);
  await scene.pass(100);
  edge.publish("orders:42", { order: "42", status: "packed" });
  edge.publish("orders:board", { order: "43", status: "paid" });
  await scene.pass(100);
  assert.equal(container.textContent, "Order 42 is packed");
  assert.equal(store.state.orders["43"].status, "paid");
  app.unmount();
  await scene.pass(100);
  assert.deepEqual(open(), []);
});

test("the guide of the stores: what they hold is shown, until it is ended", async () => {
  const { scene, client, edge, open } = await watched();
  const { show } = await guide("use-with-any-framework.md", "order.js", client);
  const container = place();
  const end = show(container);
  await scene.pass(100);
  edge.publish("orders:42", { status: "shipped" });
  await scene.pass(100);
  assert.deepEqual([container.textContent, container.className], ["Order 42 is shipped (subscribed)", "connected"]);
  end();
  await scene.pass(100);
  assert.deepEqual(open(), []);
});

test("the guide of the plain page: all that it shows does what it says, one after the other on one page", async () => {
  const scene = new Scene();
  /** @type {[string, unknown][]} */
  const told = [];
  const tell = (/** @type {string} */ what) => (/** @type {unknown[]} */ ...said) => void told.push([what, said.at(-1)]);
  class Page extends Whimbrel {
    constructor(/** @type {string} */ url, /** @type {import("../src/options.js").Options} */ options) {
      super(url, { ...options, host: scene.host, tabs: "apart" });
    }
  }
  const surroundings = {
    Whimbrel: Page,
    fetch: async () => new Response('{"token": "of the session"}'),
    console: { log: tell("state") },
    ...Object.fromEntries(["show", "notify", "apply", "reloadFromYourApi"].map((name) => [name, tell(name)])),
    epoch: "e1",
    offset: 0,
  };
  const files = filesOf("use-from-a-browser.md");
  const code = ["page.js", "asking.js", "subscription.js", "loop.js"].map((name) => files.get(name)?.replace(/^import .*$/m, ""));
  const AsyncFunction = /** @type {FunctionConstructor} */ ((async () => {}).constructor);
  const running = new AsyncFunction(...Object.keys(surroundings), code.join("\n"))(...Object.values(surroundings));
  running.catch(assert.fail);
  await scene.pass(1_000);
  scene.edge.publish("orders:42", "live");
  scene.edge.publish("inbox", "a letter");
  await scene.pass(1_000);
  const asked = scene.edge.received.map(({ type }) => type);
  for (const type of ["publish", "history", "ack", "inbox", "presence"]) assert.ok(asked.includes(type), `${type} was not asked: ${asked}`);
  assert.deepEqual(told.filter(([what]) => what === "show"), [["show", "live"], ["show", "live"]]); // the page, and the loop
  assert.deepEqual(told.filter(([what]) => what === "notify"), [["notify", "a letter"]]);
});

test("the guide of polling: the endpoint first, then publications, and the old interval while push is away", async () => {
  const { scene, client, edge } = await watched();
  const { fetch } = globalThis;
  let version = 1;
  let asked = 0;
  globalThis.fetch = async () => {
    asked += 1;
    return new Response(JSON.stringify({ version, status: "from the endpoint" }));
  };
  /** @type {any[]} */
  const rendered = [];
  const { showOrder } = await guide("replace-polling.md", "order.js", client);
  const order = showOrder((/** @type {any} */ value) => rendered.push(`${value.version} ${value.status}`));
  await scene.pass(60_000);
  edge.publish("orders:42", { version: 2, status: "published" });
  await scene.pass(100);
  assert.deepEqual([rendered[0], rendered.at(-1)], ["1 from the endpoint", "2 published"]);
  assert.deepEqual([asked, order.live, order.cost.polls, order.cost.savedRequests], [2, true, 13, 11]);
  edge.reachable = false;
  edge.cut();
  version = 3;
  await scene.pass(6_000);
  assert.deepEqual([rendered.at(-1), order.live], ["3 from the endpoint", false]);
  order.stop();
  globalThis.fetch = fetch;
});
