/* A client of load.c: how it asks, and how it ends. */
#ifndef CLIENTS_H
#define CLIENTS_H

#include "counts.h"
#include "dialects.h"
#include "wire.h"

enum { READ_BYTES = 1 << 20 };
enum state { CLOSED, CONNECTING, UPGRADING, GREETING, OPEN };

struct client {
    int fd;
    enum state state;
    const char *line;
    char *rest; /* of a message that has not come whole */
    size_t rest_size;
    char *greeting;
    int64_t next[SERIES]; /* number expected; -1 before the first */
};

static const struct dialect *dialect; /* NULL: polls */
static bool nchan_polls;
static size_t under_way; /* clients that are not in yet */
static struct counts counts;

static void drop(struct client *client) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0}; /* RST: no TIME_WAIT keeps our ports */
    if (client->state == CLOSED) return;
    if (client->state != OPEN) under_way--;
    client->state = CLOSED;
    setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(client->fd);
    free(client->rest);
    client->rest = NULL;
    client->rest_size = 0;
}

/* The server would not have it, or went: `text` tells why. */
static void refused(struct client *client, const char *text, size_t size) {
    if (client->state == CLOSED) return;
    note_trouble(&counts, text, size);
    if (client->state == OPEN) counts.lost++;
    else counts.refused++;
    drop(client);
}

static void failed(struct client *client, const char *why) {
    refused(client, why, strlen(why));
}

static void send_all(struct client *client, const char *text, size_t size) {
    ssize_t sent = send(client->fd, text, size, MSG_NOSIGNAL);
    if (sent != (ssize_t)size) failed(client, "a request was not taken whole");
}

static void send_frame(struct client *client, unsigned char first, const char *text, size_t size) {
    static char frame[READ_BYTES];
    size_t head = frame_head((unsigned char *)frame, first, size);
    frame[1] |= (char)0x80; /* masked, with a key of zeros */
    memset(frame + head, 0, 4);
    memcpy(frame + head + 4, text, size);
    send_all(client, frame, head + 4 + size);
}

static void send_upgrade(struct client *client) {
    static char request[READ_BYTES];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " SAMPLE_KEY "\r\n%s\r\n",
                        dialect->path ? dialect->path : client->line, dialect->headers);
    client->state = UPGRADING;
    send_all(client, request, (size_t)size);
}

static void send_poll(struct client *client, const char *channels, size_t size) {
    static char request[READ_BYTES];
    const char *tab = strchr(client->line, '\t');
    if (!tab) die("a poll's line is TOKEN<tab>CHANNELS");
    size_t body = strlen("{\"channels\":,\"wait\":25,\"limit\":100}") + size;
    int length = snprintf(request, sizeof request,
                          "POST /v1/poll HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %.*s\r\n"
                          "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n"
                          "{\"channels\":%.*s,\"wait\":25,\"limit\":100}",
                          (int)(tab - client->line), client->line, body, (int)size, channels);
    send_all(client, request, (size_t)length);
}

/* Ask for what comes after the answer with these headers, or with NULL for what comes from now on. */
static void send_nchan_poll(struct client *client, const char *headers, size_t size) {
    static char request[READ_BYTES];
    int length = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: bench\r\n", client->line);
    static const char *const validators[][2] = {{"\nLast-Modified: ", "If-Modified-Since: "}, {"\nEtag: ", "If-None-Match: "}};
    for (size_t at = 0; headers && at < 2; at++) {
        const char *given = memmem(headers, size, validators[at][0], strlen(validators[at][0]));
        if (!given) die("nchan's answer has no%s", validators[at][0]);
        given += strlen(validators[at][0]);
        const char *end = memchr(given, '\n', (size_t)(headers + size - given));
        length += snprintf(request + length, sizeof request - (size_t)length, "%s%.*s\n", validators[at][1],
                           (int)(end - given), given);
    }
    length += snprintf(request + length, sizeof request - (size_t)length, "\r\n");
    send_all(client, request, (size_t)length);
}

static void greeted(struct client *client, const char *text, size_t size) {
    const char *json = memchr(text, '{', size);
    free(client->greeting);
    client->greeting = must(json ? strndup(json, size - (size_t)(json - text)) : strdup(""));
    client->state = OPEN;
    counts.opened++;
    under_way--;
}

static bool begins(const char *text, size_t size, const char *with) {
    return with && size >= strlen(with) && !memcmp(text, with, strlen(with));
}

#endif
