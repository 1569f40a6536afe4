// What a page and its machine do to a client: storage that is full, clocks that go back, frames without rights, pages that are put away.

import assert from "node:assert/strict";
import test from "node:test";

import "../src/tabs/group.js"; // at hand, so that no real time passes
import { browser } from "../src/host.js";
import { Browser } from "./support/browser.js";
import { Scene } from "./support/scene.js";

const CHANNEL = "orders:42";

test("a clock that is set back by an hour holds nothing up", () => {
  const { now: wall } = Date;
  try {
    let time = 10_000_000;
    Date.now = () => time;
    const { now } = browser({});
    const began = now();
    time += 5_000;
    assert.equal(now() - began, 5_000);
    time -= 3_600_000;
    assert.equal(now() - began, 5_000);
    time += 2_000;
    assert.equal(now() - began, 7_000);
    time += 7_200_000; // the machine slept, or its clock was put right: it goes on from there
    assert.equal(now() - began, 7_207_000);
  } finally {
    Date.now = wall;
  }
});

test("a timer that is due in a month does not ring at once, again and again", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  let rung = 0;
  browser({}).setTimeout(() => (rung += 1), 40 * 24 * 3_600_000);
  context.mock.timers.tick(10 * 24 * 3_600_000);
  assert.equal(rung, 0);
});

test("a storage that is full costs the page what it would have remembered, not its connection", async () => {
  const scene = new Scene();
  const session = {
    getItem: () => null,
    setItem: () => {
      throw new DOMException("full", "QuotaExceededError");
    },
  };
  const host = /** @type {any} */ ({ ...scene.host, session });
  scene.follow(scene.client({ host }), CHANNEL);
  await scene.pass(100);
  scene.edge.publish(CHANNEL, 1);
  await scene.pass(100);
  scene.edge.cut();
  await scene.pass(2_000);
  scene.edge.publish(CHANNEL, 2);
  await scene.pass(100);
  assert.deepEqual(scene.seen, [1, 2]);
});

test("what its surroundings throw does not stop a client for good", async () => {
  const scene = new Scene();
  let broken = false;
  const { WebSocket } = scene.host;
  class Fragile extends WebSocket {
    /** @param {string} text */
    send(text) {
      if (broken) throw new Error("broken");
      super.send(text);
    }
  }
  const client = scene.client({ transport: "websocket", host: /** @type {any} */ ({ ...scene.host, WebSocket: Fragile }) });
  await scene.pass(100);
  broken = true;
  await assert.rejects(client.history(CHANNEL), /broken/);
  broken = false;
  scene.edge.cut();
  await scene.pass(2_000);
  assert.equal(client.state, "connected");
});

test("where a page is refused locks, as in a frame in a sandbox, it connects by itself and asks once", async () => {
  const tabs = new Browser();
  let asked = 0;
  const request = async () => {
    asked += 1;
    if (asked > 20) return new Promise(() => {});
    throw new DOMException("Access to the Locks API is denied in this context", "SecurityError");
  };
  const tab = tabs.open({}, { locks: { request } });
  tab.follow(CHANNEL);
  await tabs.scene.pass(1_000);
  tabs.scene.edge.publish(CHANNEL, 1);
  await tabs.scene.pass(100);
  assert.deepEqual([tab.client.state, tab.client.leads, tab.seen], ["connected", true, [1]]);
  assert.ok(asked <= 3, `${asked} locks were asked for`);
});

test("where a page may hold locks but no BroadcastChannel, it connects by itself", async () => {
  const tabs = new Browser();
  let asked = 0;
  const broadcast = () => {
    asked += 1;
    throw new DOMException("The operation is insecure.", "SecurityError");
  };
  const tab = tabs.open({}, { broadcast });
  tab.follow(CHANNEL);
  await tabs.scene.pass(60_000);
  tabs.scene.edge.publish(CHANNEL, 1);
  await tabs.scene.pass(100);
  assert.deepEqual([tab.client.state, tab.client.leads, tab.seen, asked], ["connected", true, [1], 1]);
});

for (const transport of /** @type {const} */ (["websocket", "sse", "poll"])) {
  test(`${transport}: a page that is put away lets go of its connection, and comes back at once and without a gap`, async () => {
    const scene = new Scene();
    const client = scene.client({ transport, tabs: "apart" });
    scene.follow(client, CHANNEL);
    await scene.pass(100);
    scene.host.page.dispatchEvent(new Event("pagehide"));
    assert.equal(client.state, "disconnected");
    scene.edge.publish(CHANNEL, 1);
    scene.clock.sleep(600_000);
    assert.equal(scene.edge.sockets.size, 0);
    scene.host.page.dispatchEvent(new Event("pageshow"));
    await scene.pass(50);
    assert.deepEqual(scene.states, ["connecting", "connected", "disconnected", "connecting", "connected"]);
    assert.deepEqual(scene.seen, [1]);
    assert.equal(scene.resets, 0);
  });
}

test("a page that is put away before it is connected, or after it was closed, is none the worse for it", async () => {
  const scene = new Scene();
  const client = scene.client();
  await scene.pass(1);
  scene.host.page.dispatchEvent(new Event("pagehide"));
  await scene.pass(2_000);
  assert.equal(client.state, "connected");
  client.close();
  scene.host.page.dispatchEvent(new Event("pagehide"));
  assert.equal(client.state, "closed");
});
