// Every transport by its name. WebSocket is at hand; the others are loaded once they are needed.

import { ABNORMAL } from "../core/codes.js";
import { messageOf } from "../errors.js";
import { openWebSocket } from "./websocket.js";

/** @import { Link, LinkEvents, OpenLink } from "./link.js" */

/** @type {OpenLink} */
export function openLink(transport, base, events, host) {
  if (transport === "websocket") return openWebSocket(base, events, host);
  const load = import("./fallback.js").then(({ openPoll, openStream }) => (transport === "sse" ? openStream : openPoll));
  return openLater(load.then((open) => () => open(base, events, host)), events);
}

/**
 * @param {Promise<() => Link>} load what opens the link
 * @param {LinkEvents} events
 * @returns {Link} that may be closed before
 */
export function openLater(load, events) {
  /** @type {Link | null} */
  let link = null;
  let closed = false;
  load
    .then((open) => {
      if (!closed) link = open();
    })
    .catch((error) => closed || events.lost({ code: ABNORMAL, reason: `the transport cannot be loaded: ${messageOf(error)}` }));
  return {
    send: (frames) => link?.send(frames),
    close: () => {
      closed = true;
      link?.close();
    },
  };
}
