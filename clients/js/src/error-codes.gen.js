// Generated from whimbrel.protocol by `make generate`: do not edit.

// Why a request failed.

export const internal = 100;
export const unauthorized = 101;
export const unknown_channel = 102;
export const permission_denied = 103;
export const already_subscribed = 104;
export const not_subscribed = 105;
export const limit_exceeded = 106;
export const bad_request = 107;
export const unavailable = 108;
export const rate_limited = 109;
export const token_expired = 110;
export const unrecoverable = 111;
export const too_large = 112;
export const duplicate = 113;
