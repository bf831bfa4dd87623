#include "support/driver_faults.h"

#include <dlfcn.h>

static struct {
    long (*calls)(const char *name);
    void (*fail)(const char *name, long nth, int code);
    void (*kill)(int device);
    unsigned (*violations)(void);
} standin;

bool driver_faults_bind(void)
{
    void *lib = dlopen("libstandin.so", RTLD_LAZY | RTLD_NOLOAD);
    if (!lib)
        return false;
    *(void **)(void *)&standin.calls = dlsym(lib, "standin_calls");
    *(void **)(void *)&standin.fail = dlsym(lib, "standin_fail");
    *(void **)(void *)&standin.kill = dlsym(lib, "standin_kill");
    *(void **)(void *)&standin.violations = dlsym(lib, "standin_violations");
    return standin.calls && standin.fail && standin.kill && standin.violations;
}

long driver_calls(const char *name)
{
    return standin.calls ? standin.calls(name) : 0;
}

void driver_fail(const char *name, long nth, int code)
{
    if (standin.fail)
        standin.fail(name, nth, code);
}

void driver_kill(int device)
{
    if (standin.kill)
        standin.kill(device);
}

unsigned driver_violations(void)
{
    return standin.violations ? standin.violations() : 0;
}
