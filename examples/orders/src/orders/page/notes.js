// Notes that everybody sees: published by this page and acknowledged once they are stored. What is written while the line is cut waits.

import { byId, clock, element } from "./dom.js";

/** @import { Whimbrel } from "/whimbrel/index.js" */

const CHANNEL = "orders:notes";
const SHOWN = 30;

/** @typedef {{user?: unknown, text?: unknown}} Note */

/** @param {Whimbrel} client @param {string} user */
export function followNotes(client, user) {
  const list = byId("notes");
  const field = /** @type {HTMLInputElement} */ (byId("note-text"));
  /** @type {Map<string, HTMLElement>} by the key that a note was published with, which is the id of its event */
  const rows = new Map();

  /** @param {string} key @param {Note} note @param {number} at @returns {HTMLElement} */
  const row = (key, { user: author, text }, at) => {
    const made = element("li", { "data-note": key }, element("b", {}, String(author)), element("span", {}, String(text)), element("small"), element("time", {}, clock(at)));
    rows.set(key, made);
    list.prepend(made);
    for (const old of [...list.children].slice(SHOWN)) {
      rows.delete(old.getAttribute("data-note") ?? "");
      old.remove();
    }
    return made;
  };
  /** @param {HTMLElement} which @param {"waiting" | "stored" | "refused"} state @param {string} words */
  const mark = (which, state, words) => {
    which.dataset["state"] = state;
    which.querySelector("small")?.replaceChildren(words);
  };

  client.subscribe(CHANNEL, {
    last: SHOWN,
    publication: ({ event_id: key, data, time, offset }) => {
      if (!rows.has(key) && typeof data?.text === "string") mark(row(key, data, Date.parse(time)), "stored", `#${offset}`);
    },
  });
  byId("note").addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = field.value.trim();
    if (text === "") return;
    field.value = "";
    const key = crypto.randomUUID();
    const own = row(key, { user, text }, Date.now());
    mark(own, "waiting", client.state === "connected" ? "on its way" : "waits for the line");
    try {
      mark(own, "stored", `acknowledged, #${await client.publish(CHANNEL, "note.written", { user, text }, { key })}`);
    } catch (error) {
      mark(own, "refused", error instanceof Error ? error.message : String(error));
    }
  });
}
