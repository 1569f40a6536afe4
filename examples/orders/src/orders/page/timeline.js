// One order's own channel, read back from its history.

import { byId, clock, element } from "./dom.js";

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
    const rows = publications.map(({ data, time, offset }) =>
      element("li", { "data-status": data?.status }, element("b", {}, String(data?.status)), element("span", {}, clock(Date.parse(time))), element("code", {}, `offset ${offset}`)),
    );
    list.replaceChildren(...rows);
  } catch (error) {
    list.replaceChildren(element("li", {}, String(error)));
  }
}
