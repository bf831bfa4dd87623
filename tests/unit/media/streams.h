/* Real streams for the tests of this room, made with the ffmpeg program, and what ffprobe says of
 * them; and a bit writer for streams made by hand.
 *
 * A test that needs an encoder which this machine's ffmpeg does not have is skipped. */
#ifndef TESTS_STREAMS_H
#define TESTS_STREAMS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#define STREAMS_TEXT_MAX (1 << 18)
#define STREAMS_PACKETS_MAX 256

/* ---- bits by hand ------------------------------------------------------------------------------
 */

struct bit_out {
    uint8_t bytes[4096];
    size_t bits;
};

static inline void out_u(struct bit_out *o, uint64_t value, unsigned count)
{
    for (; count > 0; count--, o->bits++) {
        const uint8_t mask = (uint8_t)(0x80 >> o->bits % 8);
        assert_true(o->bits / 8 < sizeof(o->bytes));
        if (value >> (count - 1) & 1)
            o->bytes[o->bits / 8] |= mask;
        else
            o->bytes[o->bits / 8] &= (uint8_t)~mask;
    }
}

static inline void out_ue(struct bit_out *o, uint32_t value)
{
    const uint64_t code = (uint64_t)value + 1;
    unsigned bits = 0;
    while (code >> bits > 1)
        bits++;
    out_u(o, 0, bits);
    out_u(o, code, bits + 1);
}

static inline void out_se(struct bit_out *o, int32_t value)
{
    out_ue(o, value > 0 ? (uint32_t)(2 * (int64_t)value - 1) : (uint32_t)(-2 * (int64_t)value));
}

/* rbsp_trailing_bits; gives the size in bytes. */
static inline size_t out_end(struct bit_out *o)
{
    out_u(o, 1, 1);
    while (o->bits % 8)
        out_u(o, 0, 1);
    return o->bits / 8;
}

/* ---- programs
 * ------------------------------------------------------------------------------------ */

/* Output of a command; false where it fails. */
__attribute__((format(printf, 2, 3))) static inline bool run_text(char *ret, const char *format,
                                                                  ...)
{
    char command[4096];
    va_list args;
    va_start(args, format);
    const int size = vsnprintf(command, sizeof(command), format, args);
    va_end(args);
    assert_true(size > 0 && (size_t)size < sizeof(command));
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    const size_t read = fread(ret, 1, STREAMS_TEXT_MAX - 1, pipe);
    ret[read] = '\0';
    return pclose(pipe) == 0;
}

struct stream {
    char path[64];
    uint8_t *data;
    size_t size;
    char *probe; /* key=value lines of the video (or only) stream */
    int packets;
    struct {
        size_t pos, size;
        bool key;
        char type; /* I, P, B of the frame that begins there; 0 unknown */
    } packet[STREAMS_PACKETS_MAX];
};

static inline void stream_free(struct stream *s)
{
    unlink(s->path);
    free(s->data);
    free(s->probe);
    free(s);
}

static inline void stream_load(struct stream *s)
{
    FILE *file = fopen(s->path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    s->size = (size_t)ftell(file);
    rewind(file);
    s->data = malloc(s->size + 1);
    assert_non_null(s->data);
    assert_int_equal(fread(s->data, 1, s->size, file), s->size);
    fclose(file);
}

static inline void stream_probe(struct stream *s)
{
    char *text = s->probe = malloc(STREAMS_TEXT_MAX);
    assert_non_null(text);
    assert_true(run_text(text,
                         "ffprobe -v error -select_streams 0 -show_entries "
                         "packet=pos,size,flags -of csv=p=0 %s",
                         s->path));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        char flags[16] = "";
        size_t size, pos;
        assert_int_equal(sscanf(line, "%zu,%zu,%15s", &size, &pos, flags), 3);
        assert_true(s->packets < STREAMS_PACKETS_MAX && pos + size <= s->size);
        s->packet[s->packets].pos = pos;
        s->packet[s->packets].size = size;
        s->packet[s->packets++].key = flags[0] == 'K';
    }
    assert_true(run_text(text,
                         "ffprobe -v error -select_streams v -show_entries "
                         "frame=pkt_pos,pict_type -of csv=p=0 %s",
                         s->path));
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        size_t pos;
        char type;
        if (sscanf(line, "%zu,%c", &pos, &type) != 2)
            continue;
        for (int i = 0; i < s->packets; i++)
            if (s->packet[i].pos == pos)
                s->packet[i].type = type;
    }
    assert_true(run_text(text, "ffprobe -v error -select_streams 0 -show_streams %s", s->path));
}

/* ffmpeg ARGS into a temporary file with this suffix. Skips the test where that fails because the
 * program or `encoder` is not there. */
static inline struct stream *stream_make(const char *suffix, const char *encoder, const char *args)
{
    struct stream *s = calloc(1, sizeof(*s));
    char *text = malloc(STREAMS_TEXT_MAX);
    if (!s || !text) {
        fail_msg("no memory for a stream");
        abort(); /* not reached, which cmocka does not declare */
    }
    const bool there = run_text(text, "ffmpeg -v quiet -encoders | grep -qw %s", encoder);
    if (!there) {
        free(s);
        free(text);
        print_message("ffmpeg with %s is not here\n", encoder);
        skip();
        abort(); /* not reached, which cmocka does not declare */
    }
    snprintf(s->path, sizeof(s->path), "/tmp/rgpu-test-%d-XXXXXX%s", (int)getpid(), suffix);
    const int fd = mkstemps(s->path, (int)strlen(suffix));
    assert_true(fd >= 0);
    close(fd);
    if (!run_text(text, "SVT_LOG=0 ffmpeg -v error -y %s %s 2>&1", args, s->path))
        fail_msg("ffmpeg %s: %s", args, text);
    free(text);
    stream_load(s);
    stream_probe(s);
    return s;
}

/* Value of a line key=value of ffprobe; "" where there is none. Good for seven more calls. */
static inline const char *stream_value(const struct stream *s, const char *key)
{
    static char values[8][128];
    static int next;
    char *value = values[next++ % 8];
    const size_t length = strlen(key);
    for (const char *p = s->probe; p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
        if (strncmp(p, key, length) == 0 && p[length] == '=') {
            snprintf(value, sizeof(values[0]), "%.*s", (int)strcspn(p + length + 1, "\n"),
                     p + length + 1);
            return value;
        }
    return "";
}

/* Contents of the first box of this type. */
static inline const uint8_t *stream_box(const struct stream *s, const char *type, size_t *ret_size)
{
    *ret_size = 0;
    for (size_t i = 4; i + 4 <= s->size; i++)
        if (memcmp(s->data + i, type, 4) == 0) {
            const uint8_t *p = s->data + i - 4;
            const size_t size = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
            assert_true(size >= 8 && i - 4 + size <= s->size);
            *ret_size = size - 8;
            return s->data + i + 4;
        }
    fail_msg("%s has no %s", s->path, type);
    return NULL;
}

/* A seeded generator, the same everywhere. */
static inline uint32_t random_next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

#endif
