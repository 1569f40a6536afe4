// Vue: composables that follow a channel while their scope lives, and plugins of Pinia and Vuex.

import { inject, onScopeDispose, shallowRef, toValue, watch } from "vue";

import { channelStore, connectionStore, presenceStore } from "./store.js";

/**
 * @import { App, InjectionKey, MaybeRefOrGetter, Ref } from "vue"
 * @import { Whimbrel } from "../client.js"
 * @import { ChannelPublication } from "../subscription.js"
 * @import { ChannelOptions, ChannelView, ConnectionView, Store } from "./store.js"
 */

/** @type {InjectionKey<Whimbrel>} */
const KEY = Symbol("whimbrel");

/** `app.use(whimbrel(client))` gives a client to all components. @param {Whimbrel} client @returns {{install(app: App): void}} */
export function whimbrel(client) {
  return { install: (app) => void app.provide(KEY, client) };
}

/** @returns {Whimbrel} @throws {Error} where none was given */
export function useWhimbrel() {
  const client = inject(KEY, null);
  if (!client) throw new Error("there is no client: app.use(whimbrel(client))");
  return client;
}

/**
 * @template [T=ChannelPublication | null]
 * @param {MaybeRefOrGetter<string>} channel another name ends the one before
 * @param {ChannelOptions<T>} [options]
 * @returns {Readonly<Ref<ChannelView<T>>>}
 */
export function useChannel(channel, options = {}) {
  const client = useWhimbrel();
  return useStores(channel, (name) => channelStore(client, name, options));
}

/** @returns {Readonly<Ref<ConnectionView>>} */
export function useConnection() {
  const client = useWhimbrel();
  return useStores("", () => connectionStore(client));
}

/** @param {MaybeRefOrGetter<string>} channel @returns {Readonly<Ref<readonly string[]>>} the users in it */
export function usePresence(channel) {
  const client = useWhimbrel();
  return useStores(channel, (name) => presenceStore(client, name));
}

/**
 * @template T
 * @param {MaybeRefOrGetter<string>} channel
 * @param {(name: string) => Store<T>} storeOf
 * @returns {Readonly<Ref<T>>}
 */
function useStores(channel, storeOf) {
  const view = shallowRef(/** @type {T} */ (/** @type {unknown} */ (undefined)));
  let end = () => {};
  watch(
    () => toValue(channel),
    (name) => {
      end();
      end = storeOf(name).subscribe((value) => void (view.value = value));
    },
    { immediate: true, flush: "sync" },
  );
  onScopeDispose(() => end());
  return view;
}

/**
 * A plugin of Pinia: a store whose options have `channels: { "orders:42"(publication) { this.… } }` follows them until it is disposed of.
 *
 * @param {Whimbrel} client
 * @returns {(context: {store: any, options: any}) => void}
 */
export function whimbrelPinia(client) {
  return ({ store, options }) => {
    const handlers = Object.entries(/** @type {Record<string, (publication: ChannelPublication) => void>} */ (options.channels ?? {}));
    const subscriptions = handlers.map(([channel, handler]) => client.subscribe(channel, (publication) => handler.call(store, publication)));
    const { $dispose } = store;
    store.$dispose = () => {
      for (const each of subscriptions) each.unsubscribe();
      $dispose.call(store);
    };
  };
}

/**
 * A plugin of Vuex: each publication of a channel is committed as the mutation that is named for it.
 *
 * @param {Whimbrel} client
 * @param {Record<string, string>} mutations by channel
 * @returns {(store: {commit: (mutation: string, publication: ChannelPublication) => void}) => void}
 */
export function whimbrelVuex(client, mutations) {
  return (store) => {
    for (const [channel, mutation] of Object.entries(mutations)) client.subscribe(channel, (publication) => store.commit(mutation, publication));
  };
}
