// Generated from whimbrel.protocol by `make generate`: do not edit.

// Why the edge closed a connection.

export const draining = 4000;
export const no_pong = 4001;
export const slow_consumer = 4002;
export const connect_timeout = 4003;
export const state_lost = 4004;
export const internal = 4005;
export const bus_unavailable = 4006;
export const connection_age = 4007;
export const overloaded = 4008;
export const rate_limited = 4009;
export const token_expired = 4010;
export const protocol_error = 4500;
export const unauthorized = 4501;
export const forbidden = 4502;
export const revoked = 4503;
export const frame_too_large = 4504;
export const unsupported_version = 4505;
export const transport_disabled = 4506;
export const too_many_connections = 4507;
export const not_a_subscriber = 4508;
