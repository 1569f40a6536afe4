// Tokens: asked for once, renewed before they end, whatever the clock of the machine says.

import assert from "node:assert/strict";
import test from "node:test";

import "../src/tabs/group.js"; // at hand, so that no real time passes
import { Browser, tokenOf } from "./support/browser.js";
import { Scene } from "./support/scene.js";

/** A token that lives `seconds`, by a clock of its own. @param {number} seconds @param {number} [number] */
function tokenFor(seconds, number = 0) {
  return `.${btoa(JSON.stringify({ sub: "alice", number, iat: 4_000_000_000, exp: 4_000_000_000 + seconds }))}.`;
}

test("a token is renewed before it ends though the edge gives no notice, and though the machine's clock is decades off", async () => {
  for (const transport of /** @type {const} */ (["websocket", "sse", "poll"])) {
    const scene = new Scene();
    scene.edge.expiresIn = 300;
    scene.follow(scene.client({ transport, token: () => tokenFor(300, ++scene.tokens) }), "orders:42");
    await scene.pass(270_000);
    assert.equal(scene.tokens, 1);
    await scene.pass(20_000);
    assert.equal(scene.tokens, 2);
    await scene.pass(270_000);
    scene.edge.publish("orders:42", 1);
    await scene.pass(100);
    assert.deepEqual(scene.seen, [1]);
    assert.deepEqual(scene.states, ["connecting", "connected"]);
    assert.equal(scene.tokens, 2);
  }
});

test("on an event stream another token is another stream, opened before the first is closed", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "sse" });
  scene.follow(client, "orders:42");
  await scene.pass(100);
  const [stream] = scene.edge.sockets;
  stream?.say({ type: "expiring", in: 30 });
  for (const n of [1, 2, 3, 4, 5, 6]) {
    scene.edge.publish("orders:42", n);
    await scene.pass(6);
  }
  await scene.pass(100);
  assert.deepEqual(scene.edge.received.map(({ type, token }) => [type, token]), [["connect", "token-1"], ["connect", "token-2"]]);
  assert.deepEqual(scene.seen, [1, 2, 3, 4, 5, 6]);
  assert.deepEqual(scene.states, ["connecting", "connected"]);
  assert.equal(scene.edge.sockets.size, 1);
});

test("a token that ended while the machine slept is replaced before the client comes back", async () => {
  const scene = new Scene();
  scene.client({ transport: "websocket", token: () => tokenFor(3_600, ++scene.tokens) });
  await scene.pass(100);
  scene.edge.cut();
  scene.clock.sleep(2 * 3_600_000);
  scene.host.page.dispatchEvent(new Event("pageshow"));
  await scene.pass(2_000);
  assert.equal(scene.tokens, 2);
  assert.deepEqual(scene.edge.received.map(({ token }) => token), [tokenFor(3_600, 1), tokenFor(3_600, 2)]);
  assert.equal(scene.states.at(-1), "connected");
});

test("a provider that is slow is asked once, however many ask", async () => {
  const scene = new Scene();
  /** @type {(token: string) => void} */
  let answer = () => {};
  scene.client({ transport: "websocket", token: () => (scene.tokens++, new Promise((resolve) => (answer = resolve))) });
  await scene.pass(10);
  answer("token-1");
  await scene.pass(100);
  const [socket] = scene.edge.sockets;
  for (const _ of [1, 2, 3]) socket?.say({ type: "expiring", in: 30 });
  await scene.pass(100);
  assert.equal(scene.tokens, 2);
  answer("token-2");
  await scene.pass(100);
  assert.equal(scene.edge.received.filter(({ type }) => type === "refresh").length, 1);
});

test("of all tabs only the one that holds the connection renews the token", async () => {
  const browser = new Browser();
  const { scene } = browser;
  const tabs = [1, 2, 3].map(() => browser.open({ token: () => (scene.tokens++, tokenFor(300, scene.tokens)) }));
  scene.edge.expiresIn = 300;
  await scene.pass(200);
  assert.equal(scene.tokens, 3);
  await scene.pass(290_000);
  assert.equal(scene.tokens, 4);
  for (const { states } of tabs) assert.deepEqual(states, ["connecting", "connected"]);
});

test("a token that has expired costs all tabs one refresh", async () => {
  const browser = new Browser();
  const { scene } = browser;
  const tabs = [1, 2, 3].map(() => browser.open({ token: () => (scene.tokens++, tokenFor(3_600, scene.tokens)) }));
  await scene.pass(200);
  scene.edge.disconnect({ code: 4010, slug: "token_expired" });
  await scene.pass(5_000);
  assert.equal(scene.tokens, 4);
  for (const { client } of tabs) assert.equal(client.state, "connected");
});

test("a tab in which another user signs in hears nothing of the one before", async () => {
  const browser = new Browser();
  const { scene } = browser;
  let user = "alice";
  const tab = browser.open({ token: () => tokenOf(user) });
  const other = browser.open();
  await scene.pass(200);
  tab.client.close();
  user = "bob";
  const again = browser.open({ token: () => tokenOf(user) });
  await scene.pass(500);
  assert.equal(scene.edge.sockets.size, 2);
  assert.deepEqual([again.client.leads, other.client.leads], [true, true]);
});

test("a tab whose provider comes back with another user's token does not let the others hear what is not theirs", async () => {
  const browser = new Browser();
  const { scene } = browser;
  let user = "alice";
  const tab = browser.open({ token: () => tokenOf(user) });
  await scene.pass(200);
  user = "bob";
  for (const socket of scene.edge.sockets) socket.say({ type: "expiring", in: 30 });
  await scene.pass(200);
  assert.ok(!scene.edge.received.some(({ token }) => token === tokenOf("bob")));
  assert.match(scene.errors[0].message, /another user/);
  tab.client.close();
});

for (const tabs of /** @type {const} */ (["shared", "apart"])) {
  test(`${tabs}: a client takes no token of another user: what it holds is the first one's`, async () => {
    const browser = new Browser();
    const { scene } = browser;
    let user = "alice";
    const tab = browser.open({ tabs, token: () => tokenOf(user) });
    tab.follow("inbox");
    scene.edge.publish("inbox", 1);
    await scene.pass(200);
    user = "bob";
    scene.edge.disconnect({ code: 4010, slug: "token_expired" });
    await scene.pass(5_000);
    assert.ok(!scene.edge.received.some(({ token }) => token === tokenOf("bob")));
    assert.match(scene.errors[0].message, /close this client, and make a new one/);
    user = "alice";
    await scene.pass(30_000);
    assert.equal(tab.client.state, "connected");
  });
}

test("a provider that never answers is given up, and asked again", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket", token: () => (++scene.tokens < 3 ? new Promise(() => {}) : "token") });
  await scene.pass(29_000);
  assert.equal(client.state, "connecting");
  await scene.pass(40_000);
  assert.equal(client.state, "connected");
  assert.deepEqual(scene.errors.map(({ slug, message }) => [slug, message]), Array(2).fill(["token_unavailable", "the token provider failed: no answer within 30 s"]));
});

test("what is no token is named for what it is, and one that is missing means that nobody is signed in", async () => {
  const scene = new Scene();
  const client = scene.client({ token: /** @type {any} */ (() => ({ token: "eyJ…" })) });
  await scene.pass(100);
  assert.equal(client.state, "disconnected");
  assert.match(scene.errors[0].message, /a token is a string, or null where nobody is signed in; this is of type object/);
  const gone = new Scene();
  const signedOut = gone.client({ token: /** @type {any} */ (() => undefined) });
  await gone.pass(100);
  assert.deepEqual([signedOut.state, gone.codes.at(-1)], ["closed", 4501]);
});
