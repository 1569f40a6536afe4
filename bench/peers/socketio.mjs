/**
 * Socket.IO, with what its documentation advises for performance: WebSocket only, native masking (bufferutil), the
 * upgrade's request forgotten. `node socketio.mjs SECRET [recovery]` prints `{"port":N}` and publishes what comes in
 * (intake.mjs) to rooms. With `recovery` it keeps what was published for clients who come back, and answers a line
 * without a channel with `{"offset":…}`, the name that it has given the latest.
 */
import { createServer } from "node:http";
import { Server } from "socket.io";
import { takeIn } from "./intake.mjs";
import { userOf } from "./token.mjs";

const [secret, recovery] = process.argv.slice(2);
const http = createServer();
const io = new Server(http, {
  transports: ["websocket"],
  serveClient: false,
  pingInterval: 25_000,
  pingTimeout: 10_000,
  connectionStateRecovery: recovery && { maxDisconnectionDuration: 120_000, skipMiddlewares: true },
});
io.engine.on("connection", (connection) => {
  connection.request = null;
});
io.use((socket, next) => {
  try {
    socket.data.user = userOf(socket.handshake.auth.token, secret);
    next();
  } catch (refusal) {
    next(refusal);
  }
});
io.on("connection", (socket) => {
  if (!socket.recovered) socket.join([...Object.keys(socket.handshake.auth.channels), `user:${socket.data.user}`]);
});
takeIn((channel, frame) => {
  if (channel) io.to(channel).emit("publication", JSON.parse(frame));
  else console.log(JSON.stringify({ offset: io.of("/").adapter.packets.at(-1).id }));
});
http.listen({ host: "127.0.0.1", port: 0, backlog: 4096 }, () => {
  console.log(JSON.stringify({ port: http.address().port }));
});
