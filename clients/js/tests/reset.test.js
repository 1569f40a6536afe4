import assert from "node:assert/strict";
import test from "node:test";

import { Session } from "../src/core/session.js";

/** @import { Effect } from "../src/core/effects.js" */

const CHANNEL = "orders:42";
const LOST = { channel: CHANNEL, epoch: "new", offset: 1, recovered: false, publications: [] };

for (const transport of /** @type {const} */ (["websocket", "sse"])) {
  test(`${transport}: an answer that was asked for before a reset does not lead back to before it`, () => {
    const session = new Session({ transports: [transport], random: () => 0.5, identity: { client: "test" } });
    /** @type {Effect[]} */
    const effects = [];
    const step = (/** @type {Effect[]} */ out) => void effects.push(...out);
    const frame = (/** @type {Record<string, any>} */ fields) => /** @type {any} */ (fields);
    const welcome = (/** @type {object} */ subscription) =>
      frame({ type: "connected", session: "s", user: "alice", expires_in: 3600, ping: 25, pong: 10, channels: { [CHANNEL]: { publications: [], ...subscription } } });
    const publication = (/** @type {number} */ offset) => frame({ type: "publication", channel: CHANNEL, offset, prev: offset - 1, data: offset });
    const heard = () => effects.map((each) => (each.type === "publication" ? each.publication.offset : each.type)).filter((each) => each === "reset" || typeof each === "number");

    step(session.start(0));
    step(session.token("token", 0));
    step(session.subscribe(CHANNEL, { position: { epoch: "old", offset: 12 } }));
    step(session.opened());
    step(session.receive([welcome({ epoch: "old", offset: 12, recovered: true })], 0));
    step(session.move(1));
    step(session.tick(1));
    step(session.prepared()); // the next connection asks from old:12 …
    step(session.receive([frame({ type: "subscribed", ...LOST }), publication(2), publication(3)], 2)); // … and this one tells the reset
    assert.deepEqual(heard(), ["reset", 2, 3]);

    step(session.met([welcome({ epoch: "old", offset: 12, recovered: true }), frame({ type: "subscribed", ...LOST }), publication(2)], 3));
    assert.deepEqual(heard(), ["reset", 2, 3]);
    assert.deepEqual(session.channels.positions[CHANNEL], { epoch: "new", offset: 3 });

    if (transport === "websocket") {
      const asked = effects.findLast((each) => each.type === "send");
      const { id, type, position } = /** @type {Record<string, any>} */ (asked?.frames.at(-1));
      assert.deepEqual({ type, position }, { type: "subscribe", position: { epoch: "new", offset: 3 } });
      step(session.receive([frame({ type: "subscribed", id, channel: CHANNEL, epoch: "new", offset: 3, recovered: true, publications: [publication(4)] })], 4));
    } else {
      step(session.tick(60_000)); // a stream takes no frames: another one is opened beside it
      step(session.tick(60_001));
      step(session.prepared());
      step(session.met([welcome({ epoch: "new", offset: 3, recovered: true, publications: [publication(4)] })], 60_002));
    }
    assert.deepEqual(heard(), ["reset", 2, 3, 4]);
  });
}
