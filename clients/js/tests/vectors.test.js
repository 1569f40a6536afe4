// The golden vectors that every implementation of the contract reads.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { isTemporary, isTerminal } from "../src/core/codes.js";
import { judge } from "../src/core/position.js";
import { Session } from "../src/core/session.js";
import { Session } from "../src/core/session.js";
import { CHANNEL_PATTERN, CLOSE_CODES, ERROR_CODES } from "../src/protocol.gen.js";

/** @param {string} file @returns {any} */
function vectors(file) {
  return JSON.parse(readFileSync(new URL(`../../../tests/vectors/${file}`, import.meta.url), "utf8"));
}

for (const { name, at, publications, verdicts, ends_at } of vectors("rule.json").vectors) {
  test(`rule: ${name}`, () => {
    let q = at;
    const judged = publications.map((/** @type {{offset: number, prev: number}} */ each) => {
      const verdict = judge(q, each);
      if (verdict === "apply") q = each.offset;
      return verdict === "duplicate" ? "drop" : verdict;
    });
    assert.deepEqual([judged, q], [verdicts, ends_at]);
  });
}

test("codes: each close code says whether to come back, known or not", () => {
  const { close, unknown_close } = vectors("codes.json");
  assert.deepEqual(Object.entries(CLOSE_CODES), close.map((/** @type {any} */ { slug, code }) => [slug, code]));
  for (const { code, reconnect } of [...close, ...unknown_close]) assert.equal(!isTerminal(code), reconnect, `${code}`);
});

test("codes: each error code says whether it is temporary", () => {
  const { errors } = vectors("codes.json");
  assert.deepEqual(Object.entries(ERROR_CODES), errors.map((/** @type {any} */ { slug, code }) => [slug, code]));
  for (const { code, temporary } of errors) assert.equal(isTemporary(code), temporary, `${code}`);
});

test("channels: what the grammar refuses is refused before it is sent", () => {
  for (const { text, refused } of vectors("channels.json").channels) {
    if (refused === undefined) assert.match(text, CHANNEL_PATTERN);
    else if (text !== "inbox") assert.doesNotMatch(text, CHANNEL_PATTERN);
  }
});

for (const { name, message } of [...vectors("edge-frames.json").vectors, ...vectors("edge-frames.json").broken]) {
  test(`frames: ${name}: is read without a fault of the client's own`, () => {
    const session = new Session({ transports: ["websocket"], random: () => 0.5, identity: { client: "test" } });
    session.start(0);
    session.token("t", 0);
    session.opened();
    const frames = JSON.parse(message);
    session.receive(Array.isArray(frames) ? frames : [frames], 1);
  });
}

for (const { name, message } of sections("edge-frames.json").broken ?? []) {
  test(`a frame that breaks the contract does not break the client: ${name}`, () => {
    const session = new Session({ transports: ["websocket"], random: () => 0.5, identity: { client: "test" } });
    session.start(0);
    session.token("token", 0);
    session.opened();
    session.receive(take(message).frames ?? [], 1);
    assert.equal(session.state, "connecting");
  });
}
