/* The load: senders and viewers on raw sockets, one thread, requests built beforehand.
 *
 *   client PORT [-c senders] [-i inflight] [-v viewers] [-H hello] [-g greeting] [-s setup] [-S setup]
 *               [-n snapshots] [-r request]… [-R rate] [-w warm-up seconds] [-t seconds] [-d seed]
 *
 * A sender keeps `inflight` requests under way (-R: together they send `rate` a second, whether
 * answered or not). With -H connections are websockets: the hello is sent, a 101 awaited, then the
 * setup (-s for senders, -S for viewers; -n is how many snapshots a viewer waits for). Socket.IO
 * wants a greeting first (-g), answered by "40…", and is spoken as far as that goes. Several
 * requests are sent in turn; a run of 16 '@' in one becomes a new id each time. Hellos,
 * greetings, setups and requests are given as files.
 *
 * It says "ready" and waits for a line; says "start" and "end" around the measured seconds; waits
 * for the answers still due; prints one JSON line. Linux only; client.py does the same anywhere.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BUFFER (512 * 1024)
#define MAX_INFLIGHT 64
#define MAX_REQUESTS 1000
#define MAX_TIMED (1 << 20) /* events whose way is timed, with -R */
#define BUCKETS 300000      /* of 10 us */
#define ANSWERS_S 10.0

typedef struct { char *at; size_t size; } Bytes;
typedef struct {
    int fd, viewer, open, ready;  /* open: the websocket's handshake is over; ready: so is its setup */
    char *buffer; size_t held;    /* what was read and not yet understood */
    double sent_at[MAX_INFLIGHT]; /* of the requests under way, oldest first from `first` */
    int first, inflight;
    long total; int snapshots;    /* viewer: the total it was last shown */
} Connection;

static int port, inflight = 1, snapshots_due, epoll;
static double rate, began, window_from = 1e18, window_to = 1e18;
static Bytes hello, greeting, sender_setup, viewer_setup;
static struct { Bytes text; size_t ids[2048]; int id_count; } requests[MAX_REQUESTS]; static int request_count;
static unsigned seed; static unsigned long next_id;

static long sent, answered, errors, accepted_ever, accepted, answers, duplicates, frames, bytes_in,
    snapshots, ready_viewers, outstanding, base = -1;
static double timed_sent[MAX_TIMED], timed_acked[MAX_TIMED]; static long acked;
static unsigned answer_us[BUCKETS], shown_us[BUCKETS], after_ack_us[BUCKETS];

static double now(void) {
    struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}
static void die(const char *what) { perror(what); exit(2); }

static void observe(unsigned *histogram, double seconds) {
    long bucket = seconds < 0 ? 0 : (long)(seconds * 1e5);
    histogram[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
}
static void print_times(const char *name, unsigned *histogram) {
    unsigned long all = 0, seen = 0; int q = 0; static const double quantile[] = {.5, .95, .99, 1};
    double found[4] = {0};
    for (int i = 0; i < BUCKETS; i++) all += histogram[i];
    for (int i = 0; i < BUCKETS && all; i++)
        for (seen += histogram[i]; q < 4 && seen >= quantile[q] * all; q++) found[q] = i / 100.0;
    printf(",\"%s\":{\"count\":%lu,\"p50_ms\":%.2f,\"p95_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f}",
           name, all, found[0], found[1], found[2], found[3]);
}

static Bytes load(const char *path) {
    FILE *file = fopen(path, "rb"); Bytes b; if (!file) die(path);
    fseek(file, 0, SEEK_END); b.size = ftell(file); rewind(file);
    b.at = malloc(b.size + 1); if (fread(b.at, 1, b.size, file) != b.size) die(path);
    b.at[b.size] = 0; fclose(file); return b;
}
static void add_request(const char *path) {
    Bytes text = requests[request_count].text = load(path);
    for (char *at = text.at; (at = memmem(at, text.at + text.size - at, "@@@@@@@@@@@@@@@@", 16)); at += 16)
        requests[request_count].ids[requests[request_count].id_count++] = at - text.at;
    request_count++;
}

/* Blocks if it must; but the kernel's buffer holds a whole request, and the server reads. */
static void write_all(Connection *c, const char *at, size_t size) {
    while (size) {
        ssize_t n = send(c->fd, at, size, MSG_NOSIGNAL);
        if (n < 0) { if (errno == EINTR) continue; die("send"); }
        at += n; size -= n;
    }
}
static void send_request(Connection *c, double at) {
    static const char digit[] = "0123456789abcdef";
    int r = sent % request_count; Bytes text = requests[r].text;
    for (int i = 0; i < requests[r].id_count; i++) {
        /* Each number once, and spread like UUIDs: ids in order would flatter an index. */
        unsigned long id = (((unsigned long)seed << 32) | next_id++) * 0x9E3779B97F4A7C15UL;
        for (int d = 15; d >= 0; d--, id >>= 4) text.at[requests[r].ids[i] + d] = digit[id & 15];
    }
    c->sent_at[(c->first + c->inflight++) % MAX_INFLIGHT] = at;
    if (rate && sent < MAX_TIMED) timed_sent[sent] = at;
    sent++; outstanding++;
    write_all(c, text.at, text.size);
}

static long number_after(const char *text, size_t size, const char *name) {
    const char *at = memmem(text, size, name, strlen(name));
    return at ? strtol(at + strlen(name), NULL, 10) : -1;
}
static void on_answer(Connection *c, const char *text, size_t size, double at) {
    long n = number_after(text, size, "\"accepted\":"), d = number_after(text, size, "\"duplicates\":");
    double sent_at = c->sent_at[c->first];
    if (!c->inflight) { fprintf(stderr, "an answer to nothing: %.*s\n", (int)size, text); exit(2); }
    c->first = (c->first + 1) % MAX_INFLIGHT; c->inflight--; outstanding--; answered++;
    if (n < 0) { if (!errors++) fprintf(stderr, "client: %.*s\n", (int)(size < 500 ? size : 500), text); n = d = 0; }
    if (rate && acked < MAX_TIMED) timed_acked[acked++] = at;
    accepted_ever += n; duplicates += d;
    if (at >= window_from && at < window_to) { answers++; accepted += n; observe(answer_us, at - sent_at); }
    if (!rate && at < window_to) send_request(c, at);
}
static void set_up(Connection *c) {
    Bytes setup = c->viewer ? viewer_setup : sender_setup;
    if (setup.size) write_all(c, setup.at, setup.size);
    if (c->viewer && !snapshots_due) ready_viewers++;
    c->ready = 1;
}
/* What a message is, is said early in it. */
static int says(const char *text, size_t size, const char *what) {
    return memmem(text, size < 36 ? size : 36, what, strlen(what)) != NULL;
}
static void on_frame(Connection *c, int opcode, char *text, size_t size, double at) {
    if (opcode == 9) { write_all(c, "\x8a\x80\0\0\0\0", 6); return; }
    if (opcode == 8) { fprintf(stderr, "the server closed a websocket\n"); exit(2); }
    if (greeting.size && size == 1 && *text == '2') { write_all(c, "\x81\x81\0\0\0\0" "3", 7); return; }
    if (greeting.size && !c->ready && size > 2 && !memcmp(text, "40", 2)) { set_up(c); return; }
    if (!c->viewer && says(text, size, "\"ack\"")) { on_answer(c, text, size, at); return; }
    if (says(text, size, "\"error\"")) {
        if (!errors++) fprintf(stderr, "client: %.*s\n", (int)size, text);
        if (!c->viewer) on_answer(c, text, size, at);
        return;
    }
    int snapshot = says(text, size, "\"snapshot\"");
    if (!c->viewer || !(snapshot || says(text, size, "\"update\""))) return;
    char *digits = text + size; /* "total":123} ends every frame of totals */
    while (digits > text && (digits[-1] < '0' || digits[-1] > '9')) digits--;
    while (digits > text && digits[-1] >= '0' && digits[-1] <= '9') digits--;
    long total = strtol(digits, NULL, 10);
    if (snapshot) {
        snapshots++; c->total = total; if (base < 0) base = total;
        if (++c->snapshots == snapshots_due) ready_viewers++;
        return;
    }
    if (at >= window_from && at < window_to) frames++;
    if (rate && snapshots_due == 1)
        for (long k = c->total - base; k < total - base && k >= 0 && k < sent; k++)
            if (timed_sent[k] >= window_from && timed_sent[k] < window_to) {
                observe(shown_us, at - timed_sent[k]);
                observe(after_ack_us, k < acked ? at - timed_acked[k] : 0);
            }
    c->total = total;
}

/* The size of the first whole HTTP response or frame in what is held, 0 if it isn't whole yet. */
static size_t take_http(Connection *c, double at) {
    char *end = memmem(c->buffer, c->held, "\r\n\r\n", 4);
    if (!end) return 0;
    size_t head = end + 4 - c->buffer;
    if (hello.size) {
        if (memcmp(c->buffer, "HTTP/1.1 101", 12)) { fprintf(stderr, "%.*s\n", (int)c->held, c->buffer); exit(2); }
        c->open = 1;
        if (greeting.size) write_all(c, greeting.at, greeting.size); else set_up(c);
        return head;
    }
    char *length = memmem(c->buffer, head, "Content-Length: ", 16);
    size_t size = head + (length ? strtol(length + 16, NULL, 10) : 0);
    if (c->held < size) return 0;
    on_answer(c, c->buffer + head, size - head, at);
    return size;
}
static size_t take_frame(Connection *c, char *b, size_t held, double at) {
    if (held < 2) return 0;
    size_t size = b[1] & 127, head = 2;
    if (size == 126) { if (held < 4) return 0; size = (unsigned char)b[2] << 8 | (unsigned char)b[3]; head = 4; }
    else if (size == 127) { if (held < 10) return 0; size = 0; for (int i = 2; i < 10; i++) size = size << 8 | (unsigned char)b[i]; head = 10; }
    if (held < head + size) return 0;
    on_frame(c, b[0] & 15, b + head, size, at);
    return head + size;
}
static void on_readable(Connection *c) {
    ssize_t n = recv(c->fd, c->buffer + c->held, BUFFER - c->held, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) { fprintf(stderr, "the server ended a connection\n"); exit(2); }
    double at = now();
    c->held += n;
    if (at >= window_from && at < window_to) bytes_in += n;
    if (c->viewer && !hello.size) { c->held = 0; return; } /* it only has to be read */
    size_t used = 0, size;
    while (used < c->held) {
        if (hello.size && c->open) size = take_frame(c, c->buffer + used, c->held - used, at);
        else { memmove(c->buffer, c->buffer + used, c->held -= used); used = 0; size = take_http(c, at); }
        if (!size) break;
        used += size;
    }
    if (used) memmove(c->buffer, c->buffer + used, c->held -= used);
    if (c->held == BUFFER) { fprintf(stderr, "a message is too long\n"); exit(2); }
}

static void open_connection(Connection *c, int viewer) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, large = 1 << 20;
    c->viewer = viewer; c->buffer = malloc(BUFFER);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address)) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &large, sizeof large);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &event)) die("epoll_ctl");
    if (hello.size) write_all(c, hello.at, hello.size); else c->open = 1;
}
static void turn(int timeout_ms) {
    struct epoll_event events[256];
    int n = epoll_wait(epoll, events, 256, timeout_ms);
    for (int i = 0; i < n; i++) on_readable(events[i].data.ptr);
}

int main(int argc, char **argv) {
    int senders = 0, viewers = 0, option; double warm_s = 0.5, seconds = 1; char line[16];
    if (argc < 2) { fprintf(stderr, "see client.c\n"); return 2; }
    port = atoi(argv[1]); optind = 2;
    while ((option = getopt(argc, argv, "c:i:v:H:g:s:S:n:r:R:w:t:d:")) != -1) switch (option) {
        case 'c': senders = atoi(optarg); break;
        case 'i': inflight = atoi(optarg); break;
        case 'v': viewers = atoi(optarg); break;
        case 'H': hello = load(optarg); break;
        case 'g': greeting = load(optarg); break;
        case 's': sender_setup = load(optarg); break;
        case 'S': viewer_setup = load(optarg); break;
        case 'n': snapshots_due = atoi(optarg); break;
        case 'r': add_request(optarg); break;
        case 'R': rate = atof(optarg); break;
        case 'w': warm_s = atof(optarg); break;
        case 't': seconds = atof(optarg); break;
        case 'd': seed = strtoul(optarg, NULL, 10); break;
        default: return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    epoll = epoll_create1(0);
    Connection *all = calloc(senders + viewers, sizeof *all);
    for (int i = 0; i < senders + viewers; i++) {
        open_connection(&all[i], i >= senders);
        if (hello.size && i % 50 == 49) for (int j = 0; j < 20; j++) turn(1);
    }
    for (double until = now() + 60; (hello.size && ready_viewers < viewers) || (hello.size && senders && !all[senders - 1].ready);) {
        if (now() > until) { fprintf(stderr, "only %ld of %d viewers got their snapshots\n", ready_viewers, viewers); return 2; }
        turn(10);
    }
    puts("ready");
    int flags = fcntl(0, F_GETFL); /* while we wait for the word, answer pings */
    fcntl(0, F_SETFL, flags | O_NONBLOCK);
    while (read(0, line, sizeof line) < 0) turn(20);

    struct rusage before, after; int started = 0;
    began = now(); window_from = began + warm_s; window_to = window_from + seconds;
    if (!rate) for (int i = 0; i < senders; i++)
        for (int j = 0; j < inflight; j++) send_request(&all[i], now());
    for (double at; (at = now()) < window_to;) {
        if (!started && at >= window_from) { started = 1; getrusage(RUSAGE_SELF, &before); puts("start"); }
        if (rate) {
            while (sent < (at - began) * rate && outstanding < (long)senders * MAX_INFLIGHT) {
                Connection *c = &all[sent % senders];
                if (c->inflight == MAX_INFLIGHT) break;
                send_request(c, began + sent / rate);
            }
        }
        turn(rate ? 1 : 50);
    }
    puts("end");
    getrusage(RUSAGE_SELF, &after);
    for (double until = now() + ANSWERS_S; outstanding && now() < until;) turn(10);
    for (double until = now() + (viewers && senders ? 0.5 : 0); now() < until;) turn(10);
    int behind = 0;
    for (int i = senders; i < senders + viewers; i++)
        if (snapshots_due == 1 && rate && all[i].total != base + accepted_ever) behind++;
#define CPU(r) (r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6)
    printf("{\"seconds\":%.3f,\"requests\":%ld,\"accepted\":%ld,\"accepted_ever\":%ld,\"duplicates\":%ld,"
           "\"errors\":%ld,\"unanswered\":%ld,\"frames\":%ld,\"bytes\":%ld,\"behind\":%d,\"cpu_s\":%.3f",
           seconds, answers, accepted, accepted_ever, duplicates, errors, outstanding, frames, bytes_in,
           behind, CPU(after) - CPU(before));
    print_times("answer", answer_us); print_times("shown", shown_us); print_times("after_ack", after_ack_us);
    puts("}");
    return 0;
}
