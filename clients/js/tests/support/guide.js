// The code of a page of docs/how-to, bundled as an application would have it, with a client of the test in place of its own.

import { readFileSync } from "node:fs";

import { build } from "esbuild";
import { compileScript, parse } from "vue/compiler-sfc";

/** @import { Plugin } from "esbuild" */

/** @param {string} page below docs/how-to @returns {Map<string, string>} its files by name */
export function filesOf(page) {
  const text = readFileSync(new URL(`../../../../docs/how-to/${page}`, import.meta.url), "utf8");
  const files = [...text.matchAll(/^```\w+ +(\S+\.\w+)\n([\s\S]*?)^```$/gm)];
  return new Map(files.map(([, name = "", code = ""]) => [name, code]));
}

/**
 * @param {string} page
 * @param {string} entry one of its files, or some, parted by blanks
 * @param {import("../../src/index.js").Whimbrel} client what `./client.js` exports
 * @returns {Promise<any>} what they export
 */
export async function guide(page, entry, client) {
  const files = filesOf(page);
  /** @type {any} */ (globalThis).guideClient = client;
  /** @type {Plugin} */
  const plugin = {
    name: "guide",
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /^\.\// }, ({ path }) => ({ path: path.slice(2), namespace: "guide" }));
      // The test's own modules: a component and the test are to share one React, one client.
      onResolve({ filter: /^\w/ }, ({ path, kind }) => (kind === "entry-point" ? null : { path: import.meta.resolve(path), external: true }));
      onLoad({ filter: /.*/, namespace: "guide" }, ({ path }) => {
        if (path === "client.js") return { contents: "export const client = globalThis.guideClient;" };
        const contents = files.get(path);
        if (contents === undefined) throw new Error(`${page} has no ${path}`);
        return path.endsWith(".vue") ? { contents: component(contents, path), loader: "js" } : { contents, loader: "jsx" };
      });
    },
  };
  const stdin = { contents: entry.split(" ").map((each, n) => `export * as all${n} from "./${each}";`).join(""), loader: /** @type {const} */ ("js") };
  const { outputFiles } = await build({ stdin, bundle: true, format: "esm", jsx: "automatic", write: false, plugins: [plugin], logLevel: "silent" });
  const [{ text } = { text: "" }] = outputFiles;
  return Object.assign({}, ...Object.values(await import(`data:text/javascript;base64,${Buffer.from(text).toString("base64")}`)));
}

/** @param {string} source of a component of Vue @param {string} name @returns {string} JavaScript */
function component(source, name) {
  const { descriptor, errors } = parse(source, { filename: name });
  if (errors.length > 0) throw errors[0];
  return compileScript(descriptor, { id: name, inlineTemplate: true }).content;
}
