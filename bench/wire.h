/* What the programs in C share: time, sockets, buffers, and commands on standard input.
 *
 * Both programs take one command per line and answer each with one line of JSON. Everything is one thread and one epoll
 * loop; a fault ends the program with one sentence on standard error. Linux only.
 */
#ifndef WIRE_H
#define WIRE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { TEXT = 0x81, CLOSE = 0x88, PING = 0x89, PONG = 0x8A }; /* first byte of a whole frame (RFC 6455 5.2) */
enum { COMMAND_BYTES = 4096, EVENTS = 1024 };

#define UPGRADED                                                                                                       \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"                                \
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzhZRbK+xOo0=\r\nSec-WebSocket-Protocol: whimbrel.v1.json\r\n\r\n"
#define SAMPLE_KEY "dGhlIHNhbXBsZSBub25jZQ==" /* of RFC 6455 1.3; its answer stands above */

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static inline void *must(void *memory) {
    if (!memory) die("out of memory");
    return memory;
}

/* Nanoseconds of the monotonic clock, which all processes of a machine share. */
static inline int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static inline void watch(int poller, int fd, uint32_t events, void *what) {
    struct epoll_event event = {.events = events, .data.ptr = what};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl: %s", strerror(errno));
}

static inline struct sockaddr_in address_of(const char *host, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) die("%s is not an IPv4 address", host);
    return address;
}

/* Write the head of a server's (unmasked) frame of `size` bytes; return its length, at most 10. */
static inline size_t frame_head(unsigned char *head, unsigned char first, size_t size) {
    head[0] = first;
    if (size < 126) {
        head[1] = (unsigned char)size;
        return 2;
    }
    int wide = size < 65536 ? 2 : 8;
    head[1] = wide == 2 ? 126 : 127;
    for (int at = 0; at < wide; at++) head[2 + at] = (unsigned char)(size >> 8 * (wide - 1 - at));
    return 2 + (size_t)wide;
}

/* Read what stands on standard input and call `obey` for each whole line; end the program at its end. */
static inline void read_commands(void (*obey)(char *line)) {
    static char text[COMMAND_BYTES];
    static size_t have;
    ssize_t got = read(STDIN_FILENO, text + have, sizeof text - have - 1);
    if (got <= 0) exit(0);
    have += (size_t)got;
    text[have] = 0;
    char *line = text;
    for (char *end; (end = strchr(line, '\n')); line = end + 1) {
        *end = 0;
        obey(line);
    }
    have -= (size_t)(line - text);
    memmove(text, line, have);
    if (have == sizeof text - 1) die("a command is too long");
}

#endif
