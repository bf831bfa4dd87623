/* Makes the Nth call of a kind fail, in the program that it is linked into. The kind "kill" counts
 * all calls that touch files, and packets that are read, and kills the process in front of the Nth,
 * having said on standard error of which kind it is.
 *
 * The linker's --wrap sends the calls of our own code here (meson.build names them); the calls that
 * libraries make among themselves are left alone.
 * With $RGPU_FAULT_PLAIN in the environment, the file system seems to know neither files without a
 * name nor the exchange of two names.
 * Threads: any may call; arm and count between runs. Memory: none. */
#ifndef TESTS_E2E_FAULT_H
#define TESTS_E2E_FAULT_H

/* X(kind): what can fail. */
#define FAULT_KINDS(X) X(memory) X(open) X(write) X(thread) X(library) X(read) X(kill)

enum fault_kind {
#define FAULT_ENUM(name) FAULT_##name,
    FAULT_KINDS(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_KINDS_COUNT
};

/* The `nth` call from now on (from 1) fails, once; 0: none. */
void fault_arm(enum fault_kind kind, long nth);

/* Calls since fault_arm. */
long fault_calls(void);

#endif
