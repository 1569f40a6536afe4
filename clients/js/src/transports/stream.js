// Frames over an event stream: POST /v1/sse downwards, POST /v1/commands upwards.
//
// Read by fetch, not by EventSource: that one can send no body, so it would need a ticket first (another request per connect) and could
// show neither positions nor a resume grant; it hides the HTTP status, and with it who is refused and for how long; and it comes back by
// a rule of its own.

import { ABNORMAL } from "../core/codes.js";
import { messageOf } from "../errors.js";
import { Requester } from "./http.js";

/**
 * @import { Host, Link, LinkEvents } from "./link.js"
 */

/**
 * @param {string} base http(s) address of the edge
 * @param {LinkEvents} events
 * @param {Host} host
 * @returns {Link}
 */
export function openStream(base, events, host) {
  const requester = new Requester(base, events, host);
  Promise.resolve().then(() => requester.closed || events.opened());
  return {
    send: (frames) => {
      const commands = [];
      for (const frame of /** @type {{type: string, token: string}[]} */ (frames)) {
        if (frame.type === "connect") {
          requester.token = frame.token;
          read(requester, frame);
        } else if (frame.type !== "ping" && frame.type !== "pong") commands.push(frame);
      }
      if (commands.length > 0) requester.command(commands);
    },
    close: () => requester.close(),
  };
}

/** @param {Requester} requester @param {object} connect */
async function read(requester, connect) {
  const reply = await requester.post("v1/sse", connect);
  if (!(reply instanceof Response)) return reply && requester.lost(reply);
  if (!reply.body || !reply.headers.get("content-type")?.startsWith("text/event-stream")) {
    return requester.lost({ code: ABNORMAL, reason: "something between here and the edge answered instead" });
  }
  const reader = reply.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (requester.closed || done) break;
      const events = (text + value).split("\n\n");
      text = events.pop() ?? "";
      requester.receive(events.flatMap(frameOf)); // none: a heartbeat
    }
  } catch (error) {
    return requester.lost({ code: ABNORMAL, reason: `the stream broke: ${messageOf(error)}` });
  }
  requester.lost({ code: ABNORMAL, reason: "the stream ended" });
}

/** @param {string} event @returns {any[]} its frame; none in a comment */
function frameOf(event) {
  const data = event.split("\n").find((line) => line.startsWith("data: "));
  return data ? [JSON.parse(data.slice(6))] : [];
}
