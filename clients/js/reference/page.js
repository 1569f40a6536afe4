// The reference page: every entry point of the package, what it exports, and the types that these name.

import { join } from "node:path";

import { oneLine } from "./comments.js";
import { Declarations, membersOf } from "./declarations.js";

/** @import { Declaration, Member } from "./declarations.js" */

const WIDTH = 110; // characters of a line with its comment
const CODES = "codes.md"; // has what CLOSE_CODES and ERROR_CODES are made of

const HEAD = `<!-- Written by \`make generate\` from the types of clients/js: edit the comments there. -->
# API of the JavaScript client

Made from the types in [\`clients/js/src\`](../../clients/js/src), which \`tsc\` checks. How to use it: [from a browser](../how-to/use-from-a-browser.md),
[with React](../how-to/use-with-react.md), [Redux](../how-to/use-with-redux.md), [Vue](../how-to/use-with-vue.md), [Pinia](../how-to/use-with-pinia.md),
[Vuex](../how-to/use-with-vuex.md), [any other](../how-to/use-with-any-framework.md), [instead of polling](../how-to/replace-polling.md).
`;

/** @param {string} types the folder with the declarations @param {string} manifest the text of package.json @returns {string} Markdown */
export function referencePage(types, manifest) {
  /** @type {Map<string, Declarations>} */
  const files = new Map();
  const load = (/** @type {string} */ file) => {
    const known = files.get(file) ?? new Declarations(file);
    files.set(file, known);
    return known;
  };
  /** @type {(file: string, name: string) => Declaration | null} null where it is another package's */
  const find = (file, name) => {
    const { own, elsewhere } = load(file);
    const other = elsewhere.get(name);
    return own.get(name) ?? (other ? find(other.file, other.name) : null);
  };
  /** @type {Map<string, Declaration>} of the types that were named, in the order in which they were */
  const named = new Map();
  /** @type {Set<string>} */
  const shown = new Set();
  /** @type {(file: string, text: string) => void} */
  const follow = (file, text) => {
    for (const [name] of text.matchAll(/\b[A-Z]\w+\b/g)) {
      const home = homeOf(load(file), file, name);
      const found = home && find(home, name);
      if (!found || named.has(name) || shown.has(name)) continue;
      named.set(name, found);
      follow(home, `${found.signature} ${found.body}`.replace(/\/\*\*[\s\S]*?\*\//g, ""));
    }
  };

  const entries = Object.entries(/** @type {Record<string, {types: string}>} */ (JSON.parse(manifest).exports)).map(([path, { types: file }]) => {
    const home = join(types, file.replace("./types/", ""));
    const { own, elsewhere } = load(home);
    const exported = path === "." ? [...elsewhere.keys()] : [...own.values()].filter(({ kind }) => kind !== "type").map(({ name }) => name);
    return { path, home, exported };
  });
  for (const { exported } of entries) for (const name of exported) shown.add(name);
  const sections = entries.map(({ path, home, exported }) => {
    const strings = exported.filter((name) => load(home).own.get(name)?.kind === "const" && load(home).own.get(name)?.signature.includes(" = "));
    const parts = exported.filter((name) => !strings.includes(name)).map((name) => {
      const all = load(home).elsewhere.get(name);
      if (all?.name === "*") return constants(name, load(all.file));
      const declaration = find(home, name);
      if (!declaration) throw new Error(`${path} exports ${name}, which is declared nowhere`);
      follow(homeOf(load(home), home, name) ?? home, `${declaration.signature} ${declaration.body}`.replace(/\/\*\*[\s\S]*?\*\//g, ""));
      return shownAs(declaration);
    });
    const list = strings.map((name) => load(home).own.get(name)?.signature).join("\n");
    return `## \`whimbrel${path.slice(1)}\`\n\n${list && `\`\`\`ts\n${list}\n\`\`\`\n\n`}${parts.join("\n")}`;
  });
  const types_ = [...named.values()].filter(({ name }) => !shown.has(name)).sort((one, two) => (one.name < two.name ? -1 : 1));
  return `${HEAD}\n${sections.join("\n")}\n## Types\n\n${types_.map(shownAs).join("\n")}`;
}

/** @param {Declarations} declarations @param {string} file @param {string} name @returns {string | null} the file that declares it */
function homeOf({ own, elsewhere }, file, name) {
  return own.has(name) ? file : (elsewhere.get(name)?.file ?? null);
}

/** @param {Declaration} declaration */
function shownAs(declaration) {
  const { kind, name, signature, body, told } = declaration;
  if (kind === "type") return `### ${name}\n\n${told.text ? `${sentence(told.text)}\n\n` : ""}\`\`\`ts\n${compact(body)}\n\`\`\`\n`;
  if (kind !== "class") return `### ${name}\n\n${described({ signature, told })}`;
  const members = membersOf(declaration).map((each) => described(each)).join("\n");
  return `### ${name}\n\n\`${signature}\`${told.text && `\n\n${sentence(told.text)}`}\n\n${members}`;
}

/** @param {Member} member */
function described({ signature, told }) {
  const lines = [...told.params].filter(([, said]) => said).map(([name, said]) => `- \`${name}\`: ${said}`);
  if (told.returns) lines.push(`- returns ${told.returns}`);
  lines.push(...told.throws.map((each) => `- throws ${each}`));
  return `\`\`\`ts\n${signature}\n\`\`\`\n${told.text ? `${sentence(told.text)}\n` : ""}${lines.length > 0 ? `${told.text ? "\n" : ""}${lines.join("\n")}\n` : ""}`;
}

/** @param {string} name @param {Declarations} declarations */
function constants(name, { own }) {
  const names = [...own.values()].map(({ name: each }) => `\`${each}\``);
  return `### ${name}\n\nNumbers by name ([codes](${CODES})): ${names.join(", ")}.\n`;
}

/** @param {string} text */
function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.:!?]$/.test(whole) ? whole : `${whole}.`;
}

/** @param {string} code a type as it was printed @returns {string} with comments behind what they tell of, or above where they are long */
function compact(code) {
  const told = code.replace(/\/\*\*([\s\S]*?)\*\/\n( *)([^\n]*)/g, (_, comment, indent, line) => {
    const said = `// ${oneLine(comment.replace(/^\s*\* ?/gm, ""))}`;
    return line.endsWith("{") || line.length + said.length > WIDTH ? `${said}\n${indent}${line}` : `${line} ${said}`;
  });
  return told.replace(/^ {4,}/gm, (indent) => " ".repeat(indent.length / 2)).replace(/import\("[^"]*"\)\./g, "");
}
