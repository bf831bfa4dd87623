/* Ctrl-C and its kin: the first signal asks to stop, a second one ends the process at once, unless
 * it comes within half a second.
 *
 * Threads: stop_install is called before there is a second one, and starts one that lives as long
 * as the process; stop_signal may be called from any. */
#ifndef APPS_STOP_H
#define APPS_STOP_H

/* Watches for SIGINT, SIGTERM and SIGHUP, but leaves one that was ignored before (nohup) ignored,
 * and ignores SIGPIPE: a reader that goes away must not stop a job. */
void stop_install(void);

/* For a verb that has nothing to clean up: from here on the first signal says "stopped" and ends
 * the process at once. */
void stop_at_once(void);

/* The signal that asked to stop; 0 for none. */
int stop_signal(void);

#endif
