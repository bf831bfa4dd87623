/* The stand-in of NVIDIA's driver where it is the driver; a real one neither counts nor fails on
 * order.
 *
 * Threads: any, after driver_faults_bind. Memory: static. */
#ifndef SUPPORT_DRIVER_FAULTS_H
#define SUPPORT_DRIVER_FAULTS_H

#include <stdbool.h>

/* Finds the stand-in, once the driver is loaded. False: it is a real one. */
bool driver_faults_bind(void);

/* As standin.h has them; calls of a real driver are 0, and it neither fails nor dies. */
long driver_calls(const char *name);
void driver_fail(const char *name, long nth, int code);
void driver_kill(int device);
unsigned driver_violations(void);

#endif
