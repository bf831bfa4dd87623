#include "children.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "standin.h"

#define CHILDREN_MAX 128
#define OUTPUT_MAX 16384
#define SECONDS_MAX 120 /* after which a child hangs */

void check_failed(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
    exit(1);
}

void hold_until_violation(CUstream stream, CUresult result, void *unused)
{
    (void)stream;
    (void)result;
    (void)unused;
    while (standin_violations() == 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void settings_take(const char *settings)
{
    char text[512];
    snprintf(text, sizeof(text), "%s", settings);
    char *rest = text;
    for (char *item; (item = strsep(&rest, " "));) {
        const char *name = strsep(&item, "=");
        char full[64];
        snprintf(full, sizeof(full), "STANDIN_%s", name);
        setenv(full, item, 1);
    }
}

static _Noreturn void live(const struct child *child, int output)
{
    dup2(output, STDERR_FILENO);
    alarm(SECONDS_MAX);
    if (child->signal) {
        /* As it is meant to: a sanitizer's handler would make an exit of it. */
        const struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(child->signal, SIG_DFL);
    }
    if (child->settings)
        settings_take(child->settings);
    child->run();
    exit(0);
}

static void read_all(int fd, char *ret, size_t size)
{
    size_t used = 0;
    ssize_t n;
    while (used < size - 1 && (n = read(fd, ret + used, size - 1 - used)) > 0)
        used += (size_t)n;
    ret[used] = '\0';
}

static void child_test(void **state)
{
    const struct child *child = *state;
    static char output[OUTPUT_MAX];
    int pipes[2], status = 0;
    assert_int_equal(pipe(pipes), 0);
    fflush(NULL);
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        live(child, pipes[1]);
    close(pipes[1]);
    read_all(pipes[0], output, sizeof(output));
    close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    const int wanted = child->violation ? STANDIN_EXIT : 0;
    const bool ended = child->signal ? WIFSIGNALED(status) && WTERMSIG(status) == child->signal
                                     : WIFEXITED(status) && WEXITSTATUS(status) == wanted;
    const bool said = !child->violation || strstr(output, child->violation);
    char count[64];
    snprintf(count, sizeof(count), "standin: %d violation",
             child->violations ? child->violations : 1);
    const bool once = !child->violation || strstr(output, count);
    if (!ended || !said || !once)
        print_error("status %#x, wanted \"%s\", said:\n%s\n", (unsigned)status,
                    child->violation ? child->violation : "", output);
    assert_true(ended && said && once);
}

int children_run(const struct child *children, size_t count)
{
    static struct CMUnitTest tests[CHILDREN_MAX];
    for (size_t i = 0; i < count && i < CHILDREN_MAX; i++)
        tests[i] = (struct CMUnitTest){children[i].name, child_test, NULL, NULL,
                                       (void *)(uintptr_t)&children[i]};
    /* Empty places are passed over. */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
