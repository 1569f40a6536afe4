// React: hooks that follow a channel while a component shows it.

import { createContext, createElement, useContext, useEffect, useMemo, useRef, useSyncExternalStore } from "react";

import { channelStore, connectionStore, presenceStore } from "./store.js";

/**
 * @import { ReactNode } from "react"
 * @import { Whimbrel } from "../client.js"
 * @import { ChannelPublication } from "../subscription.js"
 * @import { ChannelOptions, ChannelView, ConnectionView, PresenceView, Store } from "./store.js"
 */

const Context = createContext(/** @type {Whimbrel | null} */ (null));

/** Give a client to the components below. @param {{client: Whimbrel, children?: ReactNode}} props */
export function WhimbrelProvider({ client, children }) {
  return createElement(Context.Provider, { value: client }, children);
}

/** The client that was given. @returns {Whimbrel} @throws {Error} outside of a `WhimbrelProvider` */
export function useWhimbrel() {
  const client = useContext(Context);
  if (!client) throw new Error("there is no client: wrap the components in <WhimbrelProvider client={client}>");
  return client;
}

/**
 * Follow a channel. Options may be written anew in each render; `position`, `last` and `initial` count when the channel is opened.
 *
 * @template [T=ChannelPublication | null]
 * @param {string} channel
 * @param {ChannelOptions<T>} [options]
 * @returns {ChannelView<T>}
 */
export function useChannel(channel, options = {}) {
  const client = useWhimbrel();
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  const store = useMemo(() => {
    const { position, last, initial } = latest.current;
    /** @type {ChannelOptions<T>} */
    const opened = {
      reduce: (value, publication) => (latest.current.reduce ? latest.current.reduce(value, publication) : /** @type {T} */ (publication)),
      publication: (publication, how) => latest.current.publication?.(publication, how),
      reset: () => latest.current.reset?.(),
      ...(initial !== undefined && { initial }),
      ...(position && { position }),
      ...(last && { last }),
    };
    return channelStore(client, channel, opened);
  }, [client, channel]);
  return useStore(store);
}

/** How the connection is. @returns {ConnectionView} */
export function useConnection() {
  const client = useWhimbrel();
  return useStore(useMemo(() => connectionStore(client), [client]));
}

/** Who is in a channel. @param {string} channel @returns {PresenceView} */
export function usePresence(channel) {
  const client = useWhimbrel();
  return useStore(useMemo(() => presenceStore(client, channel), [client, channel]));
}

/** @template T @param {Store<T>} store @returns {T} */
function useStore(store) {
  return useSyncExternalStore(store.subscribe, store.get, store.get);
}
