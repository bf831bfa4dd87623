/* Ctrl-C and its kin: the first signal asks to stop, a second one ends the process at once, unless
 * it comes within half a second.
 *
 * Threads: handlers touch atomics only, and write to standard error; stop_signal may be called from
 * any thread. */
#ifndef APPS_STOP_H
#define APPS_STOP_H

/* Catches SIGINT, SIGTERM and SIGHUP, but leaves one that was ignored before (nohup) ignored, and
 * ignores SIGPIPE: a reader that goes away must not stop a job. */
void stop_install(void);

/* For a verb that has nothing to clean up: from here on the first signal says "stopped" and ends
 * the process at once. */
void stop_at_once(void);

/* The signal that asked to stop; 0 for none. */
int stop_signal(void);

#endif
