// Frames over a WebSocket: each message is a frame, or an array of frames, as this client writes them.

import { ABNORMAL } from "../core/codes.js";
import { messageOf } from "../errors.js";
import { SUBPROTOCOL } from "../protocol.gen.js";
import { messages } from "./messages.js";

/** @import { Host, Link, LinkEvents } from "./link.js" */

/**
 * @param {string} base http(s) address of the edge
 * @param {LinkEvents} events
 * @param {Host} host
 * @returns {Link}
 */
export function openWebSocket(base, events, host) {
  const url = new URL("v1/ws", base);
  url.protocol = url.protocol.replace("http", "ws");
  /** @type {WebSocket} */
  let socket;
  try {
    socket = new /** @type {typeof WebSocket} */ (host.WebSocket)(url.href, [SUBPROTOCOL]);
  } catch (error) {
    // Forbidden by the page's policy, or unencrypted on an encrypted page: it will never open.
    queueMicrotask(() => events.lost({ code: ABNORMAL, reason: `no WebSocket from here: ${messageOf(error)}` }));
    return { send: () => {}, close: () => {} };
  }
  let broke = `${url.href} does not open: is there an edge, and does it allow pages from here?`; // the browser keeps to itself which it is
  const detach = () => {
    socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
  };
  /** @param {{code?: number, reason?: string}} event */
  const lost = ({ code, reason }) => {
    detach();
    events.lost({ code: code || ABNORMAL, reason: reason || broke });
  };
  socket.onopen = () => {
    broke = "the connection broke";
    events.opened();
  };
  socket.onclose = lost;
  socket.onerror = () => lost({}); // which an edge's close never is, and all that Node.js 20 tells of a socket that does not open
  socket.onmessage = ({ data }) => {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      socket.close();
      return lost({ reason: "the edge sent what is not JSON" });
    }
    events.receive(Array.isArray(message) ? message : [message]);
  };
  return {
    send: (frames) => {
      // A socket that is closing reports it by onclose: what is sent now is asked again then.
      if (socket.readyState === 1) for (const each of messages(frames)) socket.send(JSON.stringify(each));
    },
    close: () => {
      detach();
      socket.close();
    },
  };
}
