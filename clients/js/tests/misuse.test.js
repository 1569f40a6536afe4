// What a newcomer gets wrong is named where it is written, and what nobody awaits hurts nobody.

import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import test from "node:test";

import { Whimbrel } from "../src/index.js";
import { Scene } from "./support/scene.js";

/** @type {any} */
const Untyped = Whimbrel;
const token = () => "token";

test("a client without an address, or without a token provider, says what to write", () => {
  assert.throws(() => new Untyped(), { name: "TypeError", message: /token must be a function/ });
  assert.throws(() => new Untyped("http://edge.test", { token: "eyJ…" }), { name: "TypeError", message: /token must be a function/ });
  assert.throws(() => new Untyped(undefined, { token }), { name: "TypeError", message: /address of the edge is missing/ });
  for (const url of ["push.example.com", "/push", "ws://edge.test"]) {
    assert.throws(() => new Untyped(url, { token }), { name: "TypeError", message: /is no address of an edge/ });
  }
});

test("an unknown transport is refused, at the beginning and later", () => {
  const scene = new Scene();
  const unknown = { name: "TypeError", message: '"carrier-pigeon" is no transport: write "auto", "websocket", "sse" or "poll"' };
  assert.throws(() => scene.client(/** @type {any} */ ({ transport: "carrier-pigeon" })), unknown);
  const client = scene.client();
  assert.throws(() => client.useTransport(/** @type {any} */ ("carrier-pigeon")), unknown);
  client.close();
});

test("where there is no WebSocket, `auto` takes an event stream, and `websocket` says why it cannot be", () => {
  const scene = new Scene();
  const { WebSocket: _, ...rest } = scene.host;
  const host = /** @type {any} */ ({ ...rest, WebSocket: undefined });
  assert.throws(() => scene.client({ host, transport: "websocket" }), { name: "TypeError", message: /Node\.js has one from version 22/ });
  const client = scene.client({ host });
  assert.equal(client.transport, "sse");
  client.close();
});

test("a handler that is no function is refused", () => {
  /** @type {any} */
  const client = new Scene().client();
  const refused = { name: "TypeError", message: /must be a function/ };
  for (const what of [null, "show", { publication: "show" }, { reset: 1 }, { state: null }]) {
    assert.throws(() => client.subscribe("orders:42", what), refused);
  }
  assert.throws(() => client.on("state"), refused);
  client.close();
});

test("a malformed channel is refused in words, by every request", async () => {
  const client = new Scene().client();
  const refused = { slug: "unknown_channel", message: '"bad channel" is not a channel: write namespace:name, e.g. orders:42, or inbox' };
  await assert.rejects(client.history("bad channel"), refused);
  await assert.rejects(client.publish("bad channel", "note", 1), refused);
  await assert.rejects(client.ack("bad channel", 1), refused);
  client.close();
});

test("what cannot be written down is refused where it is awaited, as everything that is wrong with a publish", async () => {
  const client = new Scene().client();
  /** @type {Record<string, unknown>} */
  const cycle = {};
  cycle["self"] = cycle;
  for (const data of [1n, cycle]) await assert.rejects(client.publish("orders:42", "note", data), { name: "TypeError" });
  client.close();
});

test("whoever awaits an ack hears that the client was closed", async () => {
  const client = new Scene().client();
  const acked = client.ack("orders:42", 1);
  client.close();
  await assert.rejects(acked, { slug: "closed" });
});

test("an ack or a publish that nobody awaits does not end the process", () => {
  const script = `
    import { Scene } from "./tests/support/scene.js";
    const scene = new Scene();
    const client = scene.client();
    const subscription = scene.follow(client, "orders:42");
    await scene.pass(100);
    subscription.ack();
    client.publish("orders:42", "note", 1);
    client.close();
    await scene.pass(1_000);
    console.log("alive");`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], { encoding: "utf8", cwd: new URL("..", import.meta.url) });
  assert.deepEqual({ stdout, stderr, status }, { stdout: "alive\n", stderr: "", status: 0 });
});
