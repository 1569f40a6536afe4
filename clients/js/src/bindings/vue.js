// Vue: composables that follow a channel while their scope lives, and plugins of Pinia and Vuex.

import { inject, onScopeDispose, shallowRef, toValue, watch } from "vue";

import { channelStore, connectionStore, presenceStore } from "./store.js";

/**
 * @import { App, InjectionKey, MaybeRefOrGetter, Ref } from "vue"
 * @import { Whimbrel } from "../client.js"
 * @import { ChannelPublication, Handler, SubscribeOptions } from "../subscription.js"
 * @import { ChannelOptions, ChannelView, ConnectionView, PresenceView, Store } from "./store.js"
 */

/** @type {InjectionKey<Whimbrel>} */
const KEY = Symbol("whimbrel");

/** `app.use(whimbrel(client))` gives a client to all components. @param {Whimbrel} client @returns {{install(app: App): void}} */
export function whimbrel(client) {
  return { install: (app) => void app.provide(KEY, client) };
}

/** The client that was given. @returns {Whimbrel} @throws {Error} where none was given */
export function useWhimbrel() {
  const client = inject(KEY, null);
  if (!client) throw new Error("there is no client: app.use(whimbrel(client))");
  return client;
}

/**
 * Follow a channel while the component, or the scope, lives.
 *
 * @template [T=ChannelPublication | null]
 * @param {MaybeRefOrGetter<string>} channel another name ends the one before
 * @param {ChannelOptions<T>} [options]
 * @returns {Readonly<Ref<ChannelView<T>>>}
 */
export function useChannel(channel, options = {}) {
  const client = useWhimbrel();
  return useStores(channel, (name) => channelStore(client, name, options));
}

/** How the connection is. @returns {Readonly<Ref<ConnectionView>>} */
export function useConnection() {
  const client = useWhimbrel();
  return useStores("", () => connectionStore(client));
}

/** Who is in a channel. @param {MaybeRefOrGetter<string>} channel @returns {Readonly<Ref<PresenceView>>} */
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
 * A plugin of Pinia: a store whose options have `channels: { "orders:42"(publication) { this.… } }` follows them until it is disposed of,
 * by itself or with its Pinia. In place of a function: the options of `subscribe`, whose functions have the store as `this` too.
 *
 * @param {Whimbrel} client
 * @returns {(context: {store: any, options: any}) => void}
 */
export function whimbrelPinia(client) {
  return ({ store, options }) => {
    for (const [channel, what] of Object.entries(/** @type {Record<string, Handler | SubscribeOptions>} */ (options.channels ?? {}))) {
      const bound = Object.entries(typeof what === "function" ? { publication: what } : what).map(([name, value]) => [name, typeof value === "function" ? value.bind(store) : value]);
      const subscription = client.subscribe(channel, Object.fromEntries(bound));
      onScopeDispose(() => subscription.unsubscribe());
    }
  };
}

/**
 * A plugin of Vuex: each publication of a channel is committed as the mutation that is named for it, until the last app that uses the store
 * is unmounted. Where publications may be missing, the mutation for `reset` is committed with the name of the channel.
 *
 * @param {Whimbrel} client
 * @param {Record<string, string | {publication: string, reset?: string}>} mutations by channel
 * @returns {(store: any) => void}
 */
export function whimbrelVuex(client, mutations) {
  return (store) => {
    const follow = () =>
      Object.entries(mutations).map(([channel, named]) => {
        const { publication: mutation, reset = null } = typeof named === "string" ? { publication: named } : named;
        return client.subscribe(channel, {
          publication: (publication) => store.commit(mutation, publication),
          ...(reset && { reset: () => store.commit(reset, channel) }),
        });
      });
    let subscriptions = follow(); // what comes before there is an app is committed as well
    let apps = 0;
    const { install } = store;
    store.install = (/** @type {App} */ app, /** @type {unknown} */ key) => {
      install.call(store, app, key);
      apps += 1;
      if (subscriptions.length === 0) subscriptions = follow();
      const { unmount } = app; // `app.onUnmount` is Vue 3.5
      app.unmount = () => {
        unmount.call(app);
        apps -= 1;
        if (apps === 0) for (const each of subscriptions.splice(0)) each.unsubscribe();
      };
    };
  };
}
