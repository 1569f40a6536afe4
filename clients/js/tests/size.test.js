// What a browser has to load, minified and gzipped.

import assert from "node:assert/strict";
import test from "node:test";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const KIB = 1024;
const LATER_BYTES = 7 * KIB; // other transports, and what tabs share

/** @param {string} contents of an entry point @returns {Promise<{entry: number, later: number}>} bytes: what is loaded at once, and when it is needed */
async function sizeOf(contents) {
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: new URL("../src", import.meta.url).pathname },
    bundle: true,
    splitting: true,
    minify: true,
    format: "esm",
    target: "es2022",
    outdir: "out",
    write: false,
    metafile: true,
  });
  const size = (/** @type {(typeof outputFiles)[0]} */ { contents: bytes }) => gzipSync(bytes, { level: 9 }).length;
  const sum = (/** @type {typeof outputFiles} */ files) => files.reduce((total, each) => total + size(each), 0);
  const atOnce = outputFiles.filter(({ path, text }) => /stdin\.js$/.test(path) || (/chunk-/.test(path) && outputFiles.some((entry) => /stdin\.js$/.test(entry.path) && entry.text.includes(path.split("/").at(-1) ?? text))));
  return { entry: sum(atOnce), later: sum(outputFiles.filter((each) => !atOnce.includes(each))) };
}

for (const [what, contents, limitBytes] of /** @type {const} */ ([
  ["the core, which holds a conversation over a WebSocket", 'export * from "./core/session.js"; export * from "./conversation.js";', 8 * KIB],
  ["all that a page loads to be connected", 'export { Whimbrel } from "./index.js";', 13 * KIB],
])) {
  test(`${what} takes at most ${limitBytes / KIB} KiB`, async (context) => {
    const { entry, later } = await sizeOf(contents);
    context.diagnostic(`${entry} bytes at once, ${later} when they are needed`);
    assert.ok(entry <= limitBytes, `${entry} bytes`);
    assert.ok(later <= LATER_BYTES, `${later} bytes`);
  });
}

test("what an application does not use it does not load", async () => {
  const { entry } = await sizeOf('export { Whimbrel } from "./index.js";');
  const withAll = await sizeOf('export * from "./index.js"; export * from "./replace-polling.js";');
  assert.ok(withAll.entry > entry + 500);
});
