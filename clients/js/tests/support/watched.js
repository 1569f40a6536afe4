// A client that keeps books of who listens to it.

import { Scene } from "./scene.js";

/** A scene with a connected client, and how many listeners and open channels there are. */
export async function watched() {
  const scene = new Scene();
  const client = scene.client({ transport: "websocket", tabs: "apart" });
  await scene.pass(100);
  let listeners = 0;
  const on = client.on.bind(client);
  client.on = /** @type {typeof client.on} */ (
    (name, listener) => {
      listeners += 1;
      const off = on(name, listener);
      return () => {
        listeners -= 1;
        off();
      };
    }
  );
  const open = () => [...scene.edge.sockets].flatMap(({ channels }) => [...channels.keys()]).filter((name) => name !== "inbox");
  return { scene, client, edge: scene.edge, open, listeners: () => listeners };
}
