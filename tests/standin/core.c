/* Settings, violations, failures on order, and the reckoning at the end of the process.
 *
 * Threads: any; `count_mutex` protects violations and orders, and may be taken with standin_mutex
 * held, not the other way round. */
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core.h"

#define TEXT_MAX 256
#define NAMES_MAX 256
#define ORDERS_MAX 32
#define SHOWN_MAX 20 /* violations that are printed */

struct order {
    const char *name; /* NULL: any */
    long at;          /* count of calls at which it comes */
    bool onwards;
    int code;
};

struct counter {
    const char *name; /* "" at the end */
    long calls;
};

static pthread_mutex_t count_mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned violations;
static char first_text[TEXT_MAX];
static struct counter counters[NAMES_MAX];
static long calls_total;
static struct order orders[ORDERS_MAX];
static int orders_count;
static bool orders_read;

/* ---- settings ------------------------------------------------------------------------------- */

const char *standin_setting_text(const char *name, const char *fallback)
{
    char full[64];
    snprintf(full, sizeof(full), "STANDIN_%s", name);
    const char *text = getenv(full);
    return text ? text : fallback;
}

long standin_setting_at(const char *name, int n, long fallback)
{
    const char *text = standin_setting_text(name, NULL);
    if (!text || !*text)
        return fallback;
    for (const char *comma; n > 0 && (comma = strchr(text, ',')); n--)
        text = comma + 1;
    return strtol(text, NULL, 0);
}

long standin_setting(const char *name, long fallback)
{
    return standin_setting_at(name, 0, fallback);
}

/* ---- violations ----------------------------------------------------------------------------- */

void standin_violation(const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    pthread_mutex_lock(&count_mutex);
    if (violations++ == 0)
        memcpy(first_text, text, sizeof(text));
    const unsigned number = violations;
    pthread_mutex_unlock(&count_mutex);
    /* At once, since what comes of it may be a crash. */
    if (number <= SHOWN_MAX)
        fprintf(stderr, "standin: violation %u: %s\n", number, text);
}

unsigned standin_violations(void)
{
    pthread_mutex_lock(&count_mutex);
    const unsigned count = violations;
    pthread_mutex_unlock(&count_mutex);
    return count;
}

const char *standin_violation_text(void)
{
    return standin_violations() > 0 ? first_text : "";
}

/* ---- failures on order ---------------------------------------------------------------------- */

/* NULL: the table is full, which more entry points than there are would take. */
static struct counter *counter_locked(const char *name)
{
    for (size_t i = 0; i < NAMES_MAX; i++) {
        if (!counters[i].name)
            counters[i].name = name;
        if (strcmp(counters[i].name, name) == 0)
            return &counters[i];
    }
    return NULL;
}

static void order_locked(const char *name, long at, bool onwards, int code)
{
    if (orders_count < ORDERS_MAX)
        orders[orders_count++] = (struct order){name, at, onwards, code};
}

/* NAME:NTH[+][:CODE],... with * for any name. */
static void orders_read_locked(void)
{
    orders_read = true;
    static char names[1024];
    snprintf(names, sizeof(names), "%s", standin_setting_text("FAIL", ""));
    char *rest = names;
    for (char *item; (item = strsep(&rest, ",")) && *item;) {
        const char *name = strsep(&item, ":");
        const char *nth = strsep(&item, ":");
        if (!nth)
            continue;
        const int code = item ? atoi(item) : strstr(name, "Alloc") ? 2 : 999;
        order_locked(strcmp(name, "*") == 0 ? NULL : name, atol(nth), strchr(nth, '+'), code);
    }
}

int standin_ordered(const char *name)
{
    pthread_mutex_lock(&count_mutex);
    if (!orders_read)
        orders_read_locked();
    struct counter *counter = counter_locked(name);
    const long calls = counter ? ++counter->calls : 0;
    calls_total++;
    int code = 0;
    for (int i = 0; i < orders_count && code == 0; i++) {
        const struct order *order = &orders[i];
        if (order->name && strcmp(order->name, name) != 0)
            continue;
        const long now = order->name ? calls : calls_total;
        if (now == order->at || (order->onwards && now > order->at))
            code = order->code;
    }
    pthread_mutex_unlock(&count_mutex);
    return code;
}

static long calls_locked(const char *name)
{
    const struct counter *counter = name ? counter_locked(name) : NULL;
    return !name ? calls_total : counter ? counter->calls : 0;
}

long standin_calls(const char *name)
{
    pthread_mutex_lock(&count_mutex);
    const long calls = calls_locked(name);
    pthread_mutex_unlock(&count_mutex);
    return calls;
}

void standin_fail(const char *name, long nth, int code)
{
    pthread_mutex_lock(&count_mutex);
    if (!orders_read)
        orders_read_locked();
    /* Orders that have passed make room. */
    int kept = 0;
    for (int i = 0; i < orders_count; i++) {
        if (orders[i].onwards || orders[i].at > calls_locked(orders[i].name))
            orders[kept++] = orders[i];
    }
    orders_count = kept;
    order_locked(name, calls_locked(name) + nth, false, code);
    pthread_mutex_unlock(&count_mutex);
}

/* ---- entry ---------------------------------------------------------------------------------- */

_Thread_local bool standin_on_stream;
static _Atomic pid_t owner; /* the process that called cuInit */

bool standin_begin(const char *name, enum standin_needs needs, CUresult *ret)
{
    *ret = (CUresult)standin_ordered(name);
    if (strcmp(name, "cuInit") == 0)
        atomic_store(&owner, getpid());
    if (needs == NEEDS_NOTHING)
        return true;
    const pid_t pid = atomic_load(&owner);
    if (pid != getpid()) {
        standin_violation("%s: %s", name,
                          pid == 0 ? "before cuInit" : "in a child of the process of cuInit");
        *ret = STANDIN_NOT_INITIALIZED;
        return false;
    }
    if (standin_on_stream) {
        standin_violation("%s: called from a stream's callback", name);
        *ret = STANDIN_NOT_PERMITTED;
        return false;
    }
    CUcontext context = standin_current();
    if (needs == NEEDS_CONTEXT && !context) {
        standin_violation("%s: no context is current", name);
        *ret = STANDIN_INVALID_CONTEXT;
        return false;
    }
    if (needs == NEEDS_CONTEXT && *ret == CUDA_SUCCESS) {
        pthread_mutex_lock(&standin_mutex);
        *ret = standin_death_locked(context);
        pthread_mutex_unlock(&standin_mutex);
    }
    return true;
}

__attribute__((destructor)) static void finish(void)
{
    if (atomic_load(&owner) == getpid() && standin_setting("LEAKS", 1)) {
        standin_streams_join();
        standin_stack_left();
        pthread_mutex_lock(&standin_mutex);
        standin_left_locked(NULL);
        pthread_mutex_unlock(&standin_mutex);
    }
    const unsigned count = standin_violations();
    if (count == 0)
        return;
    fprintf(stderr, "standin: %u violation%s\n", count, count == 1 ? "" : "s");
    fflush(NULL);
    _exit(STANDIN_EXIT);
}
