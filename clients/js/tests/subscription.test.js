// What a subscription tells of its channel, and to whom.

import assert from "node:assert/strict";
import test from "node:test";

import { Browser } from "./support/browser.js";
import "../src/tabs/group.js"; // at hand, so that no real time passes
import { Scene, numbers } from "./support/scene.js";

const CHANNEL = "orders:42";

/** @param {import("../src/subscription.js").Subscription} subscription */
function changesOf(subscription) {
  /** @type {[string, number | undefined][]} */
  const changes = [];
  subscription.on("state", ({ state, error }) => changes.push([state, error?.code]));
  return changes;
}

test("a subscription says that its channel is away while the connection is, and that it is back", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket" });
  const subscription = scene.follow(client, CHANNEL);
  const changes = changesOf(subscription);
  await scene.pass(100);
  assert.deepEqual(changes, [["subscribed", undefined]]);
  scene.edge.cut();
  assert.equal(subscription.state, "subscribing");
  await scene.pass(2_000);
  assert.deepEqual(changes.slice(1), [["subscribing", undefined], ["subscribed", undefined]]);
  client.close();
  assert.deepEqual(changes.slice(3), [["unsubscribed", undefined]]);
  assert.equal(subscription.state, "unsubscribed");
});

test("of a move to another transport a subscription notices nothing, open or refused", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket" });
  const [open, refused] = [scene.follow(client, CHANNEL), scene.follow(client, "secret:1")].map(changesOf);
  await scene.pass(100);
  for (const transport of /** @type {const} */ (["poll", "sse", "websocket"])) {
    client.useTransport(transport);
    await scene.pass(2_000);
    assert.equal(client.transport, transport);
  }
  assert.deepEqual(open, [["subscribed", undefined]]);
  assert.deepEqual(refused, [["refused", 103]]);
});

test("who comes second hears how the channel stands; a channel that was refused is asked for again", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket" });
  scene.follow(client, CHANNEL);
  const first = changesOf(scene.follow(client, "secret:1"));
  await scene.pass(100);
  const second = changesOf(scene.follow(client, CHANNEL));
  scene.edge.forbidden.clear(); // rights have changed
  const third = changesOf(scene.follow(client, "secret:1"));
  await scene.pass(100);
  assert.deepEqual(second, [["subscribed", undefined]]);
  assert.deepEqual(third, [["subscribed", undefined]]);
  assert.deepEqual(first, [["refused", 103], ["subscribed", undefined]]);
});

test("a handler that subscribes again where it was refused is called once for each answer", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket" });
  const asked = () => scene.edge.received.filter(({ type }) => type === "subscribe").length;
  let refusals = 0;
  const again = () => {
    client.subscribe("secret:1", {
      publication: () => {},
      state: ({ state }) => {
        if (state !== "refused") return;
        refusals += 1;
        if (refusals < 5) again();
      },
    });
  };
  await scene.pass(100);
  again();
  await scene.pass(1_000);
  assert.deepEqual([refusals, asked()], [5, 5]);
});

test("a handler that begins anew where its channel is closed does so once where the client is", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket" });
  let ends = 0;
  const again = () => {
    const subscription = client.subscribe(CHANNEL, {
      publication: () => {},
      state: ({ state }) => {
        if (state !== "unsubscribed" || ++ends > 50) return;
        subscription.unsubscribe();
        again();
      },
    });
  };
  again();
  scene.follow(client, "orders:43");
  await scene.pass(100);
  client.close();
  await scene.pass(100);
  assert.equal(ends, 1);
});

test("a subscription that is ended in the same breath hears nothing of its channel", async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket" });
  scene.follow(client, CHANNEL);
  await scene.pass(100);
  const ended = [client.subscribe(CHANNEL), client.subscribe("orders:43")];
  const heard = ended.map(changesOf);
  for (const subscription of ended) subscription.unsubscribe();
  await scene.pass(100);
  assert.deepEqual(heard, [[], []]);
});

test("on a client that is closed a loop ends, also one that begins later", { timeout: 5_000 }, async () => {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket" });
  const before = scene.follow(client, CHANNEL);
  await scene.pass(100);
  client.close();
  for (const subscription of [before, client.subscribe(CHANNEL)]) for await (const _ of subscription) assert.fail("nothing was published");
});

test("what arrives before the loop begins is read by it", async () => {
  const scene = new Scene();
  for (const n of numbers(1, 5)) scene.edge.publish(CHANNEL, n);
  const client = scene.client({ transport: "websocket" });
  const subscription = client.subscribe(CHANNEL, { last: 3 });
  await scene.pass(100); // the application is about something else
  scene.edge.publish(CHANNEL, 6);
  await scene.pass(100);
  /** @type {unknown[]} */
  const read = [];
  for await (const { data } of subscription) {
    read.push(data);
    if (data === 6) break;
  }
  assert.deepEqual(read, [3, 4, 5, 6]);
});

test("what a handler throws is told with its cause; where nobody listens, the page is, as of any other fault", async (context) => {
  const fault = new Error("no such element");
  const listened = new Scene();
  listened.client({ transport: "websocket" }).subscribe(CHANNEL, () => {
    throw fault;
  });
  await listened.pass(100);
  listened.edge.publish(CHANNEL, 1);
  await listened.pass(100);
  assert.equal(listened.errors[0].slug, "handler");
  assert.equal(listened.errors[0].cause, fault);

  const report = context.mock.method(console, "error", () => {});
  const unheard = new Scene();
  const client = unheard.client({ transport: "websocket" });
  unheard.deafen();
  client.subscribe(CHANNEL, () => {
    throw fault;
  });
  await unheard.pass(100);
  unheard.edge.publish(CHANNEL, 1);
  await unheard.pass(100);
  assert.deepEqual(report.mock.calls.map((call) => call.arguments), [[fault]]);
});

test("what is published is what it was then, whichever tab sends it, and however long it waited", async () => {
  const browser = new Browser();
  const { scene } = browser;
  const tabs = [1, 2].map(() => browser.open());
  await scene.pass(200);
  const data = { note: "first", at: new Date(0), price: { toJSON: () => "8.90" } };
  const reactive = new Proxy(data, {}); // as Vue and MobX make them
  const published = tabs.map(({ client }) => client.publish(CHANNEL, "note", reactive));
  data.note = "second";
  await scene.pass(200);
  await Promise.all(published);
  const sent = { note: "first", at: "1970-01-01T00:00:00.000Z", price: "8.90" };
  assert.deepEqual(scene.edge.history(CHANNEL).log.map((each) => each.data), [sent, sent]);
  const follower = tabs.find(({ client }) => !client.leads);
  follower?.follow("orders:43", { position: new Proxy({ epoch: "e1", offset: 0 }, {}) });
  await scene.pass(200);
  assert.equal(follower?.client.channelState("orders:43"), "subscribed");
});
