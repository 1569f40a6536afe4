// The reference page is made from the types.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";

import { readComment } from "../reference/comments.js";
import { PAGE, reference } from "../reference/generate.js";

test("the reference page says what the types say now", () => {
  assert.ok(readFileSync(PAGE, "utf8") === reference(), "docs/reference/javascript-client.md is stale: run `make generate`");
});

test("a comment is taken apart, nested types and names in brackets included", () => {
  const { text, params, returns, throws } = readComment(`/**
   * Publish, once.
   *
   * @param {string} channel
   * @param {{key?: string, expiryMs?: number}} [options] of this
   *   one
   * @returns {Promise<number | null>} the offset
   * @throws {TypeError} where it is none
   */`);
  assert.deepEqual([text, [...params], returns, throws], ["Publish, once.", [["channel", ""], ["options", "of this one"]], "the offset", ["`TypeError` where it is none"]]);
});
