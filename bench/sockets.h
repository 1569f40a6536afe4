/* A connection of a client, as load.c and herd.c hold thousands: opened from one of several addresses, read by whole
 * messages, and closed so that no port waits.
 */
#ifndef SOCKETS_H
#define SOCKETS_H

#include "wire.h"

enum { SOURCES = 16 };

struct connection {
    int fd;
    char *rest; /* of a message that has not come whole */
    size_t rest_size;
};

/* Begin to connect the client of this `number`; `receive_bytes` bounds the kernel's buffer, 0: as it is. False: see errno. */
static inline bool dial(struct connection *connection, size_t number, struct sockaddr_in server, int receive_bytes) {
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    char source[16];
    if (fd < 0) die("socket: %s", strerror(errno));
    snprintf(source, sizeof source, "127.0.0.%zu", 2 + number % SOURCES); /* 28,000 ports each */
    struct sockaddr_in from = address_of(source, 0);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (receive_bytes) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    if (bind(fd, (struct sockaddr *)&from, sizeof from)) die("bind to %s: %s", source, strerror(errno));
    *connection = (struct connection){.fd = fd};
    return !connect(fd, (struct sockaddr *)&server, sizeof server) || errno == EINPROGRESS;
}

/* Read from now on, for whoever `what` is; return why the server did not answer the call, NULL where it did. */
static inline const char *dialled(struct connection *connection, int poller, void *what) {
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error) return strerror(error);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    epoll_ctl(poller, EPOLL_CTL_MOD, connection->fd, &event);
    return NULL;
}

static inline void hang_up(struct connection *connection) {
    struct linger at_once = {.l_onoff = 1, .l_linger = 0}; /* RST: no TIME_WAIT keeps our ports */
    setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(connection->fd);
    free(connection->rest);
    connection->rest = NULL;
    connection->rest_size = 0;
}

/* Receive into `space`, behind the rest; return the size of both, 0 where nothing came, -1 where the server closed. */
static inline ssize_t receive(struct connection *connection, char *space, size_t room) {
    size_t have = connection->rest_size;
    if (have >= room / 2) die("a message of over %zu bytes came", have);
    if (have) memcpy(space, connection->rest, have);
    ssize_t got = recv(connection->fd, space + have, room - have, 0);
    if (got <= 0) return got < 0 && errno == EAGAIN ? 0 : -1;
    return (ssize_t)have + got;
}

/* Keep what has not come whole. */
static inline void keep(struct connection *connection, const char *text, size_t size) {
    connection->rest_size = size;
    if (!size) return;
    connection->rest = must(realloc(connection->rest, size));
    memcpy(connection->rest, text, size);
}

/* Return how long the head of the server's frame at `text` is, and in `length` its body; 0 where more must come. */
static inline size_t frame_at(const char *text, size_t size, size_t *length) {
    const unsigned char *head = (const unsigned char *)text;
    if (size < 2) return 0;
    size_t start = 2;
    *length = head[1];
    if (*length >= 126) {
        int wide = *length == 126 ? 2 : 8;
        start += (size_t)wide;
        if (size < start) return 0;
        *length = 0;
        for (int at = 0; at < wide; at++) *length = *length << 8 | head[2 + at];
    }
    return size < start + *length ? 0 : start;
}

/* False where the kernel did not take all of it. */
static inline bool put(struct connection *connection, const char *text, size_t size) {
    return send(connection->fd, text, size, MSG_NOSIGNAL) == (ssize_t)size;
}

static inline bool put_frame(struct connection *connection, unsigned char first, const char *text, size_t size) {
    static char frame[1 << 20];
    size_t head = frame_head((unsigned char *)frame, first, size);
    if (head + 4 + size > sizeof frame) die("a frame of %zu bytes", size);
    frame[1] |= (char)0x80; /* masked, with a key of zeros */
    memset(frame + head, 0, 4);
    memcpy(frame + head + 4, text, size);
    return put(connection, frame, head + 4 + size);
}

#endif
