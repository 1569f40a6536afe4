// The one rule (docs/websocket-api.md, "Exactly once, in order") that gives exactly once, in order, on any transport.

/** @import { Position, Subscription } from "../protocol.gen.js" */

/**
 * Judge a publication against `q`, the offset up to which a channel was applied.
 *
 * @param {number} q
 * @param {{offset: number, prev: number}} publication
 * @returns {"apply" | "duplicate" | "gap"} a gap applies nothing: the channel is opened again from `q`
 */
export function judge(q, { offset, prev }) {
  if (offset <= q) return "duplicate";
  return prev <= q ? "apply" : "gap";
}

/**
 * Tell where a channel stands after the edge (re)opened it, and whether the application must reload its state.
 *
 * @param {Position | null} held what this client had applied so far
 * @param {Subscription} subscription what the edge answered
 * @returns {{ position: Position | null, reset: boolean }} no position: the channel is ephemeral
 */
export function resume(held, { epoch, offset, recovered }) {
  if (epoch == null || offset == null) return { position: null, reset: false };
  const reset = recovered === false || (held !== null && held.epoch !== epoch);
  // What another connection delivered meanwhile stays applied: going back would apply it twice.
  const ahead = !reset && held !== null && held.offset > offset;
  return { position: ahead ? held : { epoch, offset }, reset };
}
