/* The clients of a benchmark: thousands of WebSockets, streams of events or long-polls in one thread, so cheap that it is the server that
 * is measured.
 *
 *   open HOST PORT COUNT WINDOW DIALECT FILE   open COUNT connections, at most WINDOW under way at a time. DIALECT is one
 *                                              of dialects.h, `sse`, `poll` or `nchan-poll`. Connection i goes by line i of
 *                                              FILE (a line may serve several): its first frame, or its path, or for
 *                                              `poll` TOKEN<tab>CHANNELS, CHANNELS being the JSON of the first poll
 *   await opened|publications NUMBER MS        answer with the counts once there are NUMBER, or after MS
 *   reset                                      counts begin anew
 *   cut                                        reset all connections (RST)
 *   greetings FILE                             write the JSON of what each connection was first told, one per line
 *
 * Publications are known by their data (counts.h); missing and repeated ones are counted, also across `cut` and `open`.
 * A poll is repeated with the positions of its answer (`poll`: the JSON of its channels; `nchan-poll`: its validators).
 * Pings are answered.
 */
#define _GNU_SOURCE
#include "clients.h"
#include "streams.h"

static struct client *clients;
static size_t count, begun, window;
static int poller;
static struct sockaddr_in server;
static char **lines;
static size_t line_count;

static struct {
    bool waiting, publications;
    uint64_t number;
    int64_t until;
} awaited;

static void answer_if_awaited(void) {
    if (!awaited.waiting) return;
    uint64_t have = awaited.publications ? counts.publications : counts.opened + counts.refused;
    bool complete = have >= awaited.number;
    if (!complete && now_ns() < awaited.until) return;
    awaited.waiting = false;
    print_counts(&counts, complete);
    putchar('\n');
    fflush(stdout);
}

/* What comes from the server */

static void on_text(struct client *client, const char *text, size_t size, int64_t now) {
    counts.messages++;
    counts.bytes += size;
    if (client->state == GREETING) {
        if (begins(text, size, dialect->prelude)) return;
        if (begins(text, size, dialect->greeting)) {
            greeted(client, text, size);
        } else if (!begins(text, size, dialect->early)) {
            refused(client, text, size);
            return;
        }
    } else if (begins(text, size, dialect->ping)) {
        send_frame(client, TEXT, dialect->pong, strlen(dialect->pong));
    } else if (begins(text, size, dialect->goodbye)) {
        refused(client, text, size);
        return;
    }
    count_publications(&counts, client->next, text, size, now);
}

/* Take one whole frame from `text`; return its length, 0 where more must come. */
static size_t take_frame(struct client *client, const char *text, size_t size, int64_t now) {
    size_t length, start = frame_at(text, size, &length);
    unsigned char first = (unsigned char)text[0];
    if (!start) return 0;
    if (first == TEXT) on_text(client, text + start, length, now);
    else if (first == PING) send_frame(client, PONG, text + start, length);
    else if (first != PONG) refused(client, text + start, length);
    return start + length;
}

static void on_upgraded(struct client *client) {
    static char frame[READ_BYTES];
    if (dialect->first) {
        int size = snprintf(frame, sizeof frame, "%s%s", dialect->first, client->line);
        client->state = GREETING;
        send_frame(client, TEXT, frame, (size_t)size);
    } else {
        greeted(client, "", 0);
    }
}

/* Take one whole HTTP answer from `text`; return its length, 0 where more must come. */
static size_t take_answer(struct client *client, const char *text, size_t size, int64_t now) {
    const char *end = memmem(text, size, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t start = (size_t)(end - text) + 4, length = 0;
    for (const char *at = text; at < end; at = (const char *)memchr(at, '\n', (size_t)(text + size - at)) + 1)
        if (!strncasecmp(at, "content-length:", 15)) length = strtoul(at + 15, NULL, 10);
    if (size < start + length) return 0;
    const char *body = text + start;
    if (client->state == UPGRADING) {
        if (!begins(text, size, streams ? "HTTP/1.1 200" : "HTTP/1.1 101")) {
            refused(client, text, size);
            return start + length;
        }
        if (streams) client->state = GREETING;
        else on_upgraded(client);
        return start;
    }
    if (nchan_polls) {
        if (!begins(text, size, "HTTP/1.1 200")) {
            refused(client, text, size);
            return start + length;
        }
        counts.messages++;
        counts.bytes += length;
        count_publications(&counts, client->next, body, length, now);
        send_nchan_poll(client, text, start);
        return start + length;
    }
    const char *channels = NULL; /* the last member of the body: what to send with the next poll */
    for (const char *at = body; (at = memmem(at, (size_t)(body + length - at), "\"channels\":", 11)); channels = at) at += 11;
    if (!begins(text, size, "HTTP/1.1 200") || !channels) {
        refused(client, text, size);
        return start + length;
    }
    counts.messages++;
    counts.bytes += length;
    if (client->state == GREETING) greeted(client, body, length);
    count_publications(&counts, client->next, body, length, now);
    send_poll(client, channels, (size_t)(body + length - 1 - channels));
    return start + length;
}

static void on_readable(struct client *client) {
    static char space[READ_BYTES];
    ssize_t have = receive(&client->connection, space, sizeof space);
    if (have < 0) failed(client, "the server closed the connection");
    if (have <= 0) return;
    int64_t now = now_ns();
    size_t size = (size_t)have, at = 0, taken;
    do {
        bool http = client->state == UPGRADING || (!dialect && !streams);
        taken = (http ? take_answer : streams ? take_event : take_frame)(client, space + at, size - at, now);
        at += taken;
    } while (taken && at < size && client->state != CLOSED);
    if (client->state != CLOSED) keep(&client->connection, space + at, size - at);
}

static void on_connected(struct client *client) {
    const char *refusal = dialled(&client->connection, poller, client);
    if (refusal) {
        failed(client, refusal);
        return;
    }
    if (nchan_polls) { /* nobody answers before there is something: who has asked is in */
        greeted(client, "", 0);
        send_nchan_poll(client, NULL, 0);
        return;
    }
    if (streams) {
        send_stream(client);
        return;
    }
    if (!dialect) {
        const char *channels = strchr(client->line, '\t');
        client->state = GREETING;
        if (channels) send_poll(client, channels + 1, strlen(channels + 1));
        return;
    }
    send_upgrade(client);
}

static void begin(struct client *client, size_t number) {
    client->line = lines[number % line_count];
    client->state = CONNECTING;
    under_way++;
    if (dial(&client->connection, number, server, 0)) watch(poller, client->connection.fd, EPOLLOUT, client);
    else failed(client, strerror(errno));
}

/* Commands */

static void read_lines(const char *path) {
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    if (!file) die("%s: %s", path, strerror(errno));
    for (size_t at = 0; at < line_count; at++) free(lines[at]);
    line_count = 0;
    for (ssize_t size; (size = getline(&line, &room, file)) > 0; line_count++) {
        if (line[size - 1] == '\n') line[size - 1] = 0;
        lines = must(realloc(lines, (line_count + 1) * sizeof *lines));
        lines[line_count] = must(strdup(line));
    }
    free(line);
    fclose(file);
    if (!line_count) die("%s is empty", path);
}

static void cut_all(void) {
    for (size_t number = 0; number < count; number++) drop(&clients[number]);
    begun = count;
}

static void open_all(const char *path, size_t wanted) {
    cut_all();
    read_lines(path);
    clients = must(realloc(clients, wanted * sizeof *clients)); /* none is watched any more */
    for (; count < wanted; count++) {
        clients[count] = (struct client){.state = CLOSED};
        for (int series = 0; series < SERIES; series++) clients[count].next[series] = -1;
    }
    count = wanted;
    begun = 0;
}

static void write_greetings(const char *path) {
    FILE *file = fopen(path, "w");
    if (!file) die("%s: %s", path, strerror(errno));
    for (size_t number = 0; number < count; number++)
        fprintf(file, "%s\n", clients[number].greeting ? clients[number].greeting : "");
    fclose(file);
}

static void obey(char *line) {
    char host[64], word[32], path[2048];
    int port, ms;
    size_t number;
    if (sscanf(line, "open %63s %d %zu %zu %31s %2047s", host, &port, &number, &window, word, path) == 6) {
        server = address_of(host, port);
        nchan_polls = !strcmp(word, "nchan-poll");
        streams = !strcmp(word, "sse");
        dialect = dialect_named(word);
        if (!dialect && !nchan_polls && !streams && strcmp(word, "poll")) die("not a dialect: %s", word);
        open_all(path, number);
        puts("{}");
    } else if (sscanf(line, "await %31s %zu %d", word, &number, &ms) == 3) {
        awaited.waiting = true;
        awaited.publications = !strcmp(word, "publications");
        awaited.number = number;
        awaited.until = now_ns() + ms * 1000000LL;
    } else if (!strcmp(line, "reset")) {
        memset(&counts, 0, sizeof counts);
        puts("{}");
    } else if (!strcmp(line, "cut")) {
        cut_all();
        puts("{}");
    } else if (sscanf(line, "greetings %2047s", path) == 1) {
        write_greetings(path);
        puts("{}");
    } else {
        die("not a command: %s", line);
    }
    fflush(stdout);
}

int main(void) {
    struct epoll_event events[EVENTS];
    if ((poller = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll_create1: %s", strerror(errno));
    watch(poller, STDIN_FILENO, EPOLLIN, NULL);
    for (;;) {
        while (begun < count && under_way < window) begin(&clients[begun], begun), begun++;
        int ready = epoll_wait(poller, events, EVENTS, awaited.waiting ? 10 : -1);
        for (int at = 0; at < ready; at++) {
            struct client *client = events[at].data.ptr;
            if (!client) {
                read_commands(obey);
                break; /* it may have moved the clients whom the other events name: they come again */
            }
            if (client->state == CONNECTING) on_connected(client);
            else if (client->state != CLOSED) on_readable(client);
        }
        answer_if_awaited();
    }
}
