// What a user interface shows of a client, as plain stores: a value, and who hears of its changes. A channel is followed while somebody
// listens. The contract is Svelte's, and React's `useSyncExternalStore` takes it as well.

/**
 * @import { Whimbrel } from "../client.js"
 * @import { Transport } from "../core/choice.js"
 * @import { ChannelState, ConnectionState, Reason } from "../core/effects.js"
 * @import { WhimbrelError } from "../errors.js"
 * @import { Position } from "../protocol.gen.js"
 * @import { ChannelPublication, Subscription } from "../subscription.js"
 *
 * @typedef {{state: ConnectionState, transport: Transport, code: number, reason: string, retryMs: number | null}} ConnectionView
 * @typedef {{users: readonly string[], error: WhimbrelError | null}} PresenceView who is in a channel, in the order in which they came;
 *   `error`: why that could not be asked
 */

/**
 * @template T
 * @typedef {object} Store
 * @property {() => T} get the same object until it changes
 * @property {(listener: (value: T) => void) => () => void} subscribe calls at once, and at each change; what it returns ends that
 */

/**
 * @template T
 * @typedef {object} ChannelOptions
 * @property {(value: T, publication: ChannelPublication) => T} [reduce] makes the next value; by default it is the latest publication
 * @property {T} [initial] null by default
 * @property {(publication: ChannelPublication, how: {recovered: boolean}) => void} [publication] hears each one, beside the value
 * @property {() => void} [reset] publications may be missing: load the state anew
 * @property {Position} [position]
 * @property {number} [last]
 */

/** @template T @typedef {{value: T, state: ChannelState, error: Reason | null}} ChannelView */

/** @template T */
class Watched {
  #value;
  /** @type {Set<(value: T) => void>} */
  #listeners = new Set();
  #begin;
  /** @type {(() => void) | null} */
  #end = null;

  /** @param {T} value @param {(set: (value: T) => void, get: () => T) => () => void} begin while somebody listens */
  constructor(value, begin) {
    this.#value = value;
    this.#begin = begin;
  }

  get = () => this.#value;

  /** @param {(value: T) => void} listener */
  subscribe = (listener) => {
    const own = (/** @type {T} */ value) => listener(value);
    this.#end ??= this.#begin(this.#set, this.get);
    this.#listeners.add(own);
    own(this.#value);
    return () => {
      if (!this.#listeners.delete(own) || this.#listeners.size > 0) return;
      // Who comes back in the same breath, as a component that is mounted anew does, finds the channel open.
      queueMicrotask(() => {
        if (this.#listeners.size > 0) return;
        this.#end?.();
        this.#end = null;
      });
    };
  };

  /** @param {T} value */
  #set = (value) => {
    this.#value = value;
    for (const listener of this.#listeners) listener(value);
  };
}

/**
 * What a channel brings, as one value; it is open while there is a listener, and goes on from where it was left when there is one again, or
 * calls `reset`: always where the channel stayed open and has gone on meanwhile.
 *
 * @template [T=ChannelPublication | null]
 * @param {Whimbrel} client
 * @param {string} channel
 * @param {ChannelOptions<T>} [options]
 * @returns {Store<ChannelView<T>>}
 */
export function channelStore(client, channel, options = {}) {
  const { reduce = (_, publication) => /** @type {T} */ (publication), initial = /** @type {T} */ (null), publication: heard, reset, position, last } = options;
  /** @type {{position?: Position, last?: number}} */
  let begin = { ...(position && { position }), ...(last && { last }) };
  return new Watched(/** @type {ChannelView<T>} */ ({ value: initial, state: client.channelState(channel), error: null }), (set, get) => {
    const subscription = client.subscribe(channel, {
      publication: (publication, how) => {
        set({ ...get(), value: reduce(get().value, publication) });
        heard?.(publication, how);
      },
      reset: () => reset?.(),
      state: ({ state, error }) => set({ ...get(), state, error }),
      ...begin,
    });
    const [from, at] = [begin.position, subscription.position];
    // The inbox, or a channel that somebody else follows, was open all the while and has gone on.
    if (from && (at?.epoch !== from.epoch || at.offset !== from.offset)) queueMicrotask(() => subscription.emit("reset", undefined));
    if (subscription.state !== get().state) set({ ...get(), state: subscription.state });
    return () => {
      // The value stays: who listens again, as a component that was hidden does, is to hear what it lacks.
      if (subscription.position) begin = { position: subscription.position };
      subscription.unsubscribe();
    };
  });
}

/** How the connection is. @param {Whimbrel} client @returns {Store<ConnectionView>} */
export function connectionStore(client) {
  const now = () => ({ state: client.state, transport: client.transport, code: 1000, reason: "", retryMs: null });
  return new Watched(/** @type {ConnectionView} */ (now()), (set, get) => {
    const ends = [
      client.on("state", (change) => set({ ...change, transport: client.transport })),
      client.on("transport", (transport) => set({ ...get(), transport })),
    ];
    if (client.state !== get().state || client.transport !== get().transport) set(now());
    return () => ends.forEach((end) => end());
  });
}

/** Who is in a channel. @param {Whimbrel} client @param {string} channel @returns {Store<PresenceView>} */
export function presenceStore(client, channel) {
  return new Watched(/** @type {PresenceView} */ ({ users: [], error: null }), (set, get) => {
    /** @type {Subscription | null} */
    let subscription = null;
    const look = () =>
      client.presence(channel).then(
        (users) => subscription && set({ users: [...new Set(users.map((each) => (typeof each === "string" ? each : each.user)))], error: null }),
        (error) => subscription && set({ ...get(), error }), // what is known stands
      );
    subscription = client.subscribe(channel, { publication: () => {}, state: ({ state }) => state === "subscribed" && look(), reset: look });
    subscription.on("join", ({ user }) => get().users.includes(user) || set({ ...get(), users: [...get().users, user] }));
    subscription.on("leave", ({ user }) => set({ ...get(), users: get().users.filter((each) => each !== user) }));
    if (subscription.state === "subscribed") look();
    return () => {
      subscription?.unsubscribe();
      subscription = null;
    };
  });
}
