import assert from "node:assert/strict";
import test from "node:test";

import { judge, resume } from "../src/core/position.js";

test("a publication that was applied before is dropped", () => {
  assert.equal(judge(17, { offset: 17, prev: 12 }), "duplicate");
  assert.equal(judge(17, { offset: 3, prev: 0 }), "duplicate");
});

test("the next publication is applied, whatever holes lie between", () => {
  assert.equal(judge(17, { offset: 18, prev: 17 }), "apply");
  assert.equal(judge(17, { offset: 40, prev: 17 }), "apply");
  assert.equal(judge(17, { offset: 40, prev: 3 }), "apply");
});

test("a publication whose predecessor was never seen is a gap", () => {
  assert.equal(judge(17, { offset: 40, prev: 30 }), "gap");
});

test("a channel opens where the edge says its publications begin", () => {
  assert.deepEqual(resume(null, { epoch: "e1", offset: 40 }), { position: { epoch: "e1", offset: 40 }, reset: false });
});

test("what another connection delivered meanwhile is not applied again", () => {
  const held = { epoch: "e1", offset: 45 };
  assert.deepEqual(resume(held, { epoch: "e1", offset: 40, recovered: true }), { position: held, reset: false });
});

test("a history that cannot be proved complete asks for a reload, and goes on from its head", () => {
  const held = { epoch: "e1", offset: 45 };
  assert.deepEqual(resume(held, { epoch: "e1", offset: 40, recovered: false }), { position: { epoch: "e1", offset: 40 }, reset: true });
  assert.deepEqual(resume(held, { epoch: "e2", offset: 3 }), { position: { epoch: "e2", offset: 3 }, reset: true });
});

test("an ephemeral channel has no position", () => {
  assert.deepEqual(resume(null, {}), { position: null, reset: false });
});

test("whatever is repeated, delayed or lost on the way, the application sees every publication once and in order", () => {
  for (let seed = 1; seed <= 200; seed++) {
    const random = randomFrom(seed);
    const stream = Array.from({ length: 60 }, (_, index) => ({ offset: 3 * index + 1 + (index % 2), prev: index === 0 ? 0 : 3 * (index - 1) + 1 + ((index - 1) % 2) }));
    const applied = [];
    let q = 0;
    for (let at = 0; at < stream.length || q < /** @type {any} */ (stream.at(-1)).offset; at++) {
      // The wire repeats old ones, and leaves some out.
      const heard = random() < 0.3 ? stream[Math.floor(random() * Math.min(at + 1, stream.length))] : random() < 0.2 ? undefined : stream[Math.min(at, stream.length - 1)];
      if (!heard) continue;
      const verdict = judge(q, heard);
      if (verdict === "apply") applied.push((q = heard.offset));
      if (verdict === "gap") for (const each of stream.filter((one) => one.offset > q && one.offset <= heard.offset)) applied.push((q = each.offset));
    }
    assert.deepEqual(applied, stream.map((each) => each.offset), `seed ${seed}`);
  }
});

/** @param {number} seed @returns {() => number} a repeatable random source (mulberry32) */
function randomFrom(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
