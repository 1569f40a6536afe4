// Which transport is used: what was tried, what the edge advises, and what the application asks for.

import assert from "node:assert/strict";
import test from "node:test";

import { Route } from "../src/core/route.js";
import { Scene } from "./support/scene.js";

test("a WebSocket that is refused twice gives way to an event stream", async () => {
  const scene = new Scene();
  scene.edge.upgrades = false;
  const client = scene.client();
  scene.follow(client, "orders:42");
  await scene.pass(1_000);
  scene.edge.publish("orders:42", 1);
  await scene.pass(100);
  assert.equal(client.transport, "sse");
  assert.deepEqual(scene.seen, [1]);
});

test("an event stream that a proxy holds back gives way to long-poll", async () => {
  const scene = new Scene();
  scene.edge.upgrades = scene.edge.streams = false;
  const client = scene.client();
  scene.follow(client, "orders:42");
  await scene.pass(4_000);
  assert.equal(client.transport, "sse");
  await scene.pass(1_000);
  scene.edge.publish("orders:42", 1);
  await scene.pass(100);
  assert.equal(client.transport, "poll");
  assert.deepEqual(scene.seen, [1]);
});

test("an event stream that a proxy holds back once it is open gives way to long-poll as well", async () => {
  const scene = new Scene();
  scene.edge.upgrades = false;
  const client = scene.client();
  scene.follow(client, "orders:42");
  await scene.pass(1_000);
  scene.edge.streams = false;
  scene.edge.publish("orders:42", 1);
  await scene.pass(40_000);
  assert.equal(client.transport, "poll");
  assert.deepEqual(scene.seen, [1]);
});

test("a WebSocket that opens and then says nothing gives way after four seconds", async () => {
  const scene = new Scene();
  scene.edge.answers = false;
  scene.edge.streams = true;
  const client = scene.client();
  await scene.pass(3_900);
  assert.equal(client.transport, "websocket");
  await scene.pass(300);
  assert.equal(client.transport, "sse");
  assert.equal(scene.states.at(-1), "connected");
});

test("a WebSocket that once opened and dropped is tried again, not abandoned", async () => {
  const scene = new Scene();
  const client = scene.client();
  await scene.pass(100);
  scene.edge.upgrades = false;
  scene.edge.cut();
  await scene.pass(60_000);
  assert.equal(client.transport, "websocket");
});

test("what was found by trying is remembered for the page's session", async () => {
  const scene = new Scene();
  const { host, kept } = withMemory(scene);
  scene.edge.upgrades = false;
  const first = scene.client({ host });
  await scene.pass(2_000);
  assert.deepEqual([...kept.values()], ["sse"]);
  first.close();
  assert.equal(scene.client({ host }).transport, "sse");
});

test("what the application has asked for is not remembered: it will ask again", async () => {
  const scene = new Scene();
  const { host, kept } = withMemory(scene);
  scene.client({ host, transport: "poll" });
  await scene.pass(2_000);
  assert.equal(scene.states.at(-1), "connected");
  assert.equal(kept.size, 0);
});

/** @param {Scene} scene */
function withMemory(scene) {
  /** @type {Map<string, string>} */
  const kept = new Map();
  const session = /** @type {Storage} */ ({ getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => void kept.set(key, value) });
  return { host: { ...scene.host, session }, kept };
}

test("where nothing opens, the network is to blame: WebSocket is tried first when it is back", async () => {
  const scene = new Scene();
  scene.edge.reachable = false;
  const client = scene.client();
  await scene.pass(60_000);
  scene.edge.reachable = true;
  scene.host.page.dispatchEvent(new Event("online"));
  await scene.pass(1_000);
  assert.equal(scene.states.at(-1), "connected");
  assert.ok(["websocket", "poll"].includes(client.transport));
});

for (const worse of /** @type {const} */ (["sse", "poll"])) {
  test(`while ${worse} serves, WebSocket is probed, and taken once it opens`, async () => {
    const scene = new Scene();
    scene.edge.upgrades = false;
    scene.edge.streams = worse === "sse";
    const client = scene.client();
    scene.follow(client, "orders:42");
    await scene.pass(10_000);
    scene.edge.upgrades = true;
    assert.equal(client.transport, worse);
    await scene.pass(290_000);
    assert.equal(client.transport, worse);
    scene.edge.publish("orders:42", 1);
    await scene.pass(15_000);
    assert.equal(client.transport, "websocket");
    scene.edge.publish("orders:42", 2);
    await scene.pass(1_000);
    assert.deepEqual(scene.seen, [1, 2]);
    assert.deepEqual(scene.states.filter((state) => state === "connected"), ["connected"]);
  });
}

test("who was sent to polling by the edge asks whether that is over, and comes back to push without a reload", async () => {
  const scene = new Scene();
  const client = scene.client();
  scene.follow(client, "orders:42");
  await scene.pass(100);
  for (const socket of [...scene.edge.sockets]) socket.say({ type: "policy", transports: ["poll"], heartbeat: { ping: 25, pong: 10 }, poll: { interval: 15 } });
  scene.edge.policy = ["poll"];
  await scene.pass(200_000);
  assert.equal(client.transport, "poll");
  assert.equal(scene.edge.sockets.size, 0);
  assert.ok(scene.edge.asked >= 3, `${scene.edge.asked} times asked`);
  scene.edge.policy = ["websocket", "sse", "poll"];
  await scene.pass(90_000);
  assert.equal(client.transport, "websocket");
  scene.edge.publish("orders:42", 1);
  await scene.pass(100);
  assert.deepEqual(scene.seen, [1]);
  assert.deepEqual(scene.states, ["connecting", "connected"]);
});

test("who was sent to polling by the edge polls as often as it says, and is not taken for dead meanwhile", async () => {
  const scene = new Scene();
  const client = scene.client();
  scene.follow(client, "orders:42");
  await scene.pass(100);
  scene.edge.policy = ["poll"];
  scene.edge.intervalS = 60;
  for (const socket of [...scene.edge.sockets]) socket.say({ type: "policy", transports: ["poll"], heartbeat: { ping: 25, pong: 10 }, poll: { interval: 60 } });
  await scene.pass(1_000);
  const polls = scene.edge.polls;
  scene.edge.publish("orders:42", 1);
  await scene.pass(40_000);
  assert.equal(scene.edge.polls, polls, "it rests");
  await scene.pass(40_000);
  assert.deepEqual(scene.seen, [1]);
  await scene.pass(520_000);
  assert.ok(scene.edge.polls - polls >= 7 && scene.edge.polls - polls <= 13, `${scene.edge.polls - polls} polls in ten minutes`);
  assert.deepEqual(scene.states, ["connecting", "connected"]);
  scene.edge.intervalS = 0;
  await scene.pass(100_000);
  scene.edge.publish("orders:42", 2);
  await scene.pass(1_000);
  assert.deepEqual(scene.seen, [1, 2], "held polls bring it at once");
});

test("the order of transports is the edge's, from the beginning", async () => {
  const scene = new Scene();
  scene.edge.policy = ["sse", "poll"];
  const client = scene.client();
  scene.follow(client, "orders:42");
  await scene.pass(100);
  assert.equal(client.transport, "sse");
  assert.equal(scene.edge.sockets.size, 1);
  scene.edge.publish("orders:42", 1);
  await scene.pass(100);
  assert.deepEqual(scene.seen, [1]);
});

test("a transport that does not open leaves the one in use alone", async () => {
  const scene = new Scene();
  const client = scene.client();
  scene.follow(client, "orders:42");
  await scene.pass(100);
  scene.edge.upgrades = false; // for new ones
  for (const socket of [...scene.edge.sockets]) socket.say({ type: "policy", transports: ["sse", "websocket"], heartbeat: { ping: 25, pong: 10 }, poll: { interval: 1 } });
  scene.edge.streams = false;
  await scene.pass(20_000);
  assert.equal(client.transport, "websocket");
  scene.edge.publish("orders:42", 1);
  await scene.pass(100);
  assert.deepEqual(scene.live, [1]);
});

test("the edge's policy moves the client, but not where the application has chosen", async () => {
  const scene = new Scene();
  const free = scene.client();
  const bound = scene.client({ transport: "websocket" });
  await scene.pass(100);
  for (const socket of [...scene.edge.sockets]) socket.say({ type: "policy", transports: ["poll"], heartbeat: { ping: 25, pong: 10 }, poll: { interval: 1 } });
  await scene.pass(200);
  assert.deepEqual([free.transport, bound.transport], ["poll", "websocket"]);
});

test("a transport that is switched off makes room for the other", async () => {
  const scene = new Scene();
  const client = scene.client();
  await scene.pass(100);
  scene.edge.disconnect({ code: 4506, slug: "transport_disabled" });
  await scene.pass(500);
  assert.equal(client.transport, "sse");
  assert.equal(scene.states.at(-1), "connected");
});

test("a probe that is due while another transport is opened waits for its turn: the next deadline is not now, for ever", () => {
  const route = new Route(["websocket", "sse"], "sse", false, () => 0.5);
  route.open(0, []);
  route.heard(0);
  route.welcomed(0);
  route.moveAt = 100; // a new token: another stream
  route.tick(100, false, []);
  assert.equal(route.next?.transport, "sse");
  route.networkChanged(200); // look for something better now
  assert.ok(route.deadline > 200, String(route.deadline));
});
