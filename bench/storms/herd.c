/* Clients that live: they keep their positions and resume grants, come back by themselves with jitter, move when an edge
 * says that it leaves, and check that each publication comes once and in order.
 *
 *   edges PORT,PORT,…                   where a new connection may go: what a load balancer knows
 *   gather FILE WINDOW                  a client per line `GROUP<tab>PORT<tab>CHANNEL<tab>TOKEN`, at most WINDOW connecting
 *                                       at a time; PORT 0: any edge. From now on they stay connected
 *   await opened GROUP NUMBER MS        answer with the group's counts once so many are connected, or after MS
 *   await applied GROUP NUMBER MS       … once each of them has applied publication NUMBER - 1 of its channel
 *   reset                               latencies and counts begin anew; what a client stands at does not
 *   stuck GROUP / wake GROUP            they read nothing / they read again
 *   returns FILE                        write a line `AT_NS AWAY_NS` for each connection opened since `reset`
 *
 * A publication's data is that of counts.h. `missing` and `repeated` are what an application would see; `dropped` were
 * duplicates on the wire (two connections overlap while a client moves), `gaps` made a client connect anew.
 */
#define _GNU_SOURCE
#define _GNU_SOURCE
#include "members.h"
#include "positions.h"

enum { READ_BYTES = 8 << 20, TURN_BYTES = 1 << 20, MAX_EDGES = 16, TURN_MS = 5 };

static struct client *clients;
static size_t count, window;
static int poller, ports[MAX_EDGES], edges;
static struct { int64_t at_ns, away_ns; } *returns;
static size_t return_count, return_room;
static struct { bool waiting, applied; int group; int64_t number, until; } awaited;

static void answer(int group, bool complete) {
    struct tally *tally = &tallies[group];
    printf("{\"clients\":%lu,\"dropped\":%lu,\"gaps\":%lu,\"unproved\":%lu,\"moves\":%lu,\"turned_away\":%lu,\"counts\":",
           tally->clients, tally->dropped, tally->gaps, tally->unproved, tally->moves, tally->turned_away);
    print_counts(&tally->counts, complete);
    puts("}");
    fflush(stdout);
}

static void answer_if_awaited(int64_t now) {
    if (!awaited.waiting) return;
    int64_t have = 0, wanted = awaited.number;
    if (awaited.applied) wanted = 0;
    for (size_t at = 0; at < count; at++) {
        struct client *client = &clients[at];
        if (client->group != awaited.group) continue;
        if (awaited.applied) wanted += 1, have += client->next >= awaited.number;
        else have += client->link[client->current].state == OPEN;
    }
    if (have < wanted && now < awaited.until) return;
    awaited.waiting = false;
    answer(awaited.group, have >= wanted);
}

/* What comes from the edge */

static void keep_grant(struct client *client, const char *at, const char *end) {
    const char *close = memchr(at, '"', (size_t)(end - at));
    if (!close) return;
    free(client->grant);
    client->grant = must(strndup(at, (size_t)(close - at)));
}

static void note_return(struct client *client, int64_t now) {
    if (return_count == return_room) returns = must(realloc(returns, (return_room += 4096) * sizeof *returns));
    returns[return_count].at_ns = now;
    returns[return_count++].away_ns = client->lost_ns ? now - client->lost_ns : 0;
}

static void welcome(struct link *link, const char *text, const char *end, int64_t now) {
    struct client *client = link->client;
    const char *grant = text_after(text, end, "\"resume\":\""), *channels = text_after(text, end, "\"channels\":{");
    const char *begin[SUBS];
    char marker[200];
    if (grant) keep_grant(client, grant, end);
    link->state = OPEN;
    link->opened_ns = now;
    under_way--;
    tallies[client->group].counts.opened++;
    note_return(client, now);
    client->lost_ns = client->due_ns = 0;
    client->port = 0; /* from now on it goes wherever it is sent */
    struct link *other = &client->link[link == &client->link[0]];
    if (other->state != CLOSED) { /* made before it breaks */
        tallies[client->group].moves++;
        send_frame(other, CLOSE, "\x03\xe8", 2);
        drop(other);
    }
    client->current = (int)(link - client->link);
    for (int at = 0; at < SUBS; at++) {
        snprintf(marker, sizeof marker, "\"%s\":{", client->sub[at].name);
        begin[at] = channels ? text_after(channels, end, marker) : NULL;
        if (!begin[at]) {
            failed(link, "a channel was not opened");
            return;
        }
    }
    for (int at = 0; at < SUBS; at++) {
        const char *until = begin[!at] > begin[at] ? begin[!at] : end;
        if (!open_channel(client, &client->sub[at], begin[at], until, now)) {
            lost(link, begin[at], (size_t)(end - begin[at]), 0);
            return;
        }
    }
}

static void on_text(struct link *link, const char *text, size_t size, int64_t now) {
    struct client *client = link->client;
    const char *end = text + size, *at = text;
    tallies[client->group].counts.messages++;
    tallies[client->group].counts.bytes += size;
    if (link->state == GREETING && begins(text, end, "{\"type\":\"connected\"")) {
        welcome(link, text, end, now);
        return;
    }
    for (const char *found; link->state == OPEN && (found = text_after(at, end, "\"type\":\"publication\",\"channel\":\""));) {
        const char *next = text_after(found, end, "\"type\":\"publication\",\"channel\":\"");
        at = found;
        for (int sub = 0; sub < SUBS; sub++) {
            size_t name = strlen(client->sub[sub].name);
            if (begins(found, end, client->sub[sub].name) && found[name] == '"') {
                if (!apply(client, &client->sub[sub], found, next ? next : end, now)) failed(link, "a gap");
                break;
            }
        }
    }
    if (at != text) return;
    if (begins(text, end, "{\"type\":\"ping\"")) send_frame(link, TEXT, "{\"type\":\"pong\"}", 15);
    else if (begins(text, end, "{\"type\":\"resume\"") && (at = text_after(text, end, "\"grant\":\""))) keep_grant(client, at, end);
    else if (begins(text, end, "{\"type\":\"subscribed\"")) {
        tallies[client->group].unproved++;
        lost(link, text, size, 0);
    } else if (begins(text, end, "{\"type\":\"disconnect\"")) {
        int64_t code = number_after(&at, end, "\"code\":"), after_ms = number_after(&at, end, "\"after_ms\":");
        if (code == 4000 && after_ms > 0 && link->state == OPEN) client->due_ns = now + after_ms * 1000000;
        else lost(link, text, size, after_ms);
    } else if (link->state == GREETING) lost(link, text, size, 0);
}

/* Take one whole frame from `text`; return its length, 0 where more must come. */
static size_t take_frame(struct link *link, const char *text, size_t size, int64_t now) {
    size_t length, start = frame_at(text, size, &length);
    unsigned char first = (unsigned char)text[0];
    if (!start) return 0;
    if (first == TEXT) on_text(link, text + start, length, now);
    else if (first == PING) send_frame(link, PONG, text + start, length);
    else if (first != PONG) lost(link, "closed", 6, 0);
    return start + length;
}

/* Take the answer to the upgrade; return its length, 0 where more must come. */
static size_t take_answer(struct link *link, const char *text, size_t size) {
    const char *end = text_after(text, text + size, "\r\n\r\n");
    if (!end) return 0;
    if (begins(text, end, "HTTP/1.1 101")) {
        link->state = GREETING;
        send_connect(link);
    } else {
        const char *retry = strcasestr(text, "\r\nretry-after: ");
        tallies[link->client->group].turned_away++;
        lost(link, text, (size_t)(end - text), retry && retry < end ? 1000 * atol(retry + 15) : 0);
    }
    return (size_t)(end - text);
}

static void on_readable(struct link *link) {
    static char space[READ_BYTES + 1];
    ssize_t have = receive(&link->connection, space, link->connection.rest_size ? READ_BYTES : TURN_BYTES);
    if (have < 0) failed(link, "the edge closed the connection");
    if (have <= 0) return;
    int64_t now = now_ns();
    size_t size = (size_t)have, at = 0, taken;
    space[size] = 0;
    do {
        taken = link->state == UPGRADING ? take_answer(link, space + at, size - at) : take_frame(link, space + at, size - at, now);
        at += taken;
    } while (taken && at < size && link->state != CLOSED);
    if (link->state != CLOSED) keep(&link->connection, space + at, size - at);
}

static void on_connected(struct link *link) {
    const char *refusal = dialled(&link->connection, poller, link);
    if (refusal) {
        failed(link, refusal);
        return;
    }
    static const char request[] = "GET /v1/ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " SAMPLE_KEY "\r\n"
                                  "Sec-WebSocket-Protocol: whimbrel.v1.json\r\n\r\n";
    link->state = UPGRADING;
    if (!put(&link->connection, request, sizeof request - 1)) failed(link, "the upgrade was not taken whole");
}

static void begin(struct client *client) {
    struct link *link = &client->link[client->link[0].state != CLOSED];
    struct sockaddr_in edge = address_of("127.0.0.1", client->port ? client->port : ports[rand() % edges]);
    client->due_ns = 0;
    link->state = CONNECTING;
    under_way++;
    bool reads_little = client->group == GROUPS - 1; /* what is stuck is stuck in the edge */
    bool dialling = dial(&link->connection, (size_t)(client - clients), edge, reads_little ? 4096 : 0);
    if (dialling) watch(poller, link->connection.fd, EPOLLOUT, link);
    else failed(link, strerror(errno));
}

static void begin_due(int64_t now) {
    for (size_t at = 0; at < count && under_way < window; at++) {
        struct client *client = &clients[at];
        if (client->due_ns && client->due_ns <= now && !client->stuck) begin(client);
    }
}

/* Commands */

static void gather(const char *path) {
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t room = 0, wanted = 0;
    if (!file) die("%s: %s", path, strerror(errno));
    if (count) die("the herd is gathered once");
    while (getline(&line, &room, file) > 0) wanted++;
    rewind(file);
    clients = must(calloc(wanted, sizeof *clients));
    for (ssize_t size; (size = getline(&line, &room, file)) > 0; count++) {
        struct client *client = &clients[count];
        line[size - 1] = 0;
        char *rest = line, *group = strsep(&rest, "\t"), *port = strsep(&rest, "\t"), *channel = strsep(&rest, "\t");
        if (!rest || atoi(group) >= GROUPS) die("%s: not a client: %s", path, line);
        *client = (struct client){.group = atoi(group), .port = atoi(port), .token = must(strdup(rest)), .next = -1, .due_ns = 1};
        client->sub[0] = (struct subscription){.name = must(strdup(channel)), .offset = -1};
        client->sub[1] = (struct subscription){.name = must(strdup("inbox")), .offset = -1};
        for (int at = 0; at < LINKS; at++) client->link[at] = (struct link){.client = client, .state = CLOSED};
        tallies[client->group].clients++;
    }
    free(line);
    fclose(file);
}

static void set_stuck(int group, bool stuck) {
    for (size_t number = 0; number < count; number++) {
        struct client *client = &clients[number];
        if (client->group != group || client->stuck == stuck) continue;
        client->stuck = stuck;
        for (int at = 0; at < LINKS; at++) {
            struct link *link = &client->link[at];
            if (link->state == CLOSED) continue;
            if (stuck) epoll_ctl(poller, EPOLL_CTL_DEL, link->connection.fd, NULL);
            else watch(poller, link->connection.fd, EPOLLIN, link);
        }
    }
}

static void reset(void) {
    for (int group = 0; group < GROUPS; group++) tallies[group] = (struct tally){.clients = tallies[group].clients};
    return_count = 0;
}

static void write_returns(const char *path) {
    FILE *file = fopen(path, "w");
    if (!file) die("%s: %s", path, strerror(errno));
    for (size_t at = 0; at < return_count; at++) fprintf(file, "%ld %ld\n", returns[at].at_ns, returns[at].away_ns);
    fclose(file);
}

static void obey(char *line) {
    char word[32], path[2048];
    int group, ms;
    long number;
    if (!strncmp(line, "edges ", 6)) {
        edges = 0;
        for (char *rest = line + 6, *port; (port = strsep(&rest, ",")) && edges < MAX_EDGES;) ports[edges++] = atoi(port);
        puts("{}");
    } else if (sscanf(line, "gather %2047s %zu", path, &window) == 2) {
        gather(path);
        puts("{}");
    } else if (sscanf(line, "await %31s %d %ld %d", word, &group, &number, &ms) == 4 && group < GROUPS) {
        awaited.waiting = true;
        awaited.applied = !strcmp(word, "applied");
        awaited.group = group;
        awaited.number = number;
        awaited.until = now_ns() + ms * 1000000LL;
    } else if (!strcmp(line, "reset")) {
        reset();
        puts("{}");
    } else if (sscanf(line, "stuck %d", &group) == 1 || sscanf(line, "wake %d", &group) == 1) {
        set_stuck(group, line[0] == 's');
        puts("{}");
    } else if (sscanf(line, "returns %2047s", path) == 1) {
        write_returns(path);
        puts("{}");
    } else {
        die("not a command: %s", line);
    }
    fflush(stdout);
}

int main(void) {
    struct epoll_event events[EVENTS];
    if ((poller = epoll_create1(EPOLL_CLOEXEC)) < 0) die("epoll_create1: %s", strerror(errno));
    srand((unsigned)now_ns());
    watch(poller, STDIN_FILENO, EPOLLIN, NULL);
    for (int64_t looked = 0;;) {
        int ready = epoll_wait(poller, events, EVENTS, TURN_MS);
        for (int at = 0; at < ready; at++) {
            struct link *link = events[at].data.ptr;
            if (!link) {
                read_commands(obey);
                break; /* the others come again */
            }
            if (link->state == CONNECTING) on_connected(link);
            else if (link->state != CLOSED) on_readable(link);
        }
        int64_t now = now_ns();
        if (now - looked < TURN_MS * 1000000LL) continue;
        looked = now;
        if (edges) begin_due(now);
        answer_if_awaited(now);
    }
}
