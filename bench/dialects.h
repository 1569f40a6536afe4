/* How load.c speaks to each server over WebSocket: what it sends first, what lets it in, and what must be answered. */
#ifndef DIALECTS_H
#define DIALECTS_H

#include <stddef.h>
#include <string.h>

struct dialect {
    const char *name;
    const char *path;     /* of the upgrade; NULL: the client's line is its path */
    const char *headers;  /* of the upgrade, besides the usual ones */
    const char *first;    /* stands before the line in the first frame; NULL: none is sent, who is upgraded is in */
    const char *greeting; /* how the message begins that lets the client in */
    const char *prelude;  /* how the message begins that may come before it and says nothing */
    const char *early;    /* how the publications begin that may come before it */
    const char *ping, *pong, *goodbye;
};

static const struct dialect dialects[] = {
    {"ws", "/v1/ws", "Sec-WebSocket-Protocol: whimbrel.v1.json\r\n", "", "{\"type\":\"connected\"", NULL, NULL,
     "{\"type\":\"ping\"}", "{\"type\":\"pong\"}", "{\"type\":\"disconnect\""},
    /* Engine.IO 4: 0 open, 1 close, 2 ping, 3 pong, 4 message; Socket.IO 5 within a message: 0 connect, 1 disconnect */
    {"socketio", "/socket.io/?EIO=4&transport=websocket", "", "40", "40{", "0{", "42", "2", "3", "41"},
    {"nchan", NULL, "", NULL, NULL, NULL, NULL, NULL, NULL, NULL}, /* pings are the WebSocket's own */
};

static inline const struct dialect *dialect_named(const char *name) {
    for (size_t at = 0; at < sizeof dialects / sizeof *dialects; at++)
        if (!strcmp(dialects[at].name, name)) return &dialects[at];
    return NULL;
}

#endif
