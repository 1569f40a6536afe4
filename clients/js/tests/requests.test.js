// What an application asks of the edge, and how it reads publications in a loop.

import assert from "node:assert/strict";
import test from "node:test";

import { MAX_REQUESTS } from "../src/core/requests.js";
import { MAX_PENDING } from "../src/pending.js";
import { Scene, numbers } from "./support/scene.js";

const CHANNEL = "orders:42";

test("what is published while the connection is away is sent when it is back, once and in order", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket" });
  await scene.pass(100);
  scene.edge.reachable = false;
  scene.edge.cut();
  const published = numbers(1, 5).map((n) => client.publish(CHANNEL, "note", n));
  await scene.pass(20_000);
  scene.edge.reachable = true;
  await scene.pass(20_000);
  await Promise.all(published);
  assert.deepEqual(scene.edge.history(CHANNEL).log.map(({ data }) => data), [1, 2, 3, 4, 5]);
});

test("a publish that has expired is rejected, and not sent any more", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket" });
  await scene.pass(100);
  scene.edge.reachable = false;
  scene.edge.cut();
  const expired = assert.rejects(client.publish(CHANNEL, "note", 1), { slug: "timeout" });
  const soon = assert.rejects(client.publish(CHANNEL, "note", 2, { expiryMs: 1_000 }), { slug: "timeout" });
  await scene.pass(1_100);
  await soon;
  await scene.pass(60_000);
  await expired;
  scene.edge.reachable = true;
  await scene.pass(30_000);
  assert.equal(client.state, "connected");
  assert.deepEqual(scene.edge.history(CHANNEL).log, []);
});

test("one request more than may wait is refused at once", async () => {
  const scene = new Scene();
  scene.edge.reachable = false;
  const client = scene.client();
  const waiting = numbers(1, MAX_REQUESTS).map((n) => client.publish(CHANNEL, "note", n));
  await assert.rejects(client.publish(CHANNEL, "note", 0), { slug: "limit_exceeded" });
  client.close();
  assert.equal((await Promise.allSettled(waiting)).filter(({ status }) => status === "rejected").length, MAX_REQUESTS);
});

test("who is in a channel is asked, and who comes and goes is told", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket" });
  const subscription = scene.follow(client, CHANNEL);
  /** @type {string[]} */
  const heard = [];
  subscription.on("join", ({ user }) => heard.push(`+${user}`));
  subscription.on("leave", ({ user }) => heard.push(`-${user}`));
  await scene.pass(100);
  const present = client.presence(CHANNEL);
  const [socket] = scene.edge.sockets;
  socket?.say({ type: "join", channel: CHANNEL, user: "bob" });
  socket?.say({ type: "leave", channel: CHANNEL, user: "bob" });
  await scene.pass(100);
  assert.deepEqual(await present, [{ user: "alice" }]);
  assert.deepEqual(heard, ["+bob", "-bob"]);
});

test("publications may be iterated over, and leaving the loop ends the subscription", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket" });
  const subscription = client.subscribe(CHANNEL);
  /** @type {unknown[]} */
  const read = [];
  const loop = (async () => {
    for await (const { data } of subscription) {
      read.push(data);
      if (data === 3) break;
    }
  })();
  await scene.pass(100);
  for (const n of numbers(1, 5)) scene.edge.publish(CHANNEL, n);
  await scene.pass(100);
  await loop;
  assert.deepEqual(read, [1, 2, 3]);
  assert.equal(subscription.state, "unsubscribed");
});

test("a loop ends when the client is closed", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket" });
  const loop = (async () => {
    for await (const _ of client.subscribe(CHANNEL));
    return "ended";
  })();
  await scene.pass(100);
  client.close();
  assert.equal(await loop, "ended");
});

test("a loop that is too far behind ends with an error, and no memory is spent on it any more", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket" });
  const publications = client.subscribe(CHANNEL)[Symbol.asyncIterator]();
  const first = publications.next();
  await scene.pass(100);
  for (const n of numbers(1, MAX_PENDING + 2)) scene.edge.publish(CHANNEL, n);
  await scene.pass(1_000);
  assert.equal((await first).value?.data, 1);
  let last = 1;
  await assert.rejects(
    async () => {
      for (;;) {
        const { value, done } = await publications.next();
        if (done) return;
        last = /** @type {number} */ (value.data);
      }
    },
    { slug: "limit_exceeded" },
  );
  assert.ok(last >= MAX_PENDING, String(last));
});
