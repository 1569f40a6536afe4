import assert from "node:assert/strict";
import test from "node:test";

import { Scene, numbers } from "./support/scene.js";

const CHANNEL = "orders:42";

for (const transport of /** @type {const} */ (["websocket", "sse", "poll"])) {
  test(`${transport}: publications arrive live, in order`, async () => {
    const scene = new Scene();
    scene.follow(scene.client({ transport }), CHANNEL);
    await scene.pass(100);
    for (const n of numbers(1, 5)) scene.edge.publish(CHANNEL, n);
    await scene.pass(100);
    assert.deepEqual(scene.seen, [1, 2, 3, 4, 5]);
    assert.deepEqual(scene.live, [1, 2, 3, 4, 5]);
  });

  test(`${transport}: what was published while the client was away arrives once, and is marked as recovered`, async () => {
    const scene = new Scene();
    scene.follow(scene.client({ transport }), CHANNEL);
    await scene.pass(100);
    scene.edge.publish(CHANNEL, 1);
    await scene.pass(100);
    scene.edge.reachable = false;
    scene.edge.cut();
    for (const n of numbers(2, 300)) scene.edge.publish(CHANNEL, n);
    await scene.pass(60_000);
    assert.deepEqual(scene.seen, [1]);
    scene.edge.reachable = true;
    await scene.pass(60_000);
    assert.deepEqual(scene.seen, numbers(1, 300));
    assert.deepEqual(scene.live.slice(0, 1), [1]);
    assert.ok(!scene.live.includes(2));
  });

  test(`${transport}: a history that was lost makes one reset, and publications go on from there`, async () => {
    const scene = new Scene();
    scene.follow(scene.client({ transport }), CHANNEL);
    await scene.pass(100);
    scene.edge.publish(CHANNEL, 1);
    await scene.pass(100);
    scene.edge.reachable = false;
    scene.edge.cut();
    await scene.pass(1_000);
    scene.edge.loseHistory(CHANNEL);
    for (const n of numbers(2, 9)) scene.edge.publish(CHANNEL, n);
    scene.edge.reachable = true;
    await scene.pass(30_000);
    assert.equal(scene.resets, 1);
    scene.edge.publish(CHANNEL, 10);
    await scene.pass(100);
    assert.deepEqual(scene.seen, [1, 10]);
  });

  test(`${transport}: a channel whose oldest publications were trimmed away resets instead of skipping`, async () => {
    const scene = new Scene();
    scene.follow(scene.client({ transport }), CHANNEL);
    await scene.pass(100);
    scene.edge.publish(CHANNEL, 1);
    await scene.pass(100);
    scene.edge.reachable = false;
    scene.edge.cut();
    for (const n of numbers(2, 20)) scene.edge.publish(CHANNEL, n);
    scene.edge.trim(CHANNEL, 3);
    scene.edge.reachable = true;
    await scene.pass(60_000);
    assert.equal(scene.resets, 1);
    assert.deepEqual(scene.seen, [1]);
  });

  test(`${transport}: an ephemeral channel is heard`, async () => {
    const scene = new Scene();
    const subscription = scene.follow(scene.client({ transport }), "typing:board");
    await scene.pass(3_000);
    scene.edge.publish("typing:board", "alice");
    await scene.pass(100);
    scene.edge.publish("typing:board", "bob");
    await scene.pass(100);
    assert.deepEqual(scene.seen, ["alice", "bob"]);
    assert.equal(subscription.position, null);
  });

  test(`${transport}: a subscription made on an open connection begins now`, async () => {
    const scene = new Scene();
    const client = scene.client({ transport });
    await scene.pass(100);
    scene.edge.publish(CHANNEL, "before");
    scene.follow(client, CHANNEL);
    await scene.pass(100);
    scene.edge.publish(CHANNEL, "after");
    await scene.pass(100);
    assert.deepEqual(scene.seen, ["after"]);
  });

  test(`${transport}: a position of the application's own is where a channel goes on`, async () => {
    const scene = new Scene();
    for (const n of numbers(1, 5)) scene.edge.publish(CHANNEL, n);
    const { offset = 0 } = scene.edge.history(CHANNEL).log[1] ?? {};
    scene.follow(scene.client({ transport }), CHANNEL, { position: { epoch: "e1", offset } });
    await scene.pass(100);
    assert.deepEqual(scene.seen, [3, 4, 5]);
  });

  test(`${transport}: a channel may begin with its most recent publications`, async () => {
    const scene = new Scene();
    for (const n of numbers(1, 5)) scene.edge.publish(CHANNEL, n);
    scene.follow(scene.client({ transport }), CHANNEL, { last: 2 });
    await scene.pass(100);
    assert.deepEqual(scene.seen, [4, 5]);
    scene.edge.publish(CHANNEL, 6);
    await scene.pass(100);
    assert.deepEqual(scene.seen, [4, 5, 6]);
  });

  test(`${transport}: a refused channel says so, and leaves the others alone`, async () => {
    const scene = new Scene();
    const client = scene.client({ transport });
    const refused = scene.follow(client, "secret:1");
    scene.follow(client, CHANNEL);
    /** @type {any[]} */
    const changes = [];
    refused.on("state", (change) => changes.push([change.state, change.error?.code]));
    await scene.pass(100);
    scene.edge.publish(CHANNEL, 1);
    await scene.pass(100);
    assert.deepEqual(changes, [["refused", 103]]);
    assert.equal(refused.state, "refused");
    assert.deepEqual(scene.seen, [1]);
  });

  test(`${transport}: publish, history and ack are answered`, async () => {
    const scene = new Scene();
    const client = scene.client({ transport });
    const subscription = scene.follow(client, CHANNEL);
    const published = client.publish(CHANNEL, "note", { text: "hello" });
    await scene.pass(200);
    assert.equal(await published, scene.edge.history(CHANNEL).log[0]?.offset);
    const history = client.history(CHANNEL, { limit: 10 });
    const acked = subscription.ack();
    await scene.pass(200);
    assert.deepEqual((await history).publications.map(({ data }) => data), [{ text: "hello" }]);
    await acked;
    const ack = scene.edge.received.find(({ type }) => type === "ack");
    assert.equal(ack?.["offset"], await published);
  });

  test(`${transport}: what is in the inbox, and how much of it is unread, can be asked for`, async () => {
    const scene = new Scene();
    const client = scene.client({ transport });
    scene.edge.publish("inbox", { text: "hello" });
    const inbox = client.listInbox({ unread: true, limit: 10 });
    await scene.pass(300);
    const { unread, read, complete, publications } = await inbox;
    assert.deepEqual([unread, read, complete, publications.map(({ data }) => data)], [1, 0, true, [{ text: "hello" }]]);
    const { type, ...asked } = scene.edge.received.find((frame) => frame.type === "inbox") ?? {};
    assert.deepEqual([asked["unread"], asked["limit"]], [true, 10]);
  });

  test(`${transport}: after unsubscribing nothing is delivered, and the channel may be opened again`, async () => {
    const scene = new Scene();
    const client = scene.client({ transport });
    const subscription = scene.follow(client, CHANNEL);
    await scene.pass(100);
    scene.edge.publish(CHANNEL, 1);
    await scene.pass(100);
    subscription.unsubscribe();
    scene.edge.publish(CHANNEL, 2);
    await scene.pass(100);
    scene.follow(client, CHANNEL);
    await scene.pass(100);
    scene.edge.publish(CHANNEL, 3);
    await scene.pass(100);
    assert.deepEqual(scene.seen, [1, 3]);
  });
}

test("switching the transport again and again under load loses, repeats and reorders nothing", async () => {
  const scene = new Scene();
  const client = scene.client();
  scene.follow(client, CHANNEL);
  await scene.pass(100);
  for (const n of numbers(1, 200)) {
    scene.edge.publish(CHANNEL, n);
    if (n % 7 === 0) client.useTransport(/** @type {const} */ (["poll", "websocket", "sse"])[n % 3] ?? "auto");
    if (n % 31 === 0) scene.edge.cut();
    await scene.pass(n % 11);
  }
  await scene.pass(5_000);
  assert.deepEqual(scene.seen, numbers(1, 200));
  assert.equal(scene.resets, 0);
});

for (const resyncs of [true, false]) {
  test(`a live gap is mended from the position, ${resyncs ? "on the open connection" : "by a new connection where the edge asks for one"}`, async () => {
    const scene = new Scene();
    scene.edge.resyncs = resyncs;
    const client = scene.client({ transport: "websocket" });
    scene.follow(client, CHANNEL);
    await scene.pass(100);
    scene.edge.publish(CHANNEL, 1);
    await scene.pass(100);
    const [socket] = scene.edge.sockets;
    socket?.channels.delete(CHANNEL);
    scene.edge.publish(CHANNEL, 2);
    socket?.channels.set(CHANNEL, {});
    scene.edge.publish(CHANNEL, 3);
    await scene.pass(600);
    assert.deepEqual(scene.seen, [1, 2, 3]);
    assert.equal(client.counters.gaps, 1);
    assert.equal(client.counters.connects, resyncs ? 1 : 2);
  });
}

test("an edge that answers polls at once with nothing, as one that drains does, is not asked in a spin", async () => {
  const scene = new Scene();
  scene.edge.drains = true;
  scene.follow(scene.client({ transport: "poll" }), CHANNEL);
  await scene.pass(60_000);
  assert.ok(scene.edge.polls <= 62, `${scene.edge.polls} polls in a minute`);
});

test("a duplicate on the wire does not reach the application", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket" });
  scene.follow(client, CHANNEL);
  await scene.pass(100);
  scene.edge.publish(CHANNEL, 1);
  const [socket] = scene.edge.sockets;
  socket?.say({ ...scene.edge.history(CHANNEL).log[0], channel: CHANNEL });
  await scene.pass(100);
  assert.deepEqual(scene.seen, [1]);
  assert.equal(client.counters.duplicates, 1);
});

test("a channel that the edge opens by itself reaches the subscription that waits for it", async () => {
  const scene = new Scene();
  scene.edge.forbidden.add("group:vip");
  const client = scene.client({ transport: "websocket" });
  const subscription = scene.follow(client, "group:vip");
  await scene.pass(100);
  assert.equal(subscription.state, "refused");
  scene.edge.forbidden.delete("group:vip");
  const [socket] = scene.edge.sockets;
  socket?.channels.set("group:vip", {});
  socket?.say({ type: "subscribed", channel: "group:vip", ...scene.edge.open("group:vip", null) });
  scene.edge.publish("group:vip", "welcome");
  await scene.pass(100);
  socket?.say({ type: "unsubscribed", channel: "group:vip", code: 103, slug: "permission_denied", reason: "left" });
  await scene.pass(100);
  assert.deepEqual(scene.seen, ["welcome"]);
  assert.equal(subscription.state, "unsubscribed");
});

test("a channel that the edge opens while it is asked for costs no reconnect", async () => {
  const scene = new Scene();
  scene.edge.resyncs = false;
  const client = scene.client({ transport: "websocket" });
  await scene.pass(100);
  const [socket] = scene.edge.sockets;
  socket?.channels.set("group:vip", {});
  scene.follow(client, "group:vip");
  socket?.say({ type: "subscribed", channel: "group:vip", ...scene.edge.open("group:vip", null) });
  await scene.pass(100);
  scene.edge.publish("group:vip", "welcome");
  await scene.pass(1_000);
  assert.deepEqual(scene.seen, ["welcome"]);
  assert.equal(client.counters.connects, 1);
});

test("one handler's fault is reported, and the other handlers hear the publication", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket" });
  client.subscribe(CHANNEL, () => {
    throw new Error("boom");
  });
  scene.follow(client, CHANNEL);
  await scene.pass(100);
  scene.edge.publish(CHANNEL, 1);
  await scene.pass(100);
  assert.deepEqual(scene.seen, [1]);
  assert.deepEqual(scene.errors.map(({ slug }) => slug), ["handler"]);
});

test("a handler may do anything: what it sets off waits until the publications before it are delivered", async () => {
  const scene = new Scene();
  const client = scene.client();
  client.subscribe(CHANNEL, ({ data }) => {
    if (data === 1) client.useTransport("poll");
    if (data === 2) scene.follow(client, "orders:43");
    scene.seen.push(data);
  });
  await scene.pass(100);
  for (const n of numbers(1, 3)) scene.edge.publish(CHANNEL, n);
  await scene.pass(100);
  scene.edge.publish("orders:43", 4);
  scene.edge.publish(CHANNEL, 5);
  await scene.pass(100);
  assert.deepEqual(scene.seen.sort(), [1, 2, 3, 4, 5]);
  assert.equal(client.counters.gaps, 0);
});

test("a handler that closes the client is the last to be called", async () => {
  const scene = new Scene();
  const client = scene.client();
  client.subscribe(CHANNEL, ({ data }) => {
    scene.seen.push(data);
    client.close();
  });
  await scene.pass(100);
  const [socket] = scene.edge.sockets;
  scene.edge.publish(CHANNEL, 1);
  scene.edge.publish(CHANNEL, 2);
  await scene.pass(100);
  assert.deepEqual(scene.seen, [1]);
  assert.equal(socket?.readyState, 3);
});

test("positions survive a reload in the storage of the application's choice, and another user does not inherit them", async () => {
  const scene = new Scene();
  /** @type {Map<string, string>} */
  const kept = new Map();
  const storage = { getItem: (/** @type {string} */ key) => kept.get(key) ?? null, setItem: (/** @type {string} */ key, /** @type {string} */ value) => void kept.set(key, value) };
  const as = (/** @type {string} */ sub) => `.${btoa(JSON.stringify({ sub }))}.`;
  const first = scene.client({ storage, token: () => as("alice") });
  scene.follow(first, CHANNEL);
  await scene.pass(100);
  scene.edge.publish(CHANNEL, 1);
  await scene.pass(1_000);
  first.close();
  scene.edge.publish(CHANNEL, 2);
  scene.follow(scene.client({ storage, token: () => as("alice") }), CHANNEL);
  await scene.pass(100);
  assert.deepEqual(scene.seen, [1, 2]);
  scene.follow(scene.client({ storage, token: () => as("bob") }), CHANNEL);
  await scene.pass(100);
  assert.deepEqual(scene.seen, [1, 2]);
});
