/* What load.c counts: connections, publications known by their data, and how late they came.
 *
 * A publication's data is `{"s":S,"n":N,"t":T,…}`. S (0–63) names a series, N numbers it for each client from any start
 * without holes, T is when it was to be sent (ns, monotonic clock). Latencies fall into buckets of 1/32 octave, so that
 * percentiles are exact to 3 %.
 */
#ifndef COUNTS_H
#define COUNTS_H

#include "wire.h"

#include <ctype.h>

enum { SERIES = 64, SUB_BUCKETS = 32, BUCKETS = 64 * SUB_BUCKETS };

struct counts {
    uint64_t opened, refused, lost, messages, bytes, publications, missing, repeated;
    int64_t last_ns; /* when the latest publication came */
    uint64_t latency[BUCKETS], longest_ns;
    char trouble[240]; /* the first refusal or loss */
};

static inline size_t bucket_of(uint64_t ns) {
    if (ns < SUB_BUCKETS) return ns;
    unsigned shift = (unsigned)(63 - __builtin_clzll(ns)) - 5;
    return (shift + 1) * SUB_BUCKETS + (ns >> shift) - SUB_BUCKETS;
}

static inline double bucket_ns(size_t bucket) {
    if (bucket < SUB_BUCKETS) return (double)bucket;
    size_t shift = bucket / SUB_BUCKETS - 1;
    return ((double)(bucket % SUB_BUCKETS + SUB_BUCKETS) + 0.5) * (double)(1ULL << shift);
}

static inline double percentile_us(const struct counts *counts, double share) {
    uint64_t passed = 0, wanted = (uint64_t)(share * (double)counts->publications);
    for (size_t bucket = 0; bucket < BUCKETS; bucket++)
        if ((passed += counts->latency[bucket]) > wanted) return bucket_ns(bucket) / 1000;
    return 0;
}

static inline void note_trouble(struct counts *counts, const char *text, size_t size) {
    if (counts->trouble[0]) return;
    if (size >= sizeof counts->trouble) size = sizeof counts->trouble - 1;
    for (size_t at = 0; at < size; at++) /* inside a JSON string */
        counts->trouble[at] = isprint((unsigned char)text[at]) && !strchr("\"\\", text[at]) ? text[at] : ' ';
}

static inline int64_t number_after(const char **at, const char *end, const char *name) {
    const char *found = memmem(*at, (size_t)(end - *at), name, strlen(name));
    if (!found) return -1;
    *at = found + strlen(name);
    return strtoll(*at, NULL, 10);
}

/* Count one publication, of which the client `expected` another number, or -1: any. */
static inline void count_publication(struct counts *counts, int64_t *expected, int64_t number, int64_t sent, int64_t now) {
    if (*expected >= 0 && number < *expected) {
        counts->repeated++;
    } else {
        if (*expected >= 0) counts->missing += (uint64_t)(number - *expected);
        *expected = number + 1;
    }
    uint64_t late = now > sent ? (uint64_t)(now - sent) : 0;
    counts->latency[bucket_of(late)]++;
    if (late > counts->longest_ns) counts->longest_ns = late;
    counts->publications++;
    counts->last_ns = now;
}

/* Count the publications in a message, which may hold any number of them. `next` holds, for each series, the number
 * that the client expects, -1 before its first. */
static inline void count_publications(struct counts *counts, int64_t *next, const char *text, size_t size, int64_t now) {
    const char *end = text + size;
    for (const char *at = text;;) {
        int64_t series = number_after(&at, end, "\"data\":{\"s\":");
        if (series < 0 || series >= SERIES) return;
        int64_t number = number_after(&at, end, "\"n\":"), sent = number_after(&at, end, "\"t\":");
        count_publication(counts, &next[series], number, sent, now);
    }
}

static inline void print_counts(const struct counts *counts, bool complete) {
    printf("{\"complete\":%s,\"opened\":%lu,\"refused\":%lu,\"lost\":%lu,\"messages\":%lu,\"bytes\":%lu,"
           "\"publications\":%lu,\"missing\":%lu,\"repeated\":%lu,\"last_ns\":%ld,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"longest_us\":%.1f,\"trouble\":\"%s\"}",
           complete ? "true" : "false", counts->opened, counts->refused, counts->lost, counts->messages, counts->bytes,
           counts->publications, counts->missing, counts->repeated, counts->last_ns, percentile_us(counts, 0.5),
           percentile_us(counts, 0.99), (double)counts->longest_ns / 1000, counts->trouble);
}

#endif
