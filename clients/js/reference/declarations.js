// What `tsc` declares, taken apart: it prints one statement after the other, each with its comment in front.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

import { oneLine, readComment } from "./comments.js";

/**
 * @import { Told } from "./comments.js"
 *
 * @typedef {object} Declaration
 * @property {"class" | "function" | "const" | "type"} kind
 * @property {string} name
 * @property {string} signature in one line, without `export declare`; of a class its head
 * @property {string} body of a class: its members; of a type: all of it, as it was printed
 * @property {Told} told
 *
 * @typedef {{signature: string, told: Told}} Member
 */

const TOKEN = /\/\*[\s\S]*?\*\/|"[^"\n]*"|`[^`]*`|[()[\]{};]|[^"`()[\]{};/]+|\//g;

/** @param {string} text @returns {{comment: string, code: string}[]} its statements, those at the outermost level, each with the comment before it */
function statements(text) {
  const found = [];
  let [comment, code, depth] = ["", "", 0];
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (token.startsWith("/*") && code.trim() === "") {
      comment = token;
      continue;
    }
    code += token;
    if ("([{".includes(token)) depth += 1;
    if (")]}".includes(token)) depth -= 1;
    const isEnd = token === ";" || (token === "}" && text[index + 1] === "\n" && /^\s*(export )?(declare )?class /.test(code));
    if (depth > 0 || !isEnd) continue;
    found.push({ comment, code: code.trim() });
    [comment, code] = ["", ""];
  }
  return found;
}

/** One file of declarations: what it exports, what it imports, and from where. */
export class Declarations {
  /** @type {Map<string, Declaration>} */
  own = new Map();
  /** @type {Map<string, {file: string, name: string}>} what is found in other files */
  elsewhere = new Map();

  /** @param {string} file */
  constructor(file) {
    const text = readFileSync(file, "utf8");
    const comments = [...text.matchAll(/\/\*\*[\s\S]*?\*\//g)].map(([comment]) => readComment(comment));
    const types = new Map(comments.flatMap((each) => [...each.types]));
    for (const { comment, code } of statements(text)) this.#read(file, code, comment, types);
  }

  /** @param {string} file @param {string} code @param {string} comment @param {Map<string, string>} types */
  #read(file, code, comment, types) {
    const [, names = "", path = ""] = /^(?:import|import type|export) \{([^}]*)\} from "(\.[^"]*)\.js"/.exec(code) ?? [];
    for (const name of names.split(",").map((each) => each.trim())) if (name) this.elsewhere.set(name, { file: join(dirname(file), `${path}.d.ts`), name });
    const [, all = "", from = ""] = /^export \* as (\w+) from "(\.[^"]*)\.js"/.exec(code) ?? [];
    if (all) this.elsewhere.set(all, { file: join(dirname(file), `${from}.d.ts`), name: "*" });
    const [, kind, name = ""] = /^(?:export )?(?:declare )?(class|function|const|type) (\w+)/.exec(code) ?? [];
    if (!kind) return;
    const plain = code.replace(/^export /, "").replace(/^declare /, "");
    const told = readComment(comment);
    if (kind === "type") this.own.set(name, { kind, name, signature: "", body: plain, told: { ...told, text: types.get(name) || told.text } });
    else if (kind === "class") this.own.set(name, { kind, name, signature: oneLine(plain.slice(0, headOf(plain))), body: plain.slice(headOf(plain) + 1, -1), told });
    else if (kind === "const" || kind === "function") this.own.set(name, { kind, name, signature: signatureOf(plain.replace(/;$/, ""), told), body: "", told });
  }
}

/** @param {string} code of a class @returns {number} where its body begins: at the one bracket that no other encloses and that ends a line */
function headOf(code) {
  return code.indexOf("{\n    #private") >= 0 ? code.indexOf("{\n    #private") : code.indexOf("{\n");
}

/** @param {Declaration} declaration a class @returns {Member[]} */
export function membersOf({ body, name }) {
  return statements(body)
    .filter(({ code }) => !code.startsWith("#private"))
    .map(({ comment, code }) => {
      const told = readComment(comment);
      return { told, signature: signatureOf(code.replace(/;$/, "").replace(/^constructor/, `new ${name}`).replace(/^get (\w+)\(\)/, "readonly $1"), told) };
    });
}

/** @param {string} code @param {Told} told @returns {string} in one line; parameters that are taken apart at once get their names */
function signatureOf(code, told) {
  const names = [...told.params.keys()].filter((each) => !each.includes("."));
  let line = oneLine(code);
  for (const name of names) if (!new RegExp(`[(,] ?${name}\\??:`).test(line)) line = line.replace(/([(,] ?)\{ [\w, ]+ \}(\??:)/, `$1${name}$2`);
  return line.replace(/^(function|const) /, "").replace(/import\("[^"]*"\)\./g, "").replace(/; \}/g, " }");
}
