// Generated from whimbrel.protocol by `make generate`: do not edit.

// Limits.

export const MAX_FRAME_BYTES = 65_536;
export const MAX_FRAMES_PER_MESSAGE = 256;
export const MAX_CHANNELS = 128;
export const MAX_KEY_CHARS = 64;
export const MAX_EVENT_NAME_CHARS = 128;
export const HISTORY_LIMIT = 200;
export const POLL_WAIT_S = 25;
export const MAX_POLL_WAIT_S = 55;
export const POLL_LIMIT = 100;
export const MAX_POLL_LIMIT = 1000;
export const PING_S = 25;
export const PONG_S = 10;
export const EXPIRY_NOTICE_S = 30;
export const BACKOFF_BASE_S = 0.5;
export const BACKOFF_CAP_S = 20;
export const BACKOFF_RESET_S = 10;
export const OPEN_TIMEOUT_S = 4;
export const OPEN_TRIES = 2;
