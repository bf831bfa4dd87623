/* Runs the command again and again in children of this process, and lets the 1st, 2nd, 3rd ... call
 * of a kind fail, until a run has fewer calls than that.
 *
 *     rgpu_faulty KIND OUTPUT STEP WORDS...    "OUT" among the words becomes the output's path
 *     rgpu_faulty kill NTH WORDS...            one run, killed in front of the Nth call (0: never);
 *                                              prints how many there were
 *
 * Whatever fails, the command must end by itself, with a documented code; then either with one line
 * of error and nothing left in the folder, or with a whole output. Whole is one with the bytes of
 * an undisturbed run, or (a segment that was encoded again may differ) one that passes the shell
 * command $RGPU_FAULT_CHECK "OUTPUT". Leaks are LeakSanitizer's to find, where the program is built
 * with it. STEP thins the series: 5 tries every fifth call.
 *
 * Threads: none here. Memory: a run's error text up to ERROR_TEXT bytes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fault.h"

#define ERROR_TEXT 4096
#define WORDS_MAX 64
#define PATH_SIZE 512
#define FAILURES_SHOWN 10
#define STATUS_MAX 7 /* of the documented exit codes */

int rgpu_main(int argc, char **argv);

struct run {
    int status; /* exit code; 128 + number for a signal; -1: it hung */
    long calls;
    char error[ERROR_TEXT];
    int entries; /* in the output folder */
    uint64_t digest;
    bool is_whole; /* differs from `wanted`, and passed the check */
};

static char folder[PATH_SIZE], output[PATH_SIZE * 2];
static int argc_run;
static char *argv_run[WORDS_MAX + 1];
static long *calls_shared;
static int seconds_max = 60;

static int entry_remove(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type;
    return at->level == 0 ? 0 : remove(path);
}

static int digest_entries;
static uint64_t digest_value;

/* FNV-1a over the names and bytes below the folder, in the order of nftw: sums do not care. */
static int entry_digest(const char *path, const struct stat *st, int type, struct FTW *at)
{
    uint64_t digest = 1469598103934665603u;
    if (at->level == 0)
        return 0;
    digest_entries += at->level == 1;
    for (const char *c = path + strlen(folder); *c; c++)
        digest = (digest ^ (unsigned char)*c) * 1099511628211u;
    FILE *file = type == FTW_F && st->st_size > 0 ? fopen(path, "rb") : NULL;
    for (int c; file && (c = getc_unlocked(file)) != EOF;)
        digest = (digest ^ (unsigned)c) * 1099511628211u;
    if (file)
        fclose(file);
    digest_value += digest;
    return 0;
}

static void child_run(enum fault_kind kind, long nth, int error_fd)
{
    int null = open("/dev/null", O_RDWR);
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(error_fd, STDERR_FILENO);
    fault_arm(kind, nth);
    int status = rgpu_main(argc_run, argv_run);
    *calls_shared = fault_calls();
    fault_arm(kind, 0);
    exit(status);
}

static void sleep_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

/* Asks the check about an output that differs. */
static bool output_passes(void)
{
    char command[ERROR_TEXT];
    const char *check = getenv("RGPU_FAULT_CHECK");
    if (!check)
        return false;
    snprintf(command, sizeof(command), "%s '%s'", check, output);
    fflush(NULL);
    return system(command) == 0;
}

/* `wanted`: digest of the undisturbed output, 0: not known. */
static void run_once(struct run *ret, enum fault_kind kind, long nth, uint64_t wanted)
{
    int error_fd = memfd_create("stderr", 0), status = 0;
    time_t end = time(NULL) + seconds_max;
    memset(ret, 0, sizeof(*ret));
    *calls_shared = -1;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        child_run(kind, nth, error_fd);
    pid_t done = 0;
    for (int i = 0; child > 0 && (done = waitpid(child, &status, WNOHANG)) == 0; i++) {
        if (time(NULL) > end)
            break;
        sleep_ms(i < 50 ? 1 : 5);
    }
    if (done == 0) {
        kill(child, SIGKILL);
        waitpid(child, &status, 0);
        ret->status = -1;
    } else {
        ret->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    }
    ret->calls = *calls_shared;
    if (pread(error_fd, ret->error, ERROR_TEXT - 1, 0) < 0)
        snprintf(ret->error, ERROR_TEXT, "(unreadable)");
    close(error_fd);
    digest_entries = 0, digest_value = 0;
    nftw(folder, entry_digest, 16, FTW_PHYS);
    ret->entries = digest_entries;
    ret->digest = digest_value;
    if (wanted && ret->status == 0 && ret->entries && ret->digest != wanted)
        ret->is_whole = output_passes();
    nftw(folder, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
}

/* What is wrong with a run, or NULL. */
static const char *complaint(const struct run *run, const struct run *undisturbed)
{
    if (run->status == -1)
        return "hangs";
    if (run->status > STATUS_MAX)
        return "ended by a signal or a sanitizer";
    if (run->status == 0) {
        if (run->entries != undisturbed->entries)
            return "succeeded without its output";
        return run->digest == undisturbed->digest || run->is_whole
                   ? NULL
                   : "succeeded with an output that is not whole";
    }
    const char *line_end = strchr(run->error, '\n');
    if (strncmp(run->error, "rgpu: ", 6) != 0 || !line_end || line_end[1])
        return "failed without exactly one line of error";
    return run->entries ? "failed and left something" : NULL;
}

static int series(enum fault_kind kind, long step)
{
    struct run undisturbed, again, run;
    long tried = 0, failed = 0, survived = 0, differ = 0, wrong = 0, nth = 1;
    run_once(&undisturbed, kind, 0, 0);
    run_once(&again, kind, 0, undisturbed.digest);
    if (undisturbed.status || undisturbed.entries < 1) {
        printf("FAILED the undisturbed run ends with %d: %s\n", undisturbed.status,
               undisturbed.error);
        return 1;
    }
    if (again.digest != undisturbed.digest && !again.is_whole) {
        printf("FAILED the undisturbed output does not pass the check\n");
        return 1;
    }
    printf("%ld calls in an undisturbed run, output %s\n", undisturbed.calls,
           undisturbed.digest == again.digest ? "the same each time" : "differs each time");
    for (;; nth += step) {
        run_once(&run, kind, nth, undisturbed.digest);
        if (run.status == 0 && run.calls >= 0 && run.calls < nth)
            break;
        tried++;
        failed += run.status != 0;
        survived += run.status == 0;
        differ += run.is_whole;
        const char *why = complaint(&run, &undisturbed);
        if (!why)
            continue;
        if (++wrong <= FAILURES_SHOWN)
            printf("FAILED call %ld: %s (exit %d, %d entries left)\n%s\n", nth, why, run.status,
                   run.entries, run.error);
        fflush(stdout);
        if (wrong > 100)
            break;
    }
    printf("%ld calls failed in turn: %ld ended in an error, %ld did not matter (%ld gave another "
           "output, whole), %ld went wrong\n",
           tried, failed, survived, differ, wrong);
    return wrong != 0 || tried == 0;
}

static int kind_find(const char *name)
{
#define FAULT_NAME(kind) #kind,
    static const char *const names[] = {FAULT_KINDS(FAULT_NAME)};
#undef FAULT_NAME
    for (int i = 0; i < FAULT_KINDS_COUNT; i++) {
        if (!strcmp(name, names[i]))
            return i;
    }
    return -1;
}

/* argv[0] is any word. */
static int killed(long nth, int argc, char **argv)
{
    fault_arm(FAULT_kill, nth);
    int status = rgpu_main(argc, argv);
    long calls = fault_calls();
    fault_arm(FAULT_kill, 0);
    printf("%ld\n", calls);
    return status;
}

int main(int argc, char **argv)
{
    int kind = argc > 4 ? kind_find(argv[1]) : -1;
    long step = argc > 4 ? strtol(argv[3], NULL, 10) : 0;
    const char *patience = getenv("RGPU_FAULT_SECONDS"), *base = getenv("TMPDIR");
    if (argc > 3 && strcmp(argv[1], "kill") == 0)
        return killed(strtol(argv[2], NULL, 10), argc - 2, argv + 2);
    if (kind < 0 || step < 1 || argc - 4 > WORDS_MAX) {
        fprintf(stderr, "rgpu_faulty KIND OUTPUT STEP WORDS...\nrgpu_faulty kill NTH WORDS...\n");
        return 2;
    }
    if (patience)
        seconds_max = (int)strtol(patience, NULL, 10);
    snprintf(folder, sizeof(folder), "%.400s/faulty-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder)) {
        perror(folder);
        return 2;
    }
    snprintf(output, sizeof(output), "%s/%s", folder, argv[2]);
    calls_shared = mmap(NULL, sizeof(*calls_shared), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (calls_shared == MAP_FAILED) {
        perror("mmap");
        return 2;
    }
    argv_run[argc_run++] = argv[0];
    for (int i = 4; i < argc; i++)
        argv_run[argc_run++] = strcmp(argv[i], "OUT") == 0 ? output : argv[i];
    int wrong = series((enum fault_kind)kind, step);
    nftw(folder, entry_remove, 16, FTW_DEPTH | FTW_PHYS);
    rmdir(folder);
    return wrong;
}
