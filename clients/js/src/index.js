// What an application imports.

export { Whimbrel } from "./client.js";
export { WhimbrelError } from "./errors.js";
export { Subscription } from "./subscription.js";
export { CLOSE_CODES, ERROR_CODES } from "./protocol.gen.js";
