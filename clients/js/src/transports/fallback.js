// What is loaded where WebSocket does not get through.

export { openPoll } from "./poll.js";
export { openStream } from "./stream.js";
