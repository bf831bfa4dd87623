#include "progress.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "json.h"
#include "text.h"

#define TERMINAL_STEP_SECONDS 0.2
#define LINES_STEP_SECONDS 5.0
#define JSON_STEP_SECONDS 1.0
#define COLUMNS_DEFAULT 80
#define BAR_COLUMNS_MIN 10
#define BAR_COLUMNS_MAX 30
#define PSNR_IDENTICAL_DB 100.0

/* What a line shows, from the richest to the poorest; the first that fits is taken. */
enum detail { DETAIL_RUNGS, DETAIL_TOTAL, DETAIL_FIGURES, DETAIL_PERCENT, DETAILS };

int progress_columns(FILE *out)
{
    struct winsize size;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return COLUMNS_DEFAULT;
}

bool progress_is_terminal(FILE *out)
{
    const char *term = getenv("TERM");
    return isatty(fileno(out)) && term && strcmp(term, "dumb") != 0;
}

/* Appends to `buffer`, of which `used` characters are taken; returns the new length, which may be
 * more than fits. */
__attribute__((format(printf, 4, 5))) static int append(char *buffer, size_t size, int used,
                                                        const char *format, ...)
{
    va_list args;
    if (used < 0 || (size_t)used >= size)
        return (int)size;
    va_start(args, format);
    int length = vsnprintf(buffer + used, size - (size_t)used, format, args);
    va_end(args);
    return length < 0 ? (int)size : used + length;
}

static int percent_append(char *buffer, size_t size, const struct rgpu_progress *p)
{
    char time[32];
    int used = 0;
    if (p->state == RGPU_STATE_OPENING)
        return append(buffer, size, used, "opening the input");
    if (p->state == RGPU_STATE_VERIFYING)
        used = append(buffer, size, used, "verifying ");
    if (p->percent >= 0)
        return append(buffer, size, used, "%5.1f%%", fmin(p->percent, 100));
    return append(buffer, size, used, "%s done",
                  text_time(time, sizeof(time), p->position_seconds));
}

static int figures_append(char *buffer, size_t size, int used, const struct rgpu_progress *p,
                          enum detail detail)
{
    char text[32];
    if (detail >= DETAIL_PERCENT || p->state == RGPU_STATE_OPENING)
        return used;
    used = append(buffer, size, used, "  %.*f fps  %.*fx", p->frames_per_second < 9.95,
                  p->frames_per_second, 1 + (p->speed < 0.995), p->speed);
    if (p->remaining_seconds >= 0)
        used = append(buffer, size, used, "  %s left",
                      text_time(text, sizeof(text), p->remaining_seconds));
    if (detail == DETAIL_TOTAL || (detail == DETAIL_RUNGS && p->rungs_count < 1))
        used = append(buffer, size, used, "  %s", text_bytes(text, sizeof(text), p->bytes));
    for (int i = 0; detail == DETAIL_RUNGS && i < p->rungs_count && i < RGPU_RUNGS_MAX; i++)
        used = append(buffer, size, used, "  %.31s %s", p->rungs[i].name,
                      text_bytes(text, sizeof(text), p->rungs[i].bytes));
    return used;
}

int progress_line(char *buffer, size_t size, const struct rgpu_progress *p, int columns)
{
    char rest[PROGRESS_LINE_MAX];
    int length = 0, limit = columns ? columns - 1 : (int)size - 1;
    if (limit > (int)size - 1)
        limit = (int)size - 1;
    for (enum detail detail = DETAIL_RUNGS; detail < DETAILS; detail++) {
        length = percent_append(rest, sizeof(rest), p);
        length = figures_append(rest, sizeof(rest), length, p, detail);
        if (length <= limit && length < (int)sizeof(rest))
            break;
    }
    int spare = limit - length - 3;
    if (columns && p->percent >= 0 && spare >= BAR_COLUMNS_MIN) {
        char bar[BAR_COLUMNS_MAX + 1];
        int width = spare < BAR_COLUMNS_MAX ? spare : BAR_COLUMNS_MAX;
        int full = (int)(fmin(p->percent, 100) / 100 * width);
        memset(bar, ' ', (size_t)width);
        memset(bar, '=', (size_t)full);
        if (full < width)
            bar[full] = '>';
        return snprintf(buffer, size, "[%.*s] %s", width, bar, rest);
    }
    snprintf(buffer, size, "%.*s", limit > 0 ? limit : 0, rest);
    return (int)strlen(buffer);
}

/* A terminal that was made narrower has broken the line into several: goes up over them first. */
static void line_home(const struct progress_view *view)
{
    int columns = progress_columns(view->out);
    for (int over = view->columns_drawn - 1; over >= columns; over -= columns)
        fputs("\033[A", view->out);
    fputs("\r\033[J", view->out);
}

void progress_clear(struct progress_view *view)
{
    if (view->mode != PROGRESS_TERMINAL || view->columns_drawn == 0)
        return;
    line_home(view);
    fflush(view->out);
    view->columns_drawn = 0;
    view->next_seconds = 0; /* what was taken away comes back with the next step */
}

static const char *state_name(enum rgpu_state state)
{
    switch (state) {
    case RGPU_STATE_OPENING:
        return "opening";
    case RGPU_STATE_RUNNING:
        return "running";
    case RGPU_STATE_VERIFYING:
        return "verifying";
    case RGPU_STATE_DONE:
        return "done";
    case RGPU_STATE_FAILED:
        return "failed";
    }
    return "unknown";
}

static void rungs_json(struct json *j, const struct rgpu_progress *p)
{
    json_begin(j, "rungs", '[');
    for (int i = 0; i < p->rungs_count && i < RGPU_RUNGS_MAX; i++) {
        const struct rgpu_rung_progress *r = &p->rungs[i];
        json_begin(j, NULL, '{');
        json_string(j, "name", r->name);
        json_string(j, "output", r->output);
        json_string(j, "codec", r->codec);
        json_int(j, "width", r->width);
        json_int(j, "height", r->height);
        json_int(j, "frames", r->frames);
        json_int(j, "bytes", r->bytes);
        json_real(j, "bitrate_kbps", r->bitrate_kbps, 1);
        if (r->psnr_y > 0) {
            json_begin(j, "psnr_db", '{');
            json_real(j, "y", r->psnr_y, 2);
            json_real(j, "u", r->psnr_u, 2);
            json_real(j, "v", r->psnr_v, 2);
            json_end(j, '}');
        }
        json_end(j, '}');
    }
    json_end(j, ']');
}

static void progress_json(struct json *j, const struct rgpu_progress *p)
{
    json_string(j, "state", state_name(p->state));
    json_real_known(j, "percent", p->percent, 2);
    json_real(j, "position_seconds", p->position_seconds, 3);
    json_real_known(j, "duration_seconds", p->duration_seconds > 0 ? p->duration_seconds : -1, 3);
    json_real(j, "elapsed_seconds", p->elapsed_seconds, 3);
    json_real_known(j, "remaining_seconds", p->remaining_seconds, 1);
    /* Nothing is known of how fast it goes before it does. */
    const bool is_known = p->state != RGPU_STATE_OPENING && p->frames_per_second > 0;
    json_real_known(j, "frames_per_second", is_known ? p->frames_per_second : -1, 2);
    json_real_known(j, "speed", is_known ? p->speed : -1, 3);
    json_int(j, "frames", p->frames);
    json_int(j, "damaged", p->damaged);
    json_int(j, "bytes", p->bytes);
    json_int(j, "segments_done", p->segments_done);
    json_int(j, "segments_retried", p->segments_retried);
    json_string(j, "device", p->device[0] ? p->device : NULL);
    rungs_json(j, p);
    if (p->master[0])
        json_string(j, "master", p->master);
}

void progress_show(struct progress_view *view, const struct rgpu_progress *p, double now)
{
    char line[PROGRESS_LINE_MAX];
    if (view->mode == PROGRESS_QUIET || now < view->next_seconds)
        return;
    if (view->mode == PROGRESS_JSON) {
        struct json j = {.out = view->out};
        view->next_seconds = now + JSON_STEP_SECONDS;
        json_begin(&j, NULL, '{');
        json_string(&j, "event", "progress");
        progress_json(&j, p);
        json_end(&j, '}');
        json_line(&j);
    } else if (view->mode == PROGRESS_LINES) {
        bool is_first = view->next_seconds == 0;
        view->next_seconds = now + LINES_STEP_SECONDS;
        if (is_first)
            return; /* the job has only begun, and may be over soon */
        progress_line(line, sizeof(line), p, 0);
        fprintf(view->out, "%s\n", line + strspn(line, " "));
        fflush(view->out);
    } else {
        view->next_seconds = now + TERMINAL_STEP_SECONDS;
        int length = progress_line(line, sizeof(line), p, progress_columns(view->out));
        line_home(view);
        fputs(line, view->out);
        fflush(view->out);
        view->columns_drawn = length;
    }
}

void progress_warning(struct progress_view *view, const char *text)
{
    if (view->mode == PROGRESS_QUIET)
        return;
    if (view->mode == PROGRESS_JSON) {
        struct json j = {.out = view->out};
        json_begin(&j, NULL, '{');
        json_string(&j, "event", "warning");
        json_string(&j, "text", text);
        json_end(&j, '}');
        json_line(&j);
        return;
    }
    progress_clear(view);
    text_error("warning: ", text);
}

static char *psnr_text(char *buffer, size_t size, double db)
{
    if (!(db > 0))
        snprintf(buffer, size, "-");
    else if (db >= PSNR_IDENTICAL_DB)
        snprintf(buffer, size, "identical");
    else
        snprintf(buffer, size, "%.2f dB", db);
    return buffer;
}

void progress_table(FILE *out, const struct rgpu_progress *p)
{
    char bytes[32], bitrate[32], psnr[32], picture[32], time[32];
    bool has_psnr = false;
    int name_columns = 9;
    for (int i = 0; i < p->rungs_count && i < RGPU_RUNGS_MAX; i++) {
        has_psnr |= p->rungs[i].psnr_y > 0;
        if ((int)strlen(p->rungs[i].name) > name_columns)
            name_columns = (int)strlen(p->rungs[i].name);
    }
    fprintf(out, "%-*s  %-9s  %9s  %10s  %7s%s  %6s  %s\n", name_columns, "Rendition", "Picture",
            "Size", "Bit rate", "Frames", has_psnr ? "       PSNR" : "", "Speed", "File");
    for (int i = 0; i < p->rungs_count && i < RGPU_RUNGS_MAX; i++) {
        const struct rgpu_rung_progress *r = &p->rungs[i];
        snprintf(picture, sizeof(picture), "%dx%d", r->width, r->height);
        fprintf(out, "%-*s  %-9s  %9s  %10s  %7lld", name_columns, r->name, picture,
                text_bytes(bytes, sizeof(bytes), r->bytes),
                text_bitrate(bitrate, sizeof(bitrate), r->bitrate_kbps), (long long)r->frames);
        if (has_psnr)
            fprintf(out, "  %9s", psnr_text(psnr, sizeof(psnr), r->psnr_y));
        fprintf(out, "  %5.*fx  ", 1 + (p->speed < 9.95), p->speed);
        text_print(out, r->output);
        fputc('\n', out);
    }
    if (p->master[0]) {
        fputs("Master playlist: ", out);
        text_print(out, p->master);
        fputc('\n', out);
    }
    fprintf(out, "%lld frames (%s) in %.1f s%s%s: %.1f frames/s, %.2fx real time, %s",
            (long long)p->frames, text_time(time, sizeof(time), p->position_seconds),
            p->elapsed_seconds, p->device[0] ? " on " : "", p->device, p->frames_per_second,
            p->speed, text_bytes(bytes, sizeof(bytes), p->bytes));
    if (p->damaged > 0)
        fprintf(out, ", %lld damaged in the source", (long long)p->damaged);
    fputc('\n', out);
}

void progress_summary_json(FILE *out, const struct rgpu_progress *p, int error, const char *message,
                           int status, const char *(*warning)(void *opaque, int i), void *opaque)
{
    struct json j = {.out = out};
    const char *text = NULL;
    json_begin(&j, NULL, '{');
    json_string(&j, "event", "summary");
    json_bool(&j, "ok", error == RGPU_ERROR_OK);
    json_string(&j, "error", rgpu_error_name(error));
    json_string(&j, "message", message);
    json_int(&j, "exit_code", status);
    progress_json(&j, p);
    json_begin(&j, "warnings", '[');
    for (int i = 0; (text = warning(opaque, i)) != NULL; i++)
        json_string(&j, NULL, text);
    json_end(&j, ']');
    json_end(&j, '}');
    json_line(&j);
}
