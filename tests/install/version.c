/* Outside of the tree: prints the version, if header and library agree. C and C++. */
#include <stdio.h>
#include <string.h>

#include <rgpu/device.h>
#include <rgpu/probe.h>
#include <rgpu/stream.h>
#include <rgpu/version.h>

int main(void)
{
    char expected[32];
    snprintf(expected, sizeof(expected), "%d.%d.%d", RGPU_VERSION_MAJOR, RGPU_VERSION_MINOR,
             RGPU_VERSION_PATCH);
    if (strcmp(expected, rgpu_version()) != 0 || !rgpu_preset_find("720p"))
        return 1;
    printf("%s\n", rgpu_version());
    return 0;
}
