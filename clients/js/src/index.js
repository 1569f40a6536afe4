// What an application imports.

export { Whimbrel } from "./client.js";
export { WhimbrelError } from "./errors.js";
export { Subscription } from "./subscription.js";
export * as CLOSE_CODES from "./close-codes.gen.js";
export * as ERROR_CODES from "./error-codes.gen.js";
