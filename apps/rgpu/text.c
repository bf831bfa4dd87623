#include "text.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

char *text_bytes(char *buffer, size_t size, int64_t bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    /* 999.95 would be printed as 1000.0. */
    while (value >= (unit ? 999.95 : 1000) && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1000;
        unit++;
    }
    snprintf(buffer, size, "%.*f %s", unit ? 1 : 0, value, units[unit]);
    return buffer;
}

char *text_time(char *buffer, size_t size, double seconds)
{
    if (!(seconds >= 0) || seconds > 1e9) {
        snprintf(buffer, size, "-");
        return buffer;
    }
    long whole = (long)(seconds + 0.5);
    if (whole >= 3600)
        snprintf(buffer, size, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    else
        snprintf(buffer, size, "%ld:%02ld", whole / 60, whole % 60);
    return buffer;
}

char *text_bitrate(char *buffer, size_t size, double kbps)
{
    if (!(kbps > 0) || isinf(kbps))
        snprintf(buffer, size, "-");
    else if (kbps < 999.5)
        snprintf(buffer, size, "%.0f kb/s", kbps);
    else
        snprintf(buffer, size, "%.2f Mb/s", kbps / 1000);
    return buffer;
}

size_t text_utf8_length(const unsigned char *s, size_t left)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t length = s[0] < 0x80 ? 1 : s[0] >> 5 == 6 ? 2 : s[0] >> 4 == 14 ? 3 : 4;
    if (length == 1)
        return 1;
    if (length > left || (length == 4 && s[0] >> 3 != 30))
        return 0;
    uint32_t code = s[0] & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (s[i] >> 6 != 2)
            return 0;
        code = code << 6 | (s[i] & 0x3f);
    }
    if (code < smallest[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
        return 0;
    return length;
}

void text_print(FILE *out, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t left = strlen(text);
    while (left > 0) {
        size_t length = text_utf8_length(s, left);
        /* 0xc2 0x80 to 0xc2 0x9f are control characters too: some terminals obey them. */
        bool is_control = s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
        if (length == 0 || is_control)
            fputc('?', out);
        else
            fwrite(s, 1, length, out);
        length += length == 0;
        s += length;
        left -= length;
    }
}

void text_error(const char *prefix, const char *text)
{
    flockfile(stderr);
    fputs(prefix, stderr);
    text_print(stderr, text);
    fputc('\n', stderr);
    fflush(stderr);
    funlockfile(stderr);
}
