#include <rgpu/version.h>

#define TEXT(x) #x
#define VERSION(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

const char *rgpu_version(void)
{
    return VERSION(RGPU_VERSION_MAJOR, RGPU_VERSION_MINOR, RGPU_VERSION_PATCH);
}
