/* Server-Sent Events: how a client of load.c asks for a stream, and what it makes of the events. */
#ifndef STREAMS_H
#define STREAMS_H

#include "clients.h"

static bool streams; /* whether the clients have streams of events */

/* Ask for a stream; the client's line is its `connect` frame. */
static void send_stream(struct client *client) {
    static char request[READ_BYTES];
    int size = snprintf(request, sizeof request,
                        "POST /v1/sse HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        strlen(client->line), client->line);
    client->state = UPGRADING;
    send_all(client, request, (size_t)size);
}

/* Take one whole event from `text`; return its length, 0 where more must come. */
static size_t take_event(struct client *client, const char *text, size_t size, int64_t now) {
    const char *end = memmem(text, size, "\n\n", 2);
    if (!end) return 0;
    size_t length = (size_t)(end - text) + 2;
    const char *kind = memmem(text, length, "event: ", 7);
    if (!kind) return length; /* a comment, or `retry` */
    size_t left = (size_t)(end - kind);
    if (begins(kind, left, "event: disconnect")) {
        refused(client, kind, left);
        return length;
    }
    counts.messages++;
    counts.bytes += length;
    if (client->state == GREETING) greeted(client, kind, left);
    count_publications(&counts, client->next, kind, left, now);
    return length;
}

#endif
