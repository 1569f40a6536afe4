// Who is choosing an item right now: an ephemeral channel, for nobody wants to know later.

import { byId, element } from "./dom.js";

/** @import { Whimbrel } from "/whimbrel/index.js" */

const CHANNEL = "typing:board";
const TOLD_EVERY_MS = 1_500;
const FORGOTTEN_MS = 3_500;

/** @param {Whimbrel} client @param {string} user */
export function followTyping(client, user) {
  const line = byId("typing");
  let toldAt = 0;
  let timer = 0;
  client.subscribe(CHANNEL, ({ data }) => {
    if (typeof data?.user !== "string" || data.user === user) return;
    line.replaceChildren(element("b", {}, data.user), " is choosing an item…");
    clearTimeout(timer);
    timer = window.setTimeout(() => line.replaceChildren(), FORGOTTEN_MS);
  });
  const tell = () => {
    if (client.state !== "connected" || Date.now() - toldAt < TOLD_EVERY_MS) return;
    toldAt = Date.now();
    client.publish(CHANNEL, "typing", { user }).catch(() => {}); // who was not told misses nothing
  };
  for (const event of ["focus", "input", "keydown", "pointerdown"]) byId("item").addEventListener(event, tell);
}
