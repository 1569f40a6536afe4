// JSDoc comments, taken apart.

/**
 * @typedef {object} Told
 * @property {string} text what stands before the first tag
 * @property {ReadonlyMap<string, string>} params what is said of each, by its name; of those of which nothing is said, an empty text
 * @property {string} returns
 * @property {readonly string[]} throws each with the type in front
 * @property {ReadonlyMap<string, string>} types what is said of each `@typedef`, by its name
 */

const TAG = /(?:^|\s)@(param|returns|throws|type|template|typedef|property|extends|import|abstract|internal)(?=\s|$)/;

/** @param {string} comment from `/**` to its end @returns {Told} */
export function readComment(comment) {
  const [text = "", ...tagged] = comment
    .replace(/^\/\*\*/, "")
    .replace(/\*\/$/, "")
    .replace(/^\s*\* ?/gm, "")
    .split(TAG);
  const params = new Map();
  const types = new Map();
  const throws = [];
  let returns = "";
  let own = oneLine(text);
  for (let index = 0; index < tagged.length; index += 2) {
    const [tag, [type, rest]] = [tagged[index], typed(tagged[index + 1] ?? "")];
    const [name = "", said = ""] = named(rest);
    if (tag === "param") params.set(name, said);
    else if (tag === "typedef") types.set(name, said);
    else if (tag === "returns") returns = rest;
    else if (tag === "throws") throws.push(`\`${type}\`${rest && ` ${rest}`}`);
    else if (tag === "type" && !own) own = rest;
  }
  return { text: own, params, returns, throws, types };
}

/** @param {string} text `{type} rest` @returns {[string, string]} the type and the rest; an empty type where there is none */
function typed(text) {
  const from = text.trimStart();
  if (!from.startsWith("{")) return ["", oneLine(from)];
  let depth = 0;
  const end = [...from].findIndex((character) => {
    if (character === "{") depth += 1;
    if (character === "}") depth -= 1;
    return depth === 0;
  });
  return [oneLine(from.slice(1, end)), oneLine(from.slice(end + 1))];
}

/** @param {string} text `name said` or `[name] said` */
function named(text) {
  return /^\[?([\w.]+)(?:=[^\]]*)?\]?\s*([\s\S]*)$/.exec(text)?.slice(1) ?? [];
}

/** @param {string} text @returns {string} */
export function oneLine(text) {
  return text.replace(/\s+/g, " ").trim();
}
