// What the edge says about when to come back holds wherever it is asked.

import assert from "node:assert/strict";
import test from "node:test";

import { Route } from "../src/core/route.js";
import { Scene } from "./support/scene.js";

/** @import { Effect } from "../src/core/effects.js" */

const MINUTE_MS = 60_000;

test("an edge that is asked which transports to use, and names a time, is not asked before", async () => {
  const scene = new Scene();
  scene.edge.policy = ["poll"];
  scene.client();
  await scene.pass(1_000);
  Object.assign(scene.edge, { policy: null, retryAfterS: 20 * 60 });
  await scene.pass(2 * MINUTE_MS);
  const { asked } = scene.edge;
  await scene.pass(17 * MINUTE_MS);
  assert.equal(scene.edge.asked, asked);
  await scene.pass(5 * MINUTE_MS);
  assert.ok(scene.edge.asked > asked);
});

test("a transport that the edge refuses for a while is not tried before", async () => {
  const scene = new Scene();
  const client = scene.client();
  await scene.pass(100);
  scene.edge.refusal = { status: 503, code: 108, retry_after_ms: 40_000 };
  for (const socket of scene.edge.sockets) socket.say({ type: "policy", transports: ["sse", "websocket"], heartbeat: { ping: 25, pong: 10 }, poll: { interval: 1 } });
  await scene.pass(39_000);
  assert.deepEqual([client.transport, scene.edge.streamed], ["websocket", 1]);
  scene.edge.refusal = null;
  await scene.pass(2_000);
  assert.deepEqual([client.transport, scene.edge.streamed], ["sse", 2]);
  assert.deepEqual(scene.states, ["connecting", "connected"]);
});

test("a better transport that was probed, and refused for a while, is not probed before", () => {
  /** @type {Effect[]} */
  const out = [];
  const route = new Route(["websocket", "sse"], "sse", false, () => 0.5);
  route.open(0, out);
  route.heard(0);
  route.welcomed(0);
  for (let now = 0; !route.next; now = route.deadline) route.tick(now, false, out);
  const probed = 5 * MINUTE_MS;
  route.stay(false, probed, out, 60 * MINUTE_MS);
  assert.equal(route.deadline, probed + 60 * MINUTE_MS);
});
