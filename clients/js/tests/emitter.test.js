// Who hears an event, where listeners come and go while it is told.

import assert from "node:assert/strict";
import test from "node:test";

import { Emitter } from "../src/emitter.js";

const TOO_OFTEN = 10;

test("a listener that leaves and comes again hears an event once", () => {
  const emitter = new Emitter();
  let heard = 0;
  const listener = () => {
    assert.ok((heard += 1) < TOO_OFTEN);
    off();
    if (heard < TOO_OFTEN - 1) off = emitter.on("told", listener);
  };
  let off = emitter.on("told", listener);
  emitter.emit("told", 1);
  assert.equal(heard, 1);
  emitter.emit("told", 2);
  assert.equal(heard, 2);
});

test("who was sent away by another listener of the same event does not hear it", () => {
  const emitter = new Emitter();
  /** @type {string[]} */
  const heard = [];
  emitter.on("told", () => off());
  const off = emitter.on("told", () => heard.push("gone"));
  emitter.emit("told", 1);
  assert.deepEqual(heard, []);
});
