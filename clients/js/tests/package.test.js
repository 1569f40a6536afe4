// What is published: the tarball of `npm pack`, as a fresh project finds it.

import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";

import { build } from "esbuild";

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

/** A project that has installed the package, and nothing else. */
const folder = mkdtempSync(join(tmpdir(), "whimbrel-package-"));
/** @type {string[]} what the package holds */
let published = [];

before(() => {
  const [packed] = JSON.parse(execFileSync("npm", ["pack", "--json", "--silent", "--pack-destination", folder], { cwd: CLIENT, encoding: "utf8" }));
  published = packed.files.map((/** @type {{path: string}} */ { path }) => path);
  const home = join(folder, "node_modules", "whimbrel");
  mkdirSync(home, { recursive: true });
  execFileSync("tar", ["--extract", "--strip-components=1", "--file", join(folder, packed.filename), "--directory", home]);
  writeFileSync(join(folder, "package.json"), '{"type": "module"}');
});

after(() => rmSync(folder, { recursive: true }));

/** @param {string} contents @returns {Promise<string>} what a page loads at once of an application that says this */
async function bundled(contents) {
  const { outputFiles } = await build({ stdin: { contents, resolveDir: folder }, bundle: true, splitting: true, minify: true, format: "esm", target: "es2022", outdir: "out", write: false });
  return outputFiles.filter(({ path }) => /stdin\.js$/.test(path)).map(({ text }) => text)[0] ?? "";
}

test("what is published is the sources, their declarations, the licence and a page to read, and may be published", () => {
  const beside = published.filter((path) => !/^(src|types)\//.test(path));
  assert.deepEqual(beside.sort(), ["LICENSE", "README.md", "package.json"]);
  for (const path of published.filter((each) => /^src\/.*\.js$/.test(each))) assert.ok(published.includes(path.replace("src/", "types/").replace(/\.js$/, ".d.ts")), path);
  const { private: hidden, exports, version } = JSON.parse(readFileSync(join(CLIENT, "package.json"), "utf8"));
  assert.equal(hidden, undefined);
  for (const target of Object.values(exports).flatMap((each) => (typeof each === "string" ? [each] : Object.values(each)))) assert.ok(published.includes(target.slice(2)), target);
  assert.match(readFileSync(join(CLIENT, "src/client.js"), "utf8"), new RegExp(`"whimbrel-js/${version}"`));
});

test("the declarations serve a strict TypeScript application, and catch its mistakes", () => {
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
});

test("a bundler takes what an application uses of it, and leaves out the rest", async () => {
  const all = await bundled('export * from "whimbrel"; export * from "whimbrel/replace-polling";');
  const client = await bundled('import { Whimbrel } from "whimbrel"; new Whimbrel("/", { token: () => null });');
  const codes = await bundled('import { CLOSE_CODES } from "whimbrel"; console.log(CLOSE_CODES.draining);');
  assert.ok(client.length < all.length - 1_000, `${client.length} of ${all.length} bytes`);
  assert.ok(codes.length < 100, codes);
});

test("Node.js imports and uses it without a DOM, and ends once it is closed", () => {
  const program = `
    import { Whimbrel } from "whimbrel";
    import "whimbrel/replace-polling";
    import "whimbrel/store";
    const client = new Whimbrel("http://127.0.0.1:9", { token: () => "token", transport: "poll" });
    client.on("state", ({ state, reason }) => {
      console.log(state);
      if (state === "disconnected") client.close();
    });`;
  const { stdout, stderr, status } = spawnSync(process.execPath, ["--input-type=module", "--eval", program], { cwd: folder, encoding: "utf8", timeout: 60_000 });
  assert.deepEqual([stdout.trim().split("\n"), stderr, status], [["connecting", "disconnected", "closed"], "", 0]);
});
