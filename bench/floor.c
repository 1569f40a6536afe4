/* The kernel's floor: a server that does nothing but what any server must. It takes connections, answers the upgrade and
 * the first frame from constants, and writes a publication's bytes to as many sockets as Whimbrel does, one system call
 * each. What it costs is the kernel's share of every figure beside it.
 *
 * Prints `{"port":N}`, then obeys:
 *
 *   broadcast RATE COUNT       write COUNT publications, RATE per second, to every client (series 0); polls that wait
 *                              are answered with them
 *   unicast RATE COUNT [WIDTH] write COUNT publications, RATE per second, each to the next WIDTH clients in turn (1, or
 *                              what divides their number; series 1)
 *   pings RATE COUNT           ping the next RATE clients in turn, once per second, COUNT times; answered `{}` at once
 *   missed NUMBER              from now on the first frame of a client is answered with NUMBER publications (series 2)
 *
 * and answers `{}` when all is written, where nothing else is said. Requests are expected to come whole: the load
 * program sends them so.
 */
#define _GNU_SOURCE
#include "wire.h"

#include <signal.h>
#include <sys/timerfd.h>

enum { REQUEST_BYTES = 16384, FRAME_BYTES = 512, DATA_BYTES = 100, MISSED = 1000, KEPT = 64, FILES = 1 << 20 };
#define PING_TEXT "\x81\x0f{\"type\":\"ping\"}"
enum state { FRESH, UPGRADING, OPEN, ASKING, WAITING }; /* the last two are polls */

struct client {
    int fd;
    enum state state;
    uint64_t seen; /* broadcasts that a poll has been told of */
};

static struct client *clients[FILES]; /* by number, for turns */
static size_t count;
static int poller, listener, timer;
static char kept[KEPT][FRAME_BYTES]; /* the latest broadcasts, for polls that were away asking again */
static char greeting[MISSED * FRAME_BYTES];
static size_t greeting_size;
static struct {
    bool unicast, pings;
    uint64_t left, interval, width;
    int64_t due;
    uint64_t written[2]; /* per series, ever */
} task;

static size_t publication(char *to, int series, uint64_t number, int64_t due) {
    int head = sprintf(to,
                       "{\"type\":\"publication\",\"channel\":\"orders:bench\",\"offset\":%lu,\"prev\":%lu,"
                       "\"event\":\"bench.tick\",\"event_id\":\"%024lu\",\"time\":\"2026-01-01T00:00:00.000Z\",\"data\":",
                       number + 1, number, number);
    int data = sprintf(to + head, "{\"s\":%d,\"n\":%lu,\"t\":%ld,\"text\":\"", series, number, due);
    return (size_t)(head + data + sprintf(to + head + data, "%-*s\"}}", DATA_BYTES - 2 - data, "floor"));
}

static void put(struct client *client, const char *text, size_t size) {
    ssize_t taken = write(client->fd, text, size);
    if (taken < 0 && (errno == EPIPE || errno == ECONNRESET)) return; /* it went: that is read from it next */
    if (taken != (ssize_t)size) die("a client does not keep up");
}

static size_t framed(char *to, const char *text, size_t size) {
    size_t head = frame_head((unsigned char *)to, TEXT, size);
    memcpy(to + head, text, size);
    return head + size;
}

static void answer_poll(struct client *client) {
    static char body[KEPT * FRAME_BYTES], text[KEPT * FRAME_BYTES + FRAME_BYTES];
    size_t size = (size_t)sprintf(body, "{\"frames\":[");
    if (task.written[0] - client->seen > KEPT) die("a poll does not keep up");
    for (bool more = false; client->seen < task.written[0]; more = true)
        size += (size_t)sprintf(body + size, "%s%s", more ? "," : "", kept[client->seen++ % KEPT]);
    size += (size_t)sprintf(body + size, "],\"channels\":{}}");
    int length = sprintf(text,
                         "HTTP/1.1 200 OK\r\ncontent-length: %zu\r\ncontent-type: application/json\r\n"
                         "cache-control: no-store\r\n\r\n%s",
                         size, body);
    client->state = ASKING;
    put(client, text, (size_t)length);
}

static void write_to(struct client *client, const char *frame, size_t size) {
    if (client->state == OPEN) put(client, frame, size);
    else if (client->state == WAITING) answer_poll(client);
}

static void set_timer(int64_t due) {
    struct itimerspec at = {.it_value = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000}};
    timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL);
}

static void answer(void) {
    puts("{}");
    fflush(stdout);
}

static void on_timer(void) {
    static char text[FRAME_BYTES], frame[FRAME_BYTES];
    uint64_t expired;
    if (read(timer, &expired, sizeof expired) < 0) return;
    for (; task.left && task.due <= now_ns(); task.left--, task.due += (int64_t)task.interval) {
        if (task.pings) {
            for (uint64_t at = 0; count && at < task.width; at++)
                send(clients[(task.left * task.width + at) % count]->fd, PING_TEXT, sizeof PING_TEXT - 1, MSG_NOSIGNAL);
            continue;
        }
        uint64_t written = task.written[task.unicast]++;
        uint64_t first = written * task.width; /* of the clients of a unicast, counted on and on */
        size_t size = publication(text, task.unicast, task.unicast ? first / count : written, task.due);
        size_t frame_size = framed(frame, text, size);
        if (!task.unicast) memcpy(kept[written % KEPT], text, size + 1);
        for (size_t at = 0; at < (task.unicast ? task.width : count); at++)
            write_to(clients[task.unicast ? (first + at) % count : at], frame, frame_size);
    }
    if (task.left) {
        set_timer(task.due);
    } else if (!task.pings) {
        answer();
    }
}

static void set_greeting(uint64_t missed) {
    static uint64_t ever; /* so that whoever comes again finds new ones */
    static char text[MISSED * FRAME_BYTES];
    size_t size = (size_t)sprintf(text, "{\"type\":\"connected\",\"publications\":[");
    for (uint64_t number = 0; number < missed; number++) {
        if (number) text[size++] = ',';
        size += publication(text + size, 2, ever++, now_ns());
    }
    size += (size_t)sprintf(text + size, "]}");
    greeting_size = framed(greeting, text, size);
}

static void obey(char *line) {
    char word[16];
    double rate;
    uint64_t number;
    task.width = 1;
    if (sscanf(line, "missed %lu", &number) == 1 && number <= MISSED - 1) {
        set_greeting(number);
        answer();
    } else if (sscanf(line, "%15[a-z] %lf %lu %lu", word, &rate, &number, &task.width) >= 3 && rate > 0 && number && count) {
        task.unicast = !strcmp(word, "unicast");
        task.pings = !strcmp(word, "pings");
        task.left = number;
        task.interval = (uint64_t)(1e9 / (task.pings ? 1 : rate));
        if (task.pings) task.width = (uint64_t)rate;
        set_timer(task.due = now_ns() + 1000000);
        if (task.pings) answer();
    } else {
        die("not a command: %s", line);
    }
}

static void on_readable(struct client *client) {
    static char request[REQUEST_BYTES];
    ssize_t got = read(client->fd, request, sizeof request - 1);
    if (got <= 0) {
        close(client->fd);
        for (size_t at = 0; at < count; at++)
            if (clients[at] == client) clients[at--] = clients[--count];
        free(client);
        return;
    }
    request[got] = 0;
    if (client->state == FRESH && !strncmp(request, "GET ", 4)) {
        client->state = UPGRADING;
        put(client, UPGRADED, sizeof UPGRADED - 1);
    } else if (client->state == FRESH) { /* the first poll is answered at once, as one without positions is */
        client->seen = task.written[0];
        answer_poll(client);
    } else if (client->state == ASKING) {
        client->state = WAITING;
        if (client->seen < task.written[0]) answer_poll(client);
    } else if (client->state == UPGRADING) {
        client->state = OPEN;
        put(client, greeting, greeting_size);
    }
}

static void on_listener(void) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (count == FILES) die("too many clients");
        struct client *client = clients[count++] = must(calloc(1, sizeof *client));
        client->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(poller, fd, EPOLLIN, client);
    }
}

int main(void) {
    static int listening, ticking, commanding; /* names of the other sources of events */
    struct epoll_event events[EVENTS];
    struct sockaddr_in address = address_of("127.0.0.1", 0);
    socklen_t size = sizeof address;
    signal(SIGPIPE, SIG_IGN); /* a client may go at any time */
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) die("listen: %s", strerror(errno));
    getsockname(listener, (struct sockaddr *)&address, &size);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    poller = epoll_create1(EPOLL_CLOEXEC);
    watch(poller, listener, EPOLLIN, &listening);
    watch(poller, timer, EPOLLIN, &ticking);
    watch(poller, STDIN_FILENO, EPOLLIN, &commanding);
    set_greeting(0);
    printf("{\"port\":%d}\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, -1);
        for (int at = 0; at < ready; at++) {
            void *what = events[at].data.ptr;
            if (what == &listening) on_listener();
            else if (what == &ticking) on_timer();
            else if (what == &commanding) read_commands(obey);
            else on_readable(what);
        }
    }
}
