// The tabs of a browser share one connection: exactly once and in order in each of them, whoever holds it.

import assert from "node:assert/strict";
import test from "node:test";

import "../src/tabs/group.js"; // at hand, so that no real time passes
import { Browser, tokenOf } from "./support/browser.js";
import { numbers } from "./support/scene.js";

const CHANNEL = "orders:42";

/** @param {number} count */
async function open(count) {
  const browser = new Browser();
  const tabs = Array.from({ length: count }, () => browser.open());
  for (const tab of tabs) tab.follow(CHANNEL);
  await browser.scene.pass(200);
  const { scene } = browser;
  return { browser, scene, edge: scene.edge, tabs };
}

/** @param {import("./support/browser.js").Tab[]} tabs */
const leaderOf = (tabs) => tabs.filter(({ client }) => client.leads);

test("three tabs hold one connection, and each hears every publication once", async () => {
  const { scene, edge, tabs } = await open(3);
  assert.equal(edge.sockets.size, 1);
  assert.equal(leaderOf(tabs).length, 1);
  for (const n of numbers(1, 20)) edge.publish(CHANNEL, n);
  await scene.pass(100);
  for (const { seen, states, client } of tabs) {
    assert.deepEqual(seen, numbers(1, 20));
    assert.deepEqual(states, ["connecting", "connected"]);
    assert.equal(client.transport, "websocket");
    assert.equal(client.user, "alice");
  }
});

for (const how of /** @type {const} */ (["close", "crash"])) {
  test(`when the tab that holds the connection is gone (${how}), another takes over and nobody misses, repeats or notices anything`, async () => {
    const { scene, edge, tabs } = await open(4);
    /** @type {number} */
    let n = 0;
    while (tabs.length > 1) {
      for (const _ of numbers(1, 5)) edge.publish(CHANNEL, ++n);
      await scene.pass(7);
      const [leader] = leaderOf(tabs);
      assert.ok(leader);
      leader[how]();
      tabs.splice(tabs.indexOf(leader), 1);
      for (const _ of numbers(1, 5)) {
        edge.publish(CHANNEL, ++n);
        await scene.pass(3);
      }
      await scene.pass(500);
      assert.equal(edge.sockets.size, 1);
      for (const { seen, states, resets } of tabs) {
        assert.deepEqual(seen, numbers(1, n));
        assert.deepEqual(states, ["connecting", "connected"]);
        assert.equal(resets, 0);
      }
    }
  });
}

test("a tab in the background, whose timers are late, hears everything when it takes over, though the others went over first", async () => {
  const browser = new Browser();
  const { scene } = browser;
  const late = { setTimeout: (/** @type {() => void} */ call, /** @type {number} */ ms) => scene.clock.setTimeout(call, Math.max(1_000, ms)) };
  const tabs = [browser.open(), browser.open({}, late), browser.open()];
  for (const tab of tabs) tab.follow(CHANNEL);
  await scene.pass(2_000);
  const [first, second] = tabs;
  assert.ok(first?.client.leads);
  scene.edge.publish(CHANNEL, 1);
  await scene.pass(100);
  first.close();
  scene.edge.publish(CHANNEL, 2);
  await scene.pass(2_000);
  assert.ok(second?.client.leads);
  scene.edge.publish(CHANNEL, 3);
  await scene.pass(100);
  for (const { seen, states } of tabs.slice(1)) assert.deepEqual([seen, states], [[1, 2, 3], ["connecting", "connected"]]);
});

test("the new holder comes back with the resume grant, and the tabs' tokens are asked for once each", async () => {
  const { scene, edge, tabs } = await open(3);
  assert.equal(scene.tokens, 3);
  leaderOf(tabs)[0]?.close();
  await scene.pass(500);
  assert.deepEqual(edge.received.filter(({ type }) => type === "connect").map(({ resume }) => resume), [undefined, "grant"]);
  assert.equal(scene.tokens, 3);
});

test("a tab that holds the connection and is frozen is overthrown, and comes back without a gap", async () => {
  const { scene, edge, tabs } = await open(3);
  const [leader] = leaderOf(tabs);
  assert.ok(leader);
  leader.freeze();
  edge.publish(CHANNEL, 1);
  await scene.pass(60_000);
  edge.publish(CHANNEL, 2);
  await scene.pass(100);
  for (const tab of tabs) if (tab !== leader) assert.deepEqual(tab.seen, [1, 2]);
  leader.thaw();
  await scene.pass(1_000);
  edge.publish(CHANNEL, 3);
  await scene.pass(1_000);
  for (const { seen } of tabs) assert.deepEqual(seen, [1, 2, 3]);
  assert.equal(leaderOf(tabs).length, 1);
  assert.equal(edge.sockets.size, 1);
});

test("a connection that breaks is away in every tab, and back in every tab", async () => {
  const { scene, edge, tabs } = await open(3);
  edge.publish(CHANNEL, 1);
  await scene.pass(50);
  edge.reachable = false;
  edge.cut();
  for (const n of numbers(2, 300)) edge.publish(CHANNEL, n);
  await scene.pass(1_000);
  for (const { states } of tabs) assert.ok(states.includes("disconnected"));
  edge.reachable = true;
  await scene.pass(30_000);
  for (const { seen, client } of tabs) {
    assert.equal(client.state, "connected");
    assert.deepEqual(seen, numbers(1, 300));
  }
});

test("a tab that comes later begins now, at its position, or with the most recent publications", async () => {
  const { browser, scene, edge } = await open(2);
  for (const n of numbers(1, 300)) edge.publish(CHANNEL, n);
  await scene.pass(100);
  const { log } = edge.history(CHANNEL);
  const now = browser.open();
  now.follow(CHANNEL);
  const near = browser.open();
  near.follow(CHANNEL, { position: { epoch: "e1", offset: log[294]?.offset } });
  const far = browser.open();
  far.follow(CHANNEL, { position: { epoch: "e1", offset: log[149]?.offset } });
  const last = browser.open();
  last.follow(CHANNEL, { last: 3 });
  const lost = browser.open();
  lost.follow(CHANNEL, { position: { epoch: "e0", offset: 1 } });
  await scene.pass(500);
  edge.publish(CHANNEL, 301);
  await scene.pass(500);
  assert.deepEqual(now.seen, [301]);
  assert.deepEqual(near.seen, numbers(296, 301));
  assert.deepEqual(far.seen, numbers(151, 301));
  assert.deepEqual(last.seen, [298, 299, 300, 301]);
  assert.deepEqual([lost.seen, lost.resets], [[301], 1]);
  assert.equal(edge.sockets.size, 1);
});

test("what one tab asks is answered to that tab; a refused channel and an unsubscribed one are its own affair", async () => {
  const { scene, edge, tabs } = await open(3);
  const [one, two] = tabs.filter(({ client }) => !client.leads);
  assert.ok(one && two);
  const published = one.client.publish(CHANNEL, "note", "hello");
  const refused = two.follow("secret:1");
  const other = one.follow("orders:43");
  await scene.pass(100);
  assert.equal(await published, edge.history(CHANNEL).log[0]?.offset);
  assert.equal(refused.state, "refused");
  assert.deepEqual(two.seen, ["hello"]);
  other.unsubscribe();
  await scene.pass(50);
  assert.ok(edge.received.some(({ type, channel }) => type === "unsubscribe" && channel === "orders:43"));
  const history = two.client.history(CHANNEL, { limit: 1 });
  const inbox = two.client.listInbox({ limit: 1 });
  const users = two.client.presence(CHANNEL);
  await scene.pass(50);
  assert.equal((await inbox).unread, 0);
  assert.deepEqual(await users, [{ user: "alice" }]);
  assert.deepEqual((await history).publications.map(({ data }) => data), ["hello"]);
  for (const { client } of tabs) assert.equal(client.state, "connected");
});

test("a channel that only a closed tab followed is given up", async () => {
  const { browser, scene, edge } = await open(2);
  const late = browser.open();
  late.follow("orders:44");
  await scene.pass(200);
  late.crash();
  await scene.pass(200);
  assert.ok(edge.received.some(({ type, channel }) => type === "unsubscribe" && channel === "orders:44"));
});

test("two users in one browser have a connection each, and neither hears the other", async () => {
  const { browser, scene, edge, tabs } = await open(2);
  const bob = browser.open({ token: () => tokenOf("bob") });
  bob.follow("orders:43");
  await scene.pass(200);
  assert.equal(edge.sockets.size, 2);
  edge.publish(CHANNEL, "alice's");
  edge.publish("orders:43", "bob's");
  await scene.pass(100);
  assert.deepEqual(bob.seen, ["bob's"]);
  for (const { seen } of tabs) assert.deepEqual(seen, ["alice's"]);
});

test("with `tabs: \"apart\"`, and where a token does not tell its user, each tab connects by itself", async () => {
  const browser = new Browser();
  browser.open({ tabs: "apart" });
  browser.open({ token: () => "opaque" });
  await browser.scene.pass(200);
  assert.equal(browser.scene.edge.sockets.size, 2);
});

test("a change of the transport is every tab's", async () => {
  const { scene, edge, tabs } = await open(3);
  const [one] = tabs.filter(({ client }) => !client.leads);
  one?.client.useTransport("poll");
  await scene.pass(200);
  for (const { client } of tabs) assert.equal(client.transport, "poll");
  edge.publish(CHANNEL, 1);
  await scene.pass(200);
  for (const { seen, states } of tabs) {
    assert.deepEqual(seen, [1]);
    assert.deepEqual(states, ["connecting", "connected"]);
  }
});

test("a tab that is closed by its application leaves the others their connection", async () => {
  const { scene, edge, tabs } = await open(2);
  leaderOf(tabs)[0]?.client.close();
  await scene.pass(500);
  edge.publish(CHANNEL, 1);
  await scene.pass(100);
  assert.equal(edge.sockets.size, 1);
  assert.deepEqual(tabs.map(({ seen }) => seen.length).sort(), [0, 1]);
});

test("an idle connection is no silence to the tabs", async () => {
  const { scene, tabs } = await open(3);
  await scene.pass(600_000);
  for (const { states } of tabs) assert.deepEqual(states, ["connecting", "connected"]);
});

test("what a tab publishes while the connection is away is sent once, or not at all where it has expired meanwhile", async () => {
  const { scene, edge, tabs } = await open(3);
  const follower = tabs.find(({ client }) => !client.leads);
  assert.ok(follower);
  edge.answers = false;
  const received = edge.command.bind(edge);
  edge.command = (frame) => (edge.answers ? received(frame) : null); // it arrives nowhere
  const expired = assert.rejects(follower.client.publish("typing:board", "typing", "old", { expiryMs: 1_000 }), { slug: "timeout" });
  const waits = follower.client.publish("typing:board", "typing", "new");
  await scene.pass(100);
  edge.cut();
  edge.reachable = false;
  edge.answers = true;
  await scene.pass(5_000);
  await expired;
  edge.reachable = true;
  await scene.pass(30_000);
  assert.equal(await waits, null);
  assert.deepEqual(edge.received.filter(({ type }) => type === "publish").map(({ data }) => data), ["new"]);
});

test("the browser's `online` ends a long wait in every tab, and so does a page that comes into view", async () => {
  const { scene, edge, tabs } = await open(3);
  for (const event of ["online", "pageshow"]) {
    edge.reachable = false;
    edge.cut();
    await scene.pass(120_000);
    edge.reachable = true;
    for (const { page } of tabs) page.dispatchEvent(new Event(event));
    await scene.pass(100);
    for (const { client } of tabs) assert.equal(client.state, "connected", event);
  }
});

test("the time that the edge names holds for every tab, whoever comes into view", async () => {
  const { scene, edge, tabs } = await open(3);
  edge.disconnect({ code: 4008, slug: "overloaded", after_ms: 9_000 });
  for (const _ of numbers(1, 17)) {
    await scene.pass(500);
    for (const { page } of tabs) page.dispatchEvent(new Event("online"));
  }
  assert.equal(edge.received.filter(({ type }) => type === "connect").length, 1);
  await scene.pass(1_000);
  for (const { client } of tabs) assert.equal(client.state, "connected");
});
