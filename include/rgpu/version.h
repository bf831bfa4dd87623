/* Version of the library. */
#ifndef RGPU_VERSION_H
#define RGPU_VERSION_H

#include <rgpu/error.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RGPU_VERSION_MAJOR 0
#define RGPU_VERSION_MINOR 1
#define RGPU_VERSION_PATCH 0

/* Version that the program runs with, for example "0.1.0". Static string, any thread. */
RGPU_API const char *rgpu_version(void);

#ifdef __cplusplus
}
#endif
#endif
