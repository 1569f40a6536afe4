// What the page of the example makes of publications, as far as it needs no browser.

import assert from "node:assert/strict";
import test from "node:test";

import { brief, orderOf } from "../../../examples/orders/src/orders/page/words.js";

const DATA = { order: "42", customer: "alice", item: "Tide table", total: 8.9, status: "paid", version: 2 };

test("an order is read from an event that tells all of it", () => {
  const { order, ...rest } = DATA;
  assert.deepEqual(orderOf({ event: "order.paid", data: DATA }), { id: order, ...rest });
});

test("what is no order of the shop is none", () => {
  for (const data of [null, undefined, "words", 7, [], { carrier: "DHL" }, { ...DATA, status: "lost" }, { ...DATA, version: "2" }]) {
    assert.equal(orderOf({ event: "order.shipped", data }), null);
  }
  assert.equal(orderOf({ event: "note.made", data: DATA }), null);
});

test("unknown data is shown in short", () => {
  assert.equal(brief({ carrier: "DHL" }), '{"carrier":"DHL"}');
  assert.equal(brief(null), "");
  assert.equal(Array.from(brief("🐦".repeat(200))).length, 80);
});
