/* A client of the herd: its channels, its links to edges, and what it says over them. */
#ifndef MEMBERS_H
#define MEMBERS_H

#include "../counts.h"
#include "../sockets.h"

enum { GROUPS = 4, LINKS = 2, SUBS = 2 };
enum state { CLOSED, CONNECTING, UPGRADING, GREETING, OPEN };
static const double BASE_S = 0.5, CAP_S = 20, FORGIVEN_S = 10; /* backoff: full jitter, and when it is forgotten */

struct link {
    struct client *client;
    struct connection connection;
    enum state state;
    int64_t opened_ns;
};

struct subscription {
    char *name, epoch[40];
    int64_t offset; /* -1: none yet */
};

struct client {
    struct link link[LINKS]; /* while it moves it has two */
    int group, port, current;
    bool stuck;
    char *token, *grant;
    struct subscription sub[SUBS]; /* its channel and its inbox */
    int64_t next;                  /* number expected; -1 before the first */
    int64_t due_ns;                /* when to connect, or to move; 0: not at all */
    int64_t lost_ns;               /* since when it has no connection; 0: it has one */
    unsigned attempt;
};

struct tally {
    struct counts counts;
    uint64_t clients, dropped, gaps, unproved, moves, turned_away;
};

static size_t under_way; /* links that are not open yet */
static struct tally tallies[GROUPS];

static inline double random_share(void) {
    return (double)rand() / ((double)RAND_MAX + 1);
}

static void drop(struct link *link) {
    if (link->state == CLOSED) return;
    if (link->state != OPEN) under_way--;
    link->state = CLOSED;
    hang_up(&link->connection);
}

/* The link is gone. Where it was the client's only one, it comes back after `after_ms`, or by its own backoff. */
static void lost(struct link *link, const char *why, size_t size, int64_t after_ms) {
    struct client *client = link->client;
    struct tally *tally = &tallies[client->group];
    if (link->state == CLOSED) return;
    int64_t now = now_ns();
    bool was_open = link->state == OPEN;
    if (was_open && now - link->opened_ns > (int64_t)(FORGIVEN_S * 1e9)) client->attempt = 0;
    note_trouble(&tally->counts, why, size);
    if (was_open) tally->counts.lost++;
    else tally->counts.refused++;
    drop(link);
    struct link *other = &client->link[link == &client->link[0]];
    if (was_open && other->state != OPEN && !client->lost_ns) client->lost_ns = now;
    if (other->state != CLOSED && other->state != OPEN) return; /* it is on its way already */
    double ceiling = BASE_S * (double)(1 << (client->attempt < 6 ? client->attempt : 6));
    client->attempt++;
    double wait_s = after_ms > 0 ? (double)after_ms / 1000 : random_share() * (ceiling < CAP_S ? ceiling : CAP_S);
    client->due_ns = now + (int64_t)(wait_s * 1e9) + 1;
}

static void failed(struct link *link, const char *why) {
    lost(link, why, strlen(why), 0);
}

static void send_frame(struct link *link, unsigned char first, const char *text, size_t size) {
    if (!put_frame(&link->connection, first, text, size)) failed(link, "a frame was not taken whole");
}

static void send_connect(struct link *link) {
    static char frame[32768];
    struct client *client = link->client;
    int size = snprintf(frame, sizeof frame, "{\"type\":\"connect\",\"id\":1,\"token\":\"%s\",", client->token);
    if (client->grant) size += snprintf(frame + size, sizeof frame - (size_t)size, "\"resume\":\"%s\",", client->grant);
    size += snprintf(frame + size, sizeof frame - (size_t)size, "\"channels\":{");
    for (int at = 0; at < SUBS; at++) {
        struct subscription *sub = &client->sub[at];
        size += snprintf(frame + size, sizeof frame - (size_t)size, sub->offset < 0 ? "%s\"%s\":null" : "%s\"%s\":{\"epoch\":\"%s\",\"offset\":%ld}",
                         at ? "," : "", sub->name, sub->epoch, sub->offset);
    }
    size += snprintf(frame + size, sizeof frame - (size_t)size, "}}");
    send_frame(link, TEXT, frame, (size_t)size);
}

#endif
