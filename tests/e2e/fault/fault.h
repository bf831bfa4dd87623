/* Makes the Nth call of a kind fail, in the program that it is linked into.
 *
 * The linker's --wrap sends the calls of our own code here (meson.build names them); the calls that
 * libraries make among themselves are left alone.
 * Threads: any may call; arm and count between runs. Memory: none. */
#ifndef TESTS_E2E_FAULT_H
#define TESTS_E2E_FAULT_H

/* X(kind): what can fail. */
#define FAULT_KINDS(X) X(memory) X(open) X(write) X(thread) X(library)

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
