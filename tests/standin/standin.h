/* What a test may ask of the stand-ins of NVIDIA's driver, and do to them, besides the settings in
 * README.md. Link the test with libstandin; it is the library that the stand-ins share.
 *
 * Threads: any. Memory: static. */
#ifndef STANDIN_H
#define STANDIN_H

#pragma GCC visibility push(default)

/* Rules broken so far, and the text of the first ("" where there is none). A process that ends by
 * exit() with any, or with something left open, ends with STANDIN_EXIT. */
#define STANDIN_EXIT 99
unsigned standin_violations(void);
const char *standin_violation_text(void);

/* Calls of an entry point so far, or of all together (NULL). */
long standin_calls(const char *name);

/* The `nth` call from now (1: the next) of this entry point (NULL: of any) gives `code`. Calls that
 * free something do it all the same, as the driver does when it reports an older error. Up to 32
 * such orders at a time. */
void standin_fail(const char *name, long nth, int code);

/* The device is lost: nothing queued is done any more, every call gives an error. */
void standin_kill(int device);

#pragma GCC visibility pop

#endif
