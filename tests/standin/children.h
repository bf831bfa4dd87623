/* Runs functions in processes of their own, which end as a test over the stand-ins would, and looks
 * at how they ended.
 *
 * Threads: none may run when children_run is called. Memory: static. */
#ifndef STANDIN_CHILDREN_H
#define STANDIN_CHILDREN_H

#include <stddef.h>

#include <ffnvcodec/dynlink_cuda.h>

struct child {
    const char *name;
    void (*run)(void);
    const char *violation; /* part of the text that must be seen; NULL: the process must end well */
    const char *settings;  /* "A=1 B=2": without STANDIN_; NULL: none */
    int signal;            /* that must end it; 0: none */
    int violations;        /* how many; 0: one, so that the text leads to the cause */
};

/* Runs each as a test of its own; gives the number that failed. */
int children_run(const struct child *children, size_t count);

/* For cuStreamAddCallback: what is queued behind it waits until a rule has been broken. */
void hold_until_violation(CUstream stream, CUresult result, void *unused);

/* In a child: ends it with a message where `what` is not so. */
#define CHECK(what) ((what) ? (void)0 : check_failed(#what, __FILE__, __LINE__))
_Noreturn void check_failed(const char *what, const char *file, int line);

#endif
