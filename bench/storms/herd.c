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
#include "../counts.h"
#include "../wire.h"

enum { READ_BYTES = 8 << 20, SOURCES = 16, GROUPS = 4, MAX_EDGES = 16, LINKS = 2, SUBS = 2, TURN_MS = 5 };
enum state { CLOSED, CONNECTING, UPGRADING, GREETING, OPEN };
static const double BASE_S = 0.5, CAP_S = 20, FORGIVEN_S = 10; /* backoff: full jitter, and when it is forgotten */

struct link {
    struct client *client;
    int fd;
    enum state state;
    char *rest; /* of a message that has not come whole */
    size_t rest_size;
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

static struct client *clients;
static size_t count, under_way, window;
static int poller, ports[MAX_EDGES], edges;
static struct tally tallies[GROUPS];
static struct { int64_t at_ns, away_ns; } *returns;
static size_t return_count, return_room;
static struct { bool waiting, applied; int group; int64_t number, until; } awaited;

static void answer(int group, bool complete) {
    struct tally *tally = &tallies[group];
    printf("{\"clients\":%lu,\"dropped\":%lu,\"gaps\":%lu,\"unproved\":%lu,\"moves\":%lu,\"turned_away\":%lu,\"counts\":",
           tally->clients, tally->dropped, tally->gaps, tally->unproved, tally->moves, tally->turned_away);
    struct counts *counts = &tally->counts;
    printf("{\"complete\":%s,\"opened\":%lu,\"refused\":%lu,\"lost\":%lu,\"messages\":%lu,\"bytes\":%lu,"
           "\"publications\":%lu,\"missing\":%lu,\"repeated\":%lu,\"last_ns\":%ld,"
           "\"p50_us\":%.1f,\"p99_us\":%.1f,\"longest_us\":%.1f,\"trouble\":\"%s\"}}\n",
           complete ? "true" : "false", counts->opened, counts->refused, counts->lost, counts->messages, counts->bytes,
           counts->publications, counts->missing, counts->repeated, counts->last_ns, percentile_us(counts, 0.5),
           percentile_us(counts, 0.99), (double)counts->longest_ns / 1000, counts->trouble);
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

static double random_share(void) {
    return (double)rand() / ((double)RAND_MAX + 1);
}

/* One link */

static void drop(struct link *link) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0}; /* RST: no TIME_WAIT keeps our ports */
    if (link->state == CLOSED) return;
    if (link->state != OPEN) under_way--;
    link->state = CLOSED;
    setsockopt(link->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(link->fd);
    free(link->rest);
    link->rest = NULL;
    link->rest_size = 0;
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

static void send_all(struct link *link, const char *text, size_t size) {
    ssize_t sent = send(link->fd, text, size, MSG_NOSIGNAL);
    if (sent != (ssize_t)size) failed(link, "a request was not taken whole");
}

static void send_frame(struct link *link, unsigned char first, const char *text, size_t size) {
    static char frame[65536];
    size_t head = frame_head((unsigned char *)frame, first, size);
    frame[1] |= (char)0x80; /* masked, with a key of zeros */
    memset(frame + head, 0, 4);
    memcpy(frame + head + 4, text, size);
    send_all(link, frame, head + 4 + size);
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

static bool begins(const char *text, const char *end, const char *with) {
    size_t size = strlen(with);
    return (size_t)(end - text) >= size && !memcmp(text, with, size);
}

/* Apply one publication by the rule of `offset` and `prev`; false where something is missing before it. */
static bool apply(struct client *client, struct subscription *sub, const char *text, const char *end, int64_t now) {
    struct tally *tally = &tallies[client->group];
    struct counts *counts = &tally->counts;
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
    if (client->next >= 0 && number < client->next) counts->repeated++;
    else {
        if (client->next >= 0) counts->missing += (uint64_t)(number - client->next);
        client->next = number + 1;
    }
    uint64_t late = now > sent ? (uint64_t)(now - sent) : 0;
    counts->latency[bucket_of(late)]++;
    if (late > counts->longest_ns) counts->longest_ns = late;
    counts->publications++;
    counts->last_ns = now;
    return true;
}

static const char *text_after(const char *text, const char *end, const char *name) {
    const char *found = memmem(text, (size_t)(end - text), name, strlen(name));
    return found ? found + strlen(name) : NULL;
}

static void keep_grant(struct client *client, const char *at, const char *end) {
    const char *close = memchr(at, '"', (size_t)(end - at));
    if (!close) return;
    free(client->grant);
    client->grant = must(strndup(at, (size_t)(close - at)));
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
    const unsigned char *head = (const unsigned char *)text;
    if (size < 2) return 0;
    size_t length = head[1], start = 2;
    if (length >= 126) {
        int wide = length == 126 ? 2 : 8;
        start += (size_t)wide;
        if (size < start) return 0;
        length = 0;
        for (int at = 0; at < wide; at++) length = length << 8 | head[2 + at];
    }
    if (size < start + length) return 0;
    if (head[0] == TEXT) on_text(link, text + start, length, now);
    else if (head[0] == PING) send_frame(link, PONG, text + start, length);
    else if (head[0] != PONG) lost(link, "closed", 6, 0);
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
    size_t have = link->rest_size;
    if (have >= sizeof space / 2) die("a message of over %zu bytes came", have);
    if (have) memcpy(space, link->rest, have);
    size_t room = have ? sizeof space - have - 1 : 1 << 20;
    ssize_t got = recv(link->fd, space + have, room, 0);
    if (got <= 0) {
        if (got < 0 && errno == EAGAIN) return;
        failed(link, got ? strerror(errno) : "the edge closed the connection");
        return;
    }
    int64_t now = now_ns();
    size_t size = have + (size_t)got, at = 0, taken;
    space[size] = 0;
    do {
        taken = link->state == UPGRADING ? take_answer(link, space + at, size - at) : take_frame(link, space + at, size - at, now);
        at += taken;
    } while (taken && at < size && link->state != CLOSED);
    if (link->state == CLOSED) return;
    link->rest_size = size - at;
    if (link->rest_size) {
        link->rest = must(realloc(link->rest, link->rest_size));
        memcpy(link->rest, space + at, link->rest_size);
    }
}

static void on_connected(struct link *link) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) {
        failed(link, strerror(error));
        return;
    }
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = link};
    epoll_ctl(poller, EPOLL_CTL_MOD, link->fd, &event);
    static const char request[] = "GET /v1/ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " SAMPLE_KEY "\r\n"
                                  "Sec-WebSocket-Protocol: whimbrel.v1.json\r\n\r\n";
    link->state = UPGRADING;
    send_all(link, request, sizeof request - 1);
}

static void begin(struct client *client) {
    int on = 1, small = 4096;
    char source[16];
    size_t number = (size_t)(client - clients);
    struct link *link = &client->link[client->link[0].state != CLOSED];
    client->due_ns = 0;
    link->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0) die("socket: %s", strerror(errno));
    snprintf(source, sizeof source, "127.0.0.%zu", 2 + number % SOURCES); /* 28,000 ports each */
    struct sockaddr_in from = address_of(source, 0), to = address_of("127.0.0.1", client->port ? client->port : ports[rand() % edges]);
    setsockopt(link->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (client->group == GROUPS - 1) setsockopt(link->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small); /* what is stuck is stuck in the edge */
    if (bind(link->fd, (struct sockaddr *)&from, sizeof from)) die("bind to %s: %s", source, strerror(errno));
    link->state = CONNECTING;
    under_way++;
    if (connect(link->fd, (struct sockaddr *)&to, sizeof to) && errno != EINPROGRESS) {
        failed(link, strerror(errno));
        return;
    }
    watch(poller, link->fd, EPOLLOUT, link);
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
            if (stuck) epoll_ctl(poller, EPOLL_CTL_DEL, link->fd, NULL);
            else watch(poller, link->fd, EPOLLIN, link);
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
