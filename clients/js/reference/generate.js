// `node reference/generate.js` writes docs/reference/javascript-client.md; the tests compare it with what the types say now.

import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { referencePage } from "./page.js";

const CLIENT = fileURLToPath(new URL("..", import.meta.url));
export const PAGE = join(CLIENT, "../../docs/reference/javascript-client.md");

/** @returns {string} the page as the types say it now */
export function reference() {
  const types = mkdtempSync(join(tmpdir(), "whimbrel-reference-"));
  try {
    execFileSync(join(CLIENT, "node_modules/.bin/tsc"), ["--project", "tsconfig.build.json", "--outDir", types], { cwd: CLIENT });
    return referencePage(types, readFileSync(join(CLIENT, "package.json"), "utf8"));
  } finally {
    rmSync(types, { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(PAGE, reference());
