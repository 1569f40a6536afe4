import assert from "node:assert/strict";
import test from "node:test";

import { Polling } from "../src/core/polling.js";

const AT = (/** @type {number} */ offset) => ({ epoch: "e1", offset });

/** @import { PublicationFrame, Subscribed } from "../src/protocol.gen.js" */

/** @param {number} offset @param {number} prev @returns {PublicationFrame} */
function publication(offset, prev) {
  return { type: "publication", channel: "orders:42", event: "e", event_id: `${offset}`, time: "", data: offset, offset, prev };
}

/** A conversation whose channel `orders:42` was opened at offset 17. */
function aPollingSession() {
  const polling = new Polling("p");
  polling.connect({ id: 1, channels: { "orders:42": AT(17) } });
  polling.answer(polling.body, { frames: [], channels: { "orders:42": AT(17) } });
  return polling;
}

test("the first poll does not wait, and its answer connects the session", () => {
  const polling = new Polling("p");
  polling.connect({ id: 1, channels: { "orders:42": AT(17), inbox: null } });
  assert.deepEqual(polling.body, { channels: { "orders:42": AT(17), inbox: null }, wait: 0, limit: 200 });
  const [connected] = polling.answer(polling.body, {
    frames: [{ type: "subscribed", channel: "inbox", epoch: "e1", offset: 5 }, publication(18, 17)],
    channels: { "orders:42": AT(18), inbox: AT(5) },
  });
  assert.ok(connected?.type === "connected");
  assert.equal(connected.channels["orders:42"]?.recovered, true);
  assert.deepEqual(connected.channels["orders:42"]?.publications?.map(({ offset }) => offset), [18]);
  assert.equal(connected.channels["inbox"]?.offset, 5);
  assert.equal(polling.body.wait, 25);
});

test("what this user may not see moves the position all the same", () => {
  const polling = aPollingSession();
  const frames = polling.answer(polling.body, { frames: [publication(18, 17)], channels: { "orders:42": AT(21) } });
  assert.deepEqual(frames.at(-1), { type: "position", channel: "orders:42", offset: 21, prev: 18 });
  assert.deepEqual(polling.body.channels, { "orders:42": AT(21) });
});

test("a channel asked for while a poll was under way is answered by the next", () => {
  const polling = aPollingSession();
  const asked = polling.body;
  polling.subscribe({ id: 7, channel: "orders:43" });
  assert.deepEqual(polling.answer(asked, { frames: [], channels: { "orders:42": AT(17) } }), []);
  const frames = polling.answer(polling.body, { frames: [{ type: "subscribed", channel: "orders:43", epoch: "e1", offset: 3 }], channels: { "orders:43": AT(3) } });
  assert.deepEqual(frames, [{ type: "subscribed", id: 7, channel: "orders:43", epoch: "e1", offset: 3, publications: [] }]);
});

test("a channel given up while a poll was under way does not come back with its answer", () => {
  const polling = aPollingSession();
  const asked = polling.body;
  polling.unsubscribe("orders:42");
  polling.answer(asked, { frames: [publication(18, 17)], channels: { "orders:42": AT(18) } });
  assert.deepEqual(polling.body.channels, {});
});

test("a refused channel is not asked for again", () => {
  const polling = aPollingSession();
  const error = { code: 103, slug: "permission_denied", message: "no" };
  const frames = polling.answer(polling.body, { frames: [{ type: "subscribed", channel: "orders:42", error }], channels: {} });
  assert.deepEqual(frames, [{ type: "subscribed", channel: "orders:42", error }]);
  assert.deepEqual(polling.body.channels, {});
});

test("a lost position is passed on: the application must reload", () => {
  const polling = aPollingSession();
  /** @type {Subscribed} */
  const lost = { type: "subscribed", channel: "orders:42", epoch: "e2", offset: 2, recovered: false };
  assert.deepEqual(polling.answer(polling.body, { frames: [lost], channels: { "orders:42": { epoch: "e2", offset: 2 } } }), [lost]);
});
