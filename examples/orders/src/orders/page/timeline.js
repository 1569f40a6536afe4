// One order's own channel, read back from its history.

import { byId, clock, element } from "./dom.js";
import { orderOf } from "./words.js";

/** @import { Whimbrel } from "/whimbrel/index.js" */

/** @param {Whimbrel} client @param {string} id */
export async function showTimeline(client, id) {
  const dialog = /** @type {HTMLDialogElement} */ (byId("timeline"));
  const list = dialog.querySelector("ol") ?? dialog;
  byId("timeline-title").textContent = `Order #${id}`;
  list.replaceChildren(element("li", {}, "Reading…"));
  dialog.showModal();
  try {
    const { publications } = await client.history(`orders:${id}`, { limit: 50 });
    const rows = publications.map((publication) => {
      const { event, time, offset } = publication;
      const status = orderOf(publication)?.status;
      return element("li", { "data-status": status }, element("b", {}, status ?? event), element("span", {}, clock(Date.parse(time))), element("code", {}, `offset ${offset}`));
    });
    list.replaceChildren(...rows);
  } catch (error) {
    list.replaceChildren(element("li", {}, String(error)));
  }
}
