// Redux: a middleware that follows channels as actions say, and dispatches what they bring.
//
//   dispatch(follow("orders:42"))    → PUBLICATION, CHANNEL and RESET actions of that channel, until dispatch(unfollow("orders:42"))
//   CONNECTION actions come by themselves

/**
 * @import { Middleware } from "redux"
 * @import { Whimbrel } from "../client.js"
 * @import { SubscribeOptions, Subscription } from "../subscription.js"
 *
 * @typedef {Pick<SubscribeOptions, "position" | "last">} Start
 */

export const FOLLOW = "whimbrel/follow";
export const UNFOLLOW = "whimbrel/unfollow";
export const PUBLICATION = "whimbrel/publication";
export const CHANNEL = "whimbrel/channel";
export const RESET = "whimbrel/reset";
export const CONNECTION = "whimbrel/connection";

/** Follow a channel; counted: as many `unfollow` as `follow`. @param {string} channel @param {Start} [start] */
export const follow = (channel, start = {}) => /** @type {const} */ ({ type: FOLLOW, payload: { channel, ...start } });
/** End that. @param {string} channel */
export const unfollow = (channel) => /** @type {const} */ ({ type: UNFOLLOW, payload: { channel } });

/**
 * The middleware that follows what actions name, and dispatches what it hears.
 *
 * @param {Whimbrel} client
 * @returns {Middleware}
 */
export function whimbrelMiddleware(client) {
  return ({ dispatch }) => {
    /** @type {Map<string, {subscription: Subscription, count: number}>} */
    const followed = new Map();
    const connection = (/** @type {object} */ change) => dispatch({ type: CONNECTION, payload: { state: client.state, transport: client.transport, ...change } });
    client.on("state", connection);
    client.on("transport", (transport) => connection({ transport }));

    /** @param {{channel: string} & Start} payload */
    const begin = ({ channel, ...start }) => {
      const known = followed.get(channel);
      if (known) return void known.count++;
      const subscription = client.subscribe(channel, {
        ...start,
        publication: (publication, { recovered }) => dispatch({ type: PUBLICATION, payload: publication, meta: { recovered } }),
        reset: () => dispatch({ type: RESET, payload: { channel } }),
        state: ({ state, error }) => dispatch({ type: CHANNEL, payload: { channel, state, error } }),
      });
      followed.set(channel, { subscription, count: 1 });
    };
    /** @param {string} channel */
    const end = (channel) => {
      const known = followed.get(channel);
      if (!known || --known.count > 0) return;
      followed.delete(channel);
      known.subscription.unsubscribe();
    };
    return (next) => (action) => {
      const { type, payload } = /** @type {any} */ (action);
      if (type === FOLLOW) begin(payload);
      if (type === UNFOLLOW) end(payload.channel);
      return next(action);
    };
  };
}
