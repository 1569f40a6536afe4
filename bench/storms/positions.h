/* What a client of the herd stands at, and how it applies what comes: by the rule of `offset` and `prev`. */
#ifndef POSITIONS_H
#define POSITIONS_H

#include "members.h"

static inline bool begins(const char *text, const char *end, const char *with) {
    size_t size = strlen(with);
    return (size_t)(end - text) >= size && !memcmp(text, with, size);
}

static const char *text_after(const char *text, const char *end, const char *name) {
    const char *found = memmem(text, (size_t)(end - text), name, strlen(name));
    return found ? found + strlen(name) : NULL;
}

/* Apply one publication by the rule of `offset` and `prev`; false where something is missing before it. */
static bool apply(struct client *client, struct subscription *sub, const char *text, const char *end, int64_t now) {
    struct tally *tally = &tallies[client->group];
    const char *at = text;
    int64_t offset = number_after(&at, end, "\"offset\":"), prev = number_after(&at, end, "\"prev\":");
    if (offset < 0 || prev < 0) return true;
    if (offset <= sub->offset) {
        tally->dropped++;
        return true;
    }
    if (prev > sub->offset) {
        tally->gaps++;
        return false;
    }
    sub->offset = offset;
    if (number_after(&at, end, "\"data\":{\"s\":") < 0) return true;
    int64_t number = number_after(&at, end, "\"n\":"), sent = number_after(&at, end, "\"t\":");
    count_publication(&tally->counts, &client->next, number, sent, now);
    return true;
}

/* Take a channel's subscription from the text of a `connected` frame; false where it begins behind where we stand. */
static bool open_channel(struct client *client, struct subscription *sub, const char *text, const char *end, int64_t now) {
    struct tally *tally = &tallies[client->group];
    const char *list = text_after(text, end, "\"publications\":["), *epoch = text_after(text, end, "\"epoch\":\"");
    const char *at = text;
    if (!list || !epoch || list < epoch) return false;
    int64_t offset = number_after(&at, list, "\"offset\":");
    bool recovered = memmem(text, (size_t)(list - text), "\"recovered\":true", 16) != NULL;
    if (sub->offset >= 0 && !recovered) {
        tally->unproved++;
        sub->offset = -1;
        client->next = -1;
    }
    snprintf(sub->epoch, sizeof sub->epoch, "%.*s", (int)strcspn(epoch, "\""), epoch);
    if (offset > sub->offset) {
        if (sub->offset >= 0) return false;
        sub->offset = offset;
    }
    for (at = list; (at = text_after(at, end, "{\"offset\":"));)
        if (!apply(client, sub, at - strlen("\"offset\":"), end, now)) return false;
    return true;
}

#endif
