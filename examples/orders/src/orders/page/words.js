// What a publication says, in one line. Anyone may publish on these channels: what is no order of this shop is shown as it came.

import { STATUSES } from "./board.js";
import { element } from "./dom.js";

/**
 * @import { Order } from "./board.js"
 *
 * @typedef {{event: string, data: any}} Told
 */

const BRIEF = 80; // characters of unknown data that are shown

/** @param {Told} told @returns {Order | null} null where it does not tell all that an order has */
export function orderOf({ event, data }) {
  if (!event.startsWith("order.") || data === null || typeof data !== "object") return null;
  const { order, customer, item, total, status, version } = data;
  const named = [order, customer, item].every((each) => typeof each === "string");
  const counted = Number.isFinite(total) && Number.isFinite(version);
  return named && counted && STATUSES.includes(status) ? { id: order, customer, item, total, status, version } : null;
}

/** @param {Told} told @returns {Node} for everyone */
export function describe(told) {
  const order = orderOf(told);
  if (order) return element("span", {}, `#${order.id} `, element("b", {}, order.status), ` ${order.item} · ${order.customer}`);
  const { event, data } = told;
  if (event === "offer.announced" && Number.isFinite(data?.percent) && typeof data.item === "string") {
    return element("span", {}, element("b", {}, `−${data.percent} %`), ` on ${data.item}`);
  }
  return element("span", {}, element("b", {}, event), ` ${brief(data)}`);
}

/** @param {Told} told @returns {Node} for the customer */
export function yours(told) {
  const order = orderOf(told);
  return order ? element("span", {}, `${order.item} `, element("b", {}, order.status)) : describe(told);
}

/** @param {unknown} data @returns {string} its JSON, cut where it is long; empty where there is none */
export function brief(data) {
  if (data === undefined || data === null) return "";
  const text = typeof data === "string" ? data : JSON.stringify(data);
  const characters = Array.from(text);
  return characters.length > BRIEF ? `${characters.slice(0, BRIEF - 1).join("")}…` : text;
}
