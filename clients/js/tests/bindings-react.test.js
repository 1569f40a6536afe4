import { place } from "./support/page.js";

import assert from "node:assert/strict";
import test from "node:test";

import { act, createElement as h, StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";

import { useChannel, useConnection, usePresence, WhimbrelProvider } from "../src/bindings/react.js";
import { numbers } from "./support/scene.js";
import { watched } from "./support/watched.js";

const CHANNEL = "orders:42";

/** @param {import("react").ReactNode} node @param {import("../src/index.js").Whimbrel} client */
function mount(node, client) {
  const container = place();
  const root = createRoot(container);
  const render = (/** @type {import("react").ReactNode} */ next) => act(() => root.render(h(StrictMode, {}, h(WhimbrelProvider, { client }, next))));
  render(node);
  return { text: () => container.textContent, render, unmount: () => act(() => root.unmount()) };
}

function Order({ channel = CHANNEL }) {
  const { value, state } = useChannel(channel, { reduce: (total, { data }) => total + /** @type {number} */ (data), initial: 0 });
  const connection = useConnection();
  return `${state} ${value} by ${connection.transport} ${connection.state}`;
}

test("a component shows what its channel brings, once in strict mode as well, and the channel is given up with it", async () => {
  const { scene, client, edge, open, listeners } = await watched();
  const mounted = mount(h(Order), client);
  await act(() => scene.pass(100));
  assert.deepEqual(open(), [CHANNEL]);
  for (const n of numbers(1, 4)) edge.publish(CHANNEL, n);
  await act(() => scene.pass(100));
  assert.equal(mounted.text(), "subscribed 10 by websocket connected");
  assert.equal(edge.received.filter(({ type }) => type === "subscribe").length, 1);
  mounted.unmount();
  await scene.pass(100);
  assert.deepEqual([open(), listeners()], [[], 0]);
});

test("another channel in the same component ends the one before", async () => {
  const { scene, client, edge, open } = await watched();
  const mounted = mount(h(Order), client);
  await act(() => scene.pass(100));
  mounted.render(h(Order, { channel: "orders:43" }));
  await act(() => scene.pass(100));
  assert.deepEqual(open(), ["orders:43"]);
  edge.publish("orders:43", 5);
  await act(() => scene.pass(100));
  assert.equal(mounted.text(), "subscribed 5 by websocket connected");
  mounted.unmount();
});

test("options that are written anew in each render are the newest ones, and open nothing anew", async () => {
  const { scene, client, edge } = await watched();
  /** @type {string[]} */
  const heard = [];
  /** @type {(n: number) => void} */
  let set = () => {};
  const Counting = () => {
    const [n, setN] = useState(1);
    set = setN;
    useChannel(CHANNEL, { publication: ({ data }) => heard.push(`${n}:${data}`) });
    return String(n);
  };
  const mounted = mount(h(Counting), client);
  await act(() => scene.pass(100));
  edge.publish(CHANNEL, "a");
  await act(() => scene.pass(100));
  act(() => set(2));
  edge.publish(CHANNEL, "b");
  await act(() => scene.pass(100));
  assert.deepEqual(heard, ["1:a", "2:b"]);
  assert.equal(edge.received.filter(({ type }) => type === "subscribe").length, 1);
  mounted.unmount();
});

test("who is in a channel is shown, and who comes and goes", async () => {
  const { scene, client, edge } = await watched();
  const mounted = mount(h(() => usePresence(CHANNEL).users.join(" ")), client);
  await act(() => scene.pass(100));
  assert.equal(mounted.text(), "alice");
  const [socket] = edge.sockets;
  socket?.say({ type: "join", channel: CHANNEL, user: "bob" });
  await act(() => scene.pass(100));
  assert.equal(mounted.text(), "alice bob");
  socket?.say({ type: "leave", channel: CHANNEL, user: "alice" });
  await act(() => scene.pass(100));
  assert.equal(mounted.text(), "bob");
  mounted.unmount();
});

test("where the edge keeps no presence, the error says so, and the channel is followed all the same", async () => {
  const { scene, client, edge } = await watched();
  edge.keepsPresence = false;
  await assert.rejects(Promise.all([client.presence(CHANNEL), scene.pass(100)]), { name: "WhimbrelError", code: 108, slug: "unavailable", temporary: true });
  const Members = () => {
    const { users, error } = usePresence(CHANNEL);
    return error ? `${error.code} ${error.slug}` : users.join(" ");
  };
  const mounted = mount(h("p", {}, h(Members), " ", h(Order)), client);
  await act(() => scene.pass(100));
  assert.equal(mounted.text(), "108 unavailable subscribed 0 by websocket connected");
  mounted.unmount();
});

test("nothing is left after 1,000 mounts", async () => {
  const { scene, client, open, listeners } = await watched();
  for (const n of numbers(1, 1_000)) mount(h(Order, { channel: `orders:${n % 7}` }), client).unmount();
  await scene.pass(1_000);
  assert.deepEqual([open(), listeners(), Object.keys(client.positions)], [[], 0, ["inbox"]]);
});
