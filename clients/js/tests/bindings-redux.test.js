import assert from "node:assert/strict";
import test from "node:test";

import { applyMiddleware, createStore } from "redux";

import { CHANNEL, CONNECTION, follow, PUBLICATION, unfollow, whimbrelMiddleware } from "../src/bindings/redux.js";
import { numbers } from "./support/scene.js";
import { watched } from "./support/watched.js";

const ORDERS = "orders:42";

test("publications, channel and connection states are dispatched, and following ends with the last who follows", async () => {
  const { scene, client, edge, open } = await watched();
  const initial = { total: 0, channel: "", connection: "" };
  const store = createStore((/** @type {typeof initial | undefined} */ state = initial, /** @type {any} */ { type, payload }) => {
    if (type === PUBLICATION) return { ...state, total: state.total + payload.data };
    if (type === CHANNEL) return { ...state, channel: payload.state };
    if (type === CONNECTION) return { ...state, connection: `${payload.state} by ${payload.transport}` };
    return state;
  }, applyMiddleware(whimbrelMiddleware(client)));
  store.dispatch(follow(ORDERS));
  store.dispatch(follow(ORDERS));
  await scene.pass(100);
  for (const n of numbers(1, 4)) edge.publish(ORDERS, n);
  await scene.pass(100);
  assert.deepEqual(store.getState(), { total: 10, channel: "subscribed", connection: "" });
  store.dispatch(unfollow(ORDERS));
  await scene.pass(100);
  assert.deepEqual(open(), [ORDERS]);
  store.dispatch(unfollow(ORDERS));
  await scene.pass(100);
  assert.deepEqual(open(), []);
  edge.cut();
  await scene.pass(3_000);
  assert.equal(store.getState().connection, "connected by websocket");
});

test("nothing is left after 1,000 times of following", async () => {
  const { scene, client, open } = await watched();
  const store = createStore(() => null, applyMiddleware(whimbrelMiddleware(client)));
  for (const n of numbers(1, 1_000)) {
    store.dispatch(follow(`orders:${n % 7}`));
    store.dispatch(unfollow(`orders:${n % 7}`));
  }
  await scene.pass(1_000);
  assert.deepEqual([open(), Object.keys(client.positions)], [[], ["inbox"]]);
});
