// The golden vectors that the Python tests read as well: what this client makes of the edge's bytes, of codes and of channels.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { ABNORMAL, isTemporary, isTerminal } from "../src/core/codes.js";
import { judge } from "../src/core/position.js";
import { Session } from "../src/core/session.js";
import * as CLOSE_CODES from "../src/close-codes.gen.js";
import * as ERROR_CODES from "../src/error-codes.gen.js";
import { CHANNEL_PATTERN, INBOX } from "../src/protocol.gen.js";
import { openWebSocket } from "../src/transports/websocket.js";

/** @import { Host } from "../src/transports/link.js" */

const FOLDER = new URL("../../../tests/vectors/", import.meta.url);

/** @param {string} file @returns {Record<string, any[]>} its sections */
const sections = (file) => JSON.parse(readFileSync(new URL(file, FOLDER), "utf8"));

/** A socket that is handed one message. */
class Socket {
  /** @type {Socket} */
  static last;
  readyState = 1;
  /** @type {((event: {data: string}) => void) | null} */
  onmessage = null;

  constructor() {
    Socket.last = this;
  }

  close() {}
}

/**
 * Let the WebSocket transport take one message of the edge.
 *
 * @param {string} message
 */
function take(message) {
  /** @type {{frames: readonly any[] | null, code: number | null}} */
  const taken = { frames: null, code: null };
  const host = /** @type {Host} */ (/** @type {unknown} */ ({ WebSocket: Socket }));
  const events = {
    opened: () => {},
    /** @param {readonly any[]} frames */
    receive: (frames) => void (taken.frames = frames),
    /** @param {{code: number}} loss */
    lost: ({ code }) => void (taken.code = code),
    restMs: () => 0,
  };
  openWebSocket("http://edge.test", events, host);
  Socket.last.onmessage?.({ data: message });
  return taken;
}

for (const { name, message, frames } of sections("edge-frames.json").vectors ?? []) {
  test(`the edge's message is read: ${name}`, () => {
    const known = new Set(frames.map((/** @type {{type: string}} */ frame) => frame.type));
    const read = take(message).frames?.filter((frame) => known.has(frame.type));
    assert.deepEqual(read?.map(withoutUnknownFields), frames.map(withoutUnknownFields));
  });
}

/** @param {any} frame */
function withoutUnknownFields({ since: _, ...frame }) {
  return frame;
}

for (const { name, message } of sections("edge-frames.json").not_json ?? []) {
  test(`the edge's message is no JSON, and the connection is given up: ${name}`, () => {
    assert.deepEqual(take(message), { frames: null, code: ABNORMAL });
  });
}

for (const { name, at, publications, verdicts, ends_at } of sections("rule.json").vectors ?? []) {
  test(`the rule of exactly once: ${name}`, () => {
    let position = at;
    const judged = publications.map((/** @type {{offset: number, prev: number}} */ publication) => {
      const verdict = judge(position, publication);
      if (verdict === "apply") position = publication.offset;
      return verdict === "duplicate" ? "drop" : verdict;
    });
    assert.deepEqual(judged, verdicts);
    assert.equal(position, ends_at);
  });
}

test("a text is a channel for this client exactly when it is one for the edge", () => {
  for (const { text, refused } of sections("channels.json").channels ?? []) {
    assert.equal(CHANNEL_PATTERN.test(text), refused === undefined || text === INBOX, JSON.stringify(text));
  }
});

test("close codes have their numbers, and say whether to come back", () => {
  const { close = [], unknown_close = [] } = sections("codes.json");
  assert.deepEqual({ ...CLOSE_CODES }, Object.fromEntries(close.map(({ slug, code }) => [slug, code])));
  for (const { code, reconnect } of [...close, ...unknown_close]) assert.equal(isTerminal(code), !reconnect, String(code));
});

test("error codes have their numbers, and say whether to try again", () => {
  const { errors = [] } = sections("codes.json");
  assert.deepEqual({ ...ERROR_CODES }, Object.fromEntries(errors.map(({ slug, code }) => [slug, code])));
  for (const { code, temporary } of errors) assert.equal(isTemporary(code), temporary, String(code));
});

for (const { name, message } of sections("edge-frames.json").broken ?? []) {
  test(`a frame that breaks the contract does not break the client: ${name}`, () => {
    const session = new Session({ transports: ["websocket"], random: () => 0.5, identity: { client: "test" } });
    session.start(0);
    session.token("token", 0);
    session.opened();
    assert.doesNotThrow(() => session.receive(take(message).frames ?? [], 1));
  });
}
