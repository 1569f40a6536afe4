// What a TypeScript application sees of the package that `npm pack` builds.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";

const CLIENT = new URL("..", import.meta.url).pathname;
const TSC = join(CLIENT, "node_modules/.bin/tsc");
const OPTIONS = ["--noEmit", "--strict", "--exactOptionalPropertyTypes", "--module", "nodenext", "--target", "es2022", "--lib", "es2023,dom,dom.iterable", "--types", ""];

const APPLICATION = `
import { Whimbrel, WhimbrelError, CLOSE_CODES } from "whimbrel";
import { replacePolling } from "whimbrel/replace-polling";

const client = new Whimbrel("https://push.example.com", { token: async () => "…", transport: "auto", tabs: "shared" });
client.on("state", ({ state, code, retryMs }) => console.log(state satisfies string, code === CLOSE_CODES.draining, retryMs));
const orders = client.subscribe("orders:42", ({ event, data, offset }, { recovered }) => console.log(event, data, offset, recovered));
const offset: number | null = await client.publish("orders:42", "note", 1, { expiryMs: 5_000 });
for await (const { event, channel } of orders) console.log(event, channel, offset);
const replaced = replacePolling({ client, channel: "orders:42", intervalMs: 5_000, fetch: () => fetch("/orders/42"), apply: (order: { version: number }, source) => console.log(order.version, source) });
console.log(replaced.cost.savedRequests);
client.history("inbox").catch((error) => error instanceof WhimbrelError && error.slug);
`;

test("the declarations that are built on publish serve a strict TypeScript application, and catch its mistakes", () => {
  const folder = mkdtempSync(join(tmpdir(), "whimbrel-types-"));
  try {
    const files = JSON.parse(execFileSync("npm", ["pack", "--json", "--silent", "--pack-destination", folder], { cwd: CLIENT, encoding: "utf8" }));
    const home = join(folder, "node_modules", "whimbrel");
    mkdirSync(home, { recursive: true });
    execFileSync("tar", ["--extract", "--strip-components=1", "--file", join(folder, files[0].filename), "--directory", home]);
    writeFileSync(join(folder, "package.json"), '{"type": "module"}');
    const check = (/** @type {string} */ text) => {
      writeFileSync(join(folder, "application.ts"), text);
      return spawnSync(TSC, [...OPTIONS, "application.ts"], { cwd: folder, encoding: "utf8" });
    };
    const right = check(APPLICATION);
    assert.equal(right.stdout + right.stderr, "");
    for (const [wrong, code] of /** @type {const} */ ([
      ['new (await import("whimbrel")).Whimbrel("https://push.example.com", { token: "…" });', "TS2322"],
      ['import { Whimbrel } from "whimbrel"; declare const client: Whimbrel; client.subscribe("orders:42", { publicaton: () => {} });', "TS2353"],
    ])) {
      assert.match(check(`export {};\n${wrong}`).stdout, new RegExp(code));
    }
  } finally {
    rmSync(folder, { recursive: true });
    rmSync(join(CLIENT, "types"), { recursive: true, force: true });
  }
});
