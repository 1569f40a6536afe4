/* A client of load.c: how it asks, and how it ends. */
#ifndef CLIENTS_H
#define CLIENTS_H

#include "counts.h"
#include "dialects.h"
#include "sockets.h"

enum { READ_BYTES = 1 << 20 };
enum state { CLOSED, CONNECTING, UPGRADING, GREETING, OPEN };

struct client {
    struct connection connection;
    enum state state;
    const char *line;
    char *greeting;
    int64_t next[SERIES]; /* number expected; -1 before the first */
};

static const struct dialect *dialect; /* NULL: polls */
static bool nchan_polls;
static size_t under_way; /* clients that are not in yet */
static struct counts counts;

static void drop(struct client *client) {
    if (client->state == CLOSED) return;
    if (client->state != OPEN) under_way--;
    client->state = CLOSED;
    hang_up(&client->connection);
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

static const char *const NOT_TAKEN = "a request was not taken whole";

static void send_all(struct client *client, const char *text, size_t size) {
    if (!put(&client->connection, text, size)) failed(client, NOT_TAKEN);
}

static void send_frame(struct client *client, unsigned char first, const char *text, size_t size) {
    if (!put_frame(&client->connection, first, text, size)) failed(client, NOT_TAKEN);
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
