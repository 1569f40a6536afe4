// The connection in view, and the buttons that disturb it.

import { byId, show } from "./dom.js";

/**
 * @import { Whimbrel } from "/whimbrel/index.js"
 * @import { Preference, StateChange } from "/whimbrel/options.js"
 * @import { Line } from "./line.js"
 * @import { Log } from "./log.js"
 */

const NAMES = { websocket: "WebSocket", sse: "event stream", poll: "long-poll" };

const BROKEN = 1006; // without a word from the edge: the reason is the browser's own

/** When the user was away last: Unix ms. An event of that time which comes later was not missed, it was kept. */
export class Presence {
  #lostAt = 0;
  backAt = 0;

  /**
   * @param {StateChange} change
   * @param {number} now
   * @returns {number | null} how long the user was away, where that has just ended
   */
  change({ state }, now) {
    if (state === "disconnected" && this.#lostAt === 0) this.#lostAt = now;
    if (state !== "connected" || this.#lostAt === 0) return null;
    const away = now - this.#lostAt;
    this.backAt = now;
    this.#lostAt = 0;
    return away;
  }
}

/** @param {StateChange} change @param {Line} line @returns {string} why there is no connection */
function inWords({ code, reason }, line) {
  if (code === BROKEN) return line.isCut ? "the line is cut" : "the connection broke";
  return reason ? `${reason} (${code})` : `code ${code}`;
}

/**
 * @param {Whimbrel} client
 * @param {Line} line
 * @param {Log} log
 * @param {Presence} presence
 */
export function showConnection(client, line, log, presence) {
  const pill = byId("connection");
  const offline = byId("offline");
  const drop = byId("drop");
  const transports = byId("transports");
  /** @type {StateChange} */
  let last = { state: client.state, code: 1000, reason: "", retryMs: null };
  let retryAt = 0;

  const draw = () => {
    pill.dataset["state"] = last.state;
    show("state", last.state === "connected" ? "Connected" : last.state === "closed" ? "Closed" : last.state === "connecting" ? "Connecting" : line.isCut ? "Offline" : "Disconnected");
    const elsewhere = client.leads ? "" : " · through another tab";
    show("transport", last.state === "connected" ? `${NAMES[client.transport]}${elsewhere}` : "");
    // The line of a tab that holds no connection is nobody's.
    for (const button of [offline, drop]) button.toggleAttribute("disabled", last.state === "connected" && !client.leads);
    const left = Math.max(0, (retryAt - Date.now()) / 1000);
    show("why", last.state === "disconnected" ? `${inWords(last, line)} · again in ${left.toFixed(1)} s` : last.state === "closed" ? inWords(last, line) : "");
  };

  client.on("state", (change) => {
    const { state, retryMs } = change;
    const wasConnected = last.state === "connected";
    last = change;
    retryAt = Date.now() + (retryMs ?? 0);
    const away = presence.change(change, Date.now());
    if (state === "disconnected" && wasConnected) log.note(state, `disconnected: ${inWords(change, line)}`);
    if (state === "closed") log.note(state, `closed: ${inWords(change, line)}`);
    if (state === "connected") {
      if (away !== null) log.welcome(away / 1000, NAMES[client.transport]);
      else log.note(state, `connected by ${NAMES[client.transport]}`);
    }
    draw();
  });
  client.on("transport", (transport) => {
    if (client.state === "connected") log.note("connected", `now by ${NAMES[transport]}`);
  });
  setInterval(draw, 100);

  offline.addEventListener("click", () => {
    if (line.isCut) line.mend();
    else line.cut();
    offline.setAttribute("aria-pressed", String(line.isCut));
    offline.textContent = line.isCut ? "Go back online" : "Go offline";
  });
  drop.addEventListener("click", () => line.drop());
  transports.addEventListener("change", ({ target }) => {
    client.useTransport(/** @type {Preference} */ (/** @type {HTMLInputElement} */ (target).value));
  });
}
