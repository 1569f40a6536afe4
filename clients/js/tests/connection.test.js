import assert from "node:assert/strict";
import test from "node:test";

import { Scene } from "./support/scene.js";

test("a client connects by itself, with what was subscribed in the same breath", async () => {
  const scene = new Scene();
  const client = scene.client();
  scene.follow(client, "orders:42");
  await scene.pass(100);
  assert.deepEqual(scene.states, ["connecting", "connected"]);
  assert.deepEqual(scene.edge.received.map(({ type, channels }) => [type, Object.keys(channels)]), [["connect", ["inbox", "orders:42"]]]);
  assert.equal(client.user, "alice");
  assert.equal(client.transport, "websocket");
});

test("a reconnect shows the resume grant, and asks the application for no token", async () => {
  const scene = new Scene();
  scene.client();
  await scene.pass(100);
  scene.edge.cut();
  await scene.pass(2_000);
  assert.deepEqual(scene.edge.received.map(({ resume }) => resume), [undefined, "grant"]);
  assert.equal(scene.tokens, 1);
});

test("a refused connection is tried again, ever later, and never given up", async () => {
  const scene = new Scene();
  scene.edge.reachable = false;
  scene.client({ transport: "websocket" });
  await scene.pass(60_000);
  const inTheFirstMinute = scene.states.filter((state) => state === "connecting").length;
  assert.ok(inTheFirstMinute >= 8 && inTheFirstMinute <= 14, `${inTheFirstMinute} tries`);
  await scene.pass(3_600_000);
  assert.equal(scene.states.at(-1), "disconnected");
  scene.edge.reachable = true;
  await scene.pass(20_000);
  assert.equal(scene.states.at(-1), "connected");
});

test("the edge names the time of the retry, and that wins over a page that comes back", async () => {
  const scene = new Scene();
  scene.client();
  await scene.pass(100);
  scene.edge.disconnect({ code: 4000, slug: "draining", after_ms: 7_000 });
  await scene.pass(100);
  scene.host.page.dispatchEvent(new Event("online"));
  await scene.pass(6_700);
  assert.equal(scene.states.at(-1), "disconnected");
  await scene.pass(500);
  assert.equal(scene.states.at(-1), "connected");
  assert.ok(scene.codes.includes(4000));
});

test("when the edge leaves, the client opens its new connection before it closes the old one", async () => {
  const scene = new Scene();
  const client = scene.client();
  scene.follow(client, "orders:42");
  await scene.pass(100);
  const [before] = scene.edge.sockets;
  scene.edge.leave(7_000);
  await scene.pass(6_900);
  scene.edge.publish("orders:42", 1);
  await scene.pass(50);
  assert.deepEqual([...scene.edge.sockets], [before]);
  for (const number of [2, 3, 4, 5, 6, 7, 8, 9]) {
    scene.edge.publish("orders:42", number);
    await scene.pass(10);
  }
  assert.equal(scene.edge.sockets.size, 1);
  assert.notEqual([...scene.edge.sockets][0], before);
  assert.deepEqual(scene.seen, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(scene.states, ["connecting", "connected"]);
  assert.equal(client.counters.connects, 2);
  assert.equal(client.state, "connected");
});

test("a move that fails is tried again while the old connection serves", async () => {
  const scene = new Scene();
  const client = scene.client();
  scene.follow(client, "orders:42");
  await scene.pass(100);
  scene.edge.leave(1_000);
  scene.edge.upgrades = false;
  await scene.pass(2_000);
  scene.edge.publish("orders:42", 1);
  await scene.pass(100);
  assert.deepEqual(scene.live, [1]);
  scene.edge.upgrades = true;
  await scene.pass(3_000);
  assert.equal(client.counters.connects, 2);
  assert.deepEqual(scene.states, ["connecting", "connected"]);
});

test("a terminal code closes the client, and says why", async () => {
  const scene = new Scene();
  scene.client();
  await scene.pass(100);
  scene.edge.disconnect({ code: 4503, slug: "revoked", reason: "signed out everywhere" });
  await scene.pass(60_000);
  assert.deepEqual(scene.states, ["connecting", "connected", "closed"]);
  assert.equal(scene.codes.at(-1), 4503);
});

test("an unknown code is read by its range", async () => {
  for (const [code, last] of /** @type {const} */ ([[4444, "connected"], [4999, "closed"]])) {
    const scene = new Scene();
    scene.client();
    await scene.pass(100);
    scene.edge.disconnect({ code });
    await scene.pass(5_000);
    assert.equal(scene.states.at(-1), last);
  }
});

test("the browser's `online` ends a long wait", async () => {
  const scene = new Scene();
  scene.client();
  await scene.pass(100);
  scene.edge.reachable = false;
  scene.edge.cut();
  await scene.pass(120_000);
  scene.edge.reachable = true;
  scene.host.page.dispatchEvent(new Event("online"));
  await scene.pass(50);
  assert.equal(scene.states.at(-1), "connected");
});

test("a socket that died in silence is found out by its missing heartbeat", async () => {
  const scene = new Scene();
  scene.client({ transport: "websocket" });
  await scene.pass(100);
  scene.edge.answers = false;
  await scene.pass(34_000);
  assert.equal(scene.states.at(-1), "connected");
  scene.edge.answers = true;
  await scene.pass(3_000);
  assert.ok(scene.codes.includes(3002));
  assert.equal(scene.states.at(-1), "connected");
});

test("after a sleep the client asks before it trusts the socket", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket" });
  scene.follow(client, "orders:42");
  await scene.pass(100);
  scene.clock.sleep(3_600_000);
  scene.host.page.dispatchEvent(new Event("pageshow"));
  await scene.pass(100);
  assert.deepEqual(scene.states, ["connecting", "connected"]); // it lives: no reconnect
  scene.edge.answers = false;
  scene.clock.sleep(3_600_000);
  scene.host.page.dispatchEvent(new Event("pageshow"));
  await scene.pass(9_000);
  scene.edge.answers = true;
  assert.equal(scene.states.at(-1), "connected");
  await scene.pass(3_000);
  assert.deepEqual(scene.states.slice(2), ["disconnected", "connecting", "connected"]);
});

test("a token is renewed in place when the edge says that it expires", async () => {
  const scene = new Scene();
  scene.client({ transport: "websocket" });
  await scene.pass(100);
  const [socket] = scene.edge.sockets;
  socket?.say({ type: "expiring", in: 30 });
  await scene.pass(100);
  assert.deepEqual(scene.edge.received.map(({ type, token }) => [type, token]), [["connect", "token-1"], ["refresh", "token-2"]]);
  assert.deepEqual(scene.states, ["connecting", "connected"]);
});

test("an expired token is replaced before the reconnect", async () => {
  for (const transport of /** @type {const} */ (["websocket", "sse", "poll"])) {
    const scene = new Scene();
    scene.edge.refusal = { status: 401, code: 4010, slug: "token_expired", detail: "expired" };
    scene.client({ transport });
    await scene.pass(200);
    scene.edge.refusal = null;
    await scene.pass(2_000);
    assert.equal(scene.states.at(-1), "connected");
    assert.ok(scene.tokens >= 2);
  }
});

test("a polling client renews its token without a reconnect", async () => {
  const scene = new Scene();
  const { fetch } = scene.host;
  let expired = "";
  const problem = { code: 110, slug: "token_expired", detail: "expired" };
  scene.host.fetch = async (input, init) =>
    new Headers(init.headers).get("authorization") === expired
      ? new Response(JSON.stringify(problem), { status: 401, headers: { "content-type": "application/problem+json" } })
      : fetch(input, init);
  scene.follow(scene.client({ transport: "poll", host: scene.host }), "orders:42");
  await scene.pass(100);
  expired = "Bearer token-1";
  await scene.pass(30_000);
  scene.edge.publish("orders:42", 1);
  await scene.pass(100);
  assert.deepEqual(scene.states, ["connecting", "connected"]);
  assert.equal(scene.tokens, 2);
  assert.deepEqual(scene.seen, [1]);
});

test("a new token that is refused closes the client", async () => {
  const scene = new Scene();
  scene.edge.refusal = { status: 401, code: 4501, slug: "unauthorized", detail: "no" };
  scene.client({ transport: "poll" });
  await scene.pass(1_000);
  assert.deepEqual(scene.states, ["connecting", "closed"]);
  assert.equal(scene.tokens, 1);
});

test("a token provider that fails is asked again, and one that has no token ends it", async () => {
  const scene = new Scene();
  let answer = () => {
    throw new Error("backend down");
  };
  scene.client({ token: () => answer() });
  await scene.pass(5_000);
  assert.ok(scene.errors.length >= 2);
  assert.equal(scene.errors[0].slug, "token_unavailable");
  answer = /** @type {any} */ (() => null);
  await scene.pass(20_000);
  assert.equal(scene.states.at(-1), "closed");
});

test("a proxy's error page is a fault of the way, not the edge's word", async () => {
  const scene = new Scene();
  const { fetch } = scene.host;
  let proxied = true;
  scene.host.fetch = async (input, init) => (proxied ? new Response("<h1>403</h1>", { status: 403 }) : fetch(input, init));
  scene.client({ transport: "poll", host: scene.host });
  await scene.pass(2_000);
  assert.equal(scene.states.at(-1), "disconnected");
  proxied = false;
  await scene.pass(20_000);
  assert.equal(scene.states.at(-1), "connected");
});

test("HTTP's Retry-After is obeyed", async () => {
  const scene = new Scene();
  scene.edge.refusal = { status: 503, code: 4008, slug: "overloaded", detail: "later", retry_after_ms: 9_000 };
  scene.client({ transport: "poll" });
  await scene.pass(8_900);
  assert.equal(scene.edge.polls, 1);
  scene.edge.refusal = null;
  await scene.pass(300);
  assert.equal(scene.states.at(-1), "connected");
});

test("a request made while away is sent on return, and one that is never answered is rejected", async () => {
  const scene = new Scene();
  scene.edge.reachable = false;
  const client = scene.client({ transport: "websocket" });
  const published = client.publish("orders:42", "note", 1);
  await scene.pass(1_000);
  scene.edge.reachable = true;
  await scene.pass(3_000);
  assert.equal(await published, scene.edge.history("orders:42").log[0]?.offset);
  scene.edge.answers = false;
  const lost = assert.rejects(client.publish("orders:42", "note", 2, { expiryMs: 10_000 }), { slug: "timeout" });
  await scene.pass(11_000);
  await lost;
});

test("close ends everything: nothing is delivered, requests are rejected, no timer is left", async () => {
  const scene = new Scene();
  const client = scene.client();
  scene.follow(client, "orders:42");
  await scene.pass(100);
  client.close();
  scene.edge.publish("orders:42", 1);
  await assert.rejects(client.publish("orders:42", "note", 1), { slug: "closed" });
  await scene.pass(600_000);
  assert.deepEqual(scene.states, ["connecting", "connected", "closed"]);
  assert.deepEqual(scene.seen, []);
  assert.equal(scene.edge.sockets.size, 0);
});

test("a malformed channel is refused where it is written", () => {
  const client = new Scene().client();
  assert.throws(() => client.subscribe("orders.*", () => {}), { slug: "unknown_channel" });
  client.close();
});
