/* Ctrl-C and its kin: the first signal asks to stop, the second ends the process at once.
 *
 * Threads: handlers touch atomics only; stop_signal may be called from any thread. */
#ifndef APPS_STOP_H
#define APPS_STOP_H

/* Catches SIGINT, SIGTERM and SIGHUP, but leaves one that was ignored before (nohup) ignored, and
 * ignores SIGPIPE: a reader that goes away must not stop a job. */
void stop_install(void);

/* The signal that asked to stop; 0 for none. */
int stop_signal(void);

#endif
