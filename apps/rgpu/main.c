/* rgpu: the command. Finds the verb, reads its options, runs it. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rgpu/error.h>
#include <rgpu/version.h>

#include "complete.h"
#include "log.h"
#include "status.h"
#include "stop.h"
#include "text.h"
#include "verbs.h"

static int verb_run(const struct verb *verb, int argc, char *const *argv)
{
    const char *operands[OPTIONS_OPERANDS_MAX] = {NULL};
    struct complaint c;
    void *settings = calloc(1, verb->settings_size + 1);
    if (!settings)
        return verb_failed(RGPU_ERROR_MEMORY, "");
    if (verb->defaults)
        verb->defaults(settings);
    int status = options_parse(verb, argc, argv, settings, operands, &c);
    if (status == OPTIONS_WANT_HELP) {
        options_help(verb, stdout);
        status = STATUS_OK;
    } else if (status) {
        text_error("rgpu: ", c.text);
    } else {
        status = verb->run(settings, operands);
    }
    free(settings);
    return status;
}

/* Closed standard streams would be taken by the next file that is opened, and printed into. */
static void standard_streams_open(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", O_RDWR) != fd)
            _exit(STATUS_INTERNAL);
    }
}

/* What was printed must have arrived; a reader that left early (`| head`) is no error. */
static int standard_output_close(int status)
{
    struct pollfd output = {.fd = STDOUT_FILENO, .events = POLLOUT};
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    const char *reason = strerror(errno ? errno : EIO);
    bool reader_left = poll(&output, 1, 0) == 1 && output.revents & POLLERR;
    if (reader_left || status != STATUS_OK)
        return status;
    text_error("rgpu: cannot write to standard output: ", reason);
    return STATUS_OUTPUT;
}

int main(int argc, char **argv)
{
    int status = STATUS_OK;
    standard_streams_open();
    /* SVT-AV1 tells about itself on standard error otherwise; 1 leaves its errors. */
    setenv("SVT_LOG", "1", 0);
    stop_install();
    log_show(false);
    if (argc < 2) {
        verbs_usage(stderr);
        return STATUS_USAGE;
    }
    const char *name = argv[1];
    if (!strcmp(name, "--version") || !strcmp(name, "-V")) {
        printf("rgpu %s\n", rgpu_version());
    } else if (!strcmp(name, "--help") || !strcmp(name, "-h")) {
        status = help_run(NULL, (const char *const[]){NULL});
    } else if (!strcmp(name, COMPLETE_VERB)) {
        complete_print(stdout, argc - 2, argv + 2);
    } else {
        const struct verb *verb = verb_find(name);
        status = verb ? verb_run(verb, argc - 2, argv + 2) : verb_unknown(name);
    }
    return standard_output_close(status);
}
