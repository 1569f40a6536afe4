// Frames as messages that the edge takes.

import { MAX_FRAME_BYTES } from "../limits.gen.js";

/** @param {object} frames @returns {number} bytes on the wire */
export const bytesOf = (frames) => new TextEncoder().encode(JSON.stringify(frames)).length;

/** @param {object[]} frames @returns {object[][]} in one message, or in one each where that would be too large: it is rare */
export const messages = (frames) => (bytesOf(frames) > MAX_FRAME_BYTES ? frames.map((each) => [each]) : [frames]);
