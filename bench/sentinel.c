/* What the machine does to a process that does nothing: it wants to wake each millisecond, and counts how late it does.
 * Whoever else is measured was held up as often.
 *
 *   reset   count anew
 *   read    answer with how many times it woke, and how late
 */
#define _GNU_SOURCE
#include "counts.h"

#include <sys/timerfd.h>

enum { INTERVAL_NS = 1000000 };

static struct counts counts;
static int timer;
static int64_t due;

static void sleep_on(void) {
    due = now_ns() + INTERVAL_NS;
    struct itimerspec at = {.it_value = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000}};
    if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &at, NULL)) die("timerfd_settime: %s", strerror(errno));
}

static void on_timer(void) {
    uint64_t times, late = (uint64_t)(now_ns() - due);
    if (read(timer, &times, sizeof times) != sizeof times) return;
    counts.latency[bucket_of(late)]++;
    counts.publications++; /* of which percentile_us tells */
    if (late > counts.longest_ns) counts.longest_ns = late;
    sleep_on();
}

static void obey(char *line) {
    if (!strcmp(line, "reset")) {
        memset(&counts, 0, sizeof counts);
        puts("{}");
    } else if (!strcmp(line, "read")) {
        printf("{\"times\":%lu,\"p99_us\":%.1f,\"longest_us\":%.1f}\n", counts.publications,
               percentile_us(&counts, 0.99), (double)counts.longest_ns / 1000);
    } else {
        die("not a command: %s", line);
    }
    fflush(stdout);
}

int main(void) {
    struct epoll_event events[2];
    int poller = epoll_create1(EPOLL_CLOEXEC);
    timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    watch(poller, timer, EPOLLIN, &timer);
    watch(poller, STDIN_FILENO, EPOLLIN, NULL);
    sleep_on();
    for (;;) {
        int ready = epoll_wait(poller, events, 2, -1);
        for (int at = 0; at < ready; at++) {
            if (events[at].data.ptr) on_timer();
            else read_commands(obey);
        }
    }
}
