// Every transport by its name. WebSocket is at hand; the others are loaded once they are needed.

import { ABNORMAL } from "../core/codes.js";
import { messageOf } from "../errors.js";
import { openWebSocket } from "./websocket.js";

/** @import { Link, OpenLink } from "./link.js" */

/** @type {OpenLink} */
export function openLink(transport, base, events, host) {
  if (transport === "websocket") return openWebSocket(base, events, host);
  /** @type {Link | null} */
  let link = null;
  let closed = false;
  import("./fallback.js").then(
    ({ openPoll, openStream }) => {
      if (!closed) link = (transport === "sse" ? openStream : openPoll)(base, events, host);
    },
    (error) => closed || events.lost({ code: ABNORMAL, reason: `the transport cannot be loaded: ${messageOf(error)}` }),
  );
  return {
    send: (frames) => link?.send(frames),
    close: () => {
      closed = true;
      link?.close();
    },
  };
}
