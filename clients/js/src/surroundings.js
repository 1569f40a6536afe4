// What the page hears from its browser that concerns a connection.

/** @import { Host } from "./transports/link.js" */

/**
 * @param {Host} host
 * @param {{back: () => void, online: () => void, leaving: () => void}} call `back`: the page or the machine may have slept; `online`:
 *   the network may be another one; `leaving`: the page may never run again
 * @returns {() => void} stops listening
 */
export function watch({ page, document }, { back, online, leaving }) {
  const visible = () => document?.visibilityState === "visible" && back();
  /** @type {[Pick<EventTarget, "addEventListener" | "removeEventListener"> | undefined, string, () => void][]} */
  const heard = [
    [page, "online", online],
    [page, "offline", back], // the socket may be dead: look
    [page, "pageshow", back],
    [page, "pagehide", leaving],
    [document, "freeze", leaving],
    [document, "resume", back],
    [document, "visibilitychange", visible],
  ];
  for (const [target, event, listener] of heard) target?.addEventListener(event, listener);
  return () => {
    for (const [target, event, listener] of heard) target?.removeEventListener(event, listener);
  };
}
