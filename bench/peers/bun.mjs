/**
 * Bun's own publish and subscribe (uWebSockets, C++), by its documentation: topics, no compression, pings by the server.
 * `bun bun.mjs SECRET` prints `{"port":N}` and publishes what comes in (intake.mjs). No bus, no history.
 */
import { takeIn } from "./intake.mjs";
import { userOf } from "./token.mjs";

const secret = process.argv[2];
const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    if (!server.upgrade(request, { headers: { "Sec-WebSocket-Protocol": "whimbrel.v1.json" } }))
      return new Response("a WebSocket is wanted", { status: 426 });
  },
  websocket: {
    idleTimeout: 32, // seconds: the ping comes 8 s before, so after 24 s of silence
    perMessageDeflate: false,
    message(socket, text) {
      const { token, channels } = JSON.parse(text);
      const user = userOf(token, secret);
      for (const channel of Object.keys(channels)) socket.subscribe(channel);
      socket.subscribe(`user:${user}`);
      socket.send(JSON.stringify({ type: "connected", user }));
    },
  },
});
takeIn((channel, frame) => server.publish(channel, frame));
console.log(JSON.stringify({ port: server.port }));
