#include "gpu/driver.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

#include "gpu/symbols.h"

#define CUDA_LIBRARY "libcuda.so.1"
#define CUVID_LIBRARY "libnvcuvid.so.1"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Written once, by load(). */
static struct gpu_driver the_driver;
static struct error driver_missing; /* code 0: it is there */
static struct error video_missing;
static pthread_once_t loaded = PTHREAD_ONCE_INIT;

static const struct symbol cuda_symbols[] = {
    {"cuDriverGetVersion", offsetof(struct gpu_driver, cuDriverGetVersion)},
    {"cuDeviceTotalMem_v2", offsetof(struct gpu_driver, cuDeviceTotalMem)},
    {"cuDeviceGetPCIBusId", offsetof(struct gpu_driver, cuDeviceGetPCIBusId)},
    {"cuMemGetInfo_v2", offsetof(struct gpu_driver, cuMemGetInfo)},
    {"cuMemHostAlloc", offsetof(struct gpu_driver, cuMemHostAlloc)},
    {"cuMemFreeHost", offsetof(struct gpu_driver, cuMemFreeHost)},
    {"cuStreamWaitEvent", offsetof(struct gpu_driver, cuStreamWaitEvent)},
    {"cuEventElapsedTime", offsetof(struct gpu_driver, cuEventElapsedTime)},
    {"cuModuleLoadDataEx", offsetof(struct gpu_driver, cuModuleLoadDataEx)},
};

/* ---- results --------------------------------------------------------------------------------- */

struct result {
    int value;
    int code; /* RGPU_ERROR_* */
    const char *name;
    const char *text; /* what it is and, behind a semicolon, the remedy */
};

#define CONTEXT_LOST "; the device's context is lost: what uses it must be closed and opened again"

static const struct result results[] = {
    {1, RGPU_ERROR_DEVICE, "CUDA_ERROR_INVALID_VALUE", "the driver refuses an argument"},
    {2, RGPU_ERROR_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY",
     "the GPU's memory is used up; run fewer jobs at a time, or end what else uses the GPU"},
    {3, RGPU_ERROR_DEVICE, "CUDA_ERROR_NOT_INITIALIZED", "the driver is not initialised"},
    {4, RGPU_ERROR_DEVICE, "CUDA_ERROR_DEINITIALIZED", "the driver is shutting down"},
    {34, RGPU_ERROR_DEVICE, "CUDA_ERROR_STUB_LIBRARY",
     CUDA_LIBRARY " is the toolkit's stub, not a driver; take its folder out of LD_LIBRARY_PATH"},
    {46, RGPU_ERROR_DEVICE, "CUDA_ERROR_DEVICE_UNAVAILABLE",
     "the GPU is busy or closed to this process; end the process that has it for itself, or allow "
     "several with `nvidia-smi -c DEFAULT`"},
    {100, RGPU_ERROR_DEVICE, "CUDA_ERROR_NO_DEVICE",
     "the driver finds no GPU; see that `nvidia-smi` lists one, that CUDA_VISIBLE_DEVICES does not "
     "hide it, and that a container was started with --gpus all"},
    {101, RGPU_ERROR_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "there is no such device"},
    {200, RGPU_ERROR_DEVICE, "CUDA_ERROR_INVALID_IMAGE", "the kernels are not valid"},
    {201, RGPU_ERROR_DEVICE, "CUDA_ERROR_INVALID_CONTEXT", "the thread has no context"},
    {205, RGPU_ERROR_DEVICE, "CUDA_ERROR_MAP_FAILED", "the memory cannot be mapped"},
    {209, RGPU_ERROR_DEVICE, "CUDA_ERROR_NO_BINARY_FOR_GPU", "the kernels do not fit this GPU"},
    {214, RGPU_ERROR_DEVICE, "CUDA_ERROR_ECC_UNCORRECTABLE",
     "the GPU's memory has an error that ECC cannot correct; reset the GPU (`nvidia-smi -r`), and "
     "replace it if that comes again"},
    {218, RGPU_ERROR_DEVICE, "CUDA_ERROR_INVALID_PTX", "the driver cannot compile the kernels"},
    {220, RGPU_ERROR_DEVICE, "CUDA_ERROR_NVLINK_UNCORRECTABLE",
     "an NVLink error was found; reset the GPUs (`nvidia-smi -r`)"},
    {221, RGPU_ERROR_DEVICE, "CUDA_ERROR_JIT_COMPILER_NOT_FOUND",
     "libnvidia-ptxjitcompiler.so.1 is missing, which belongs to the driver; install the whole "
     "driver, or start the container with NVIDIA's runtime"},
    {222, RGPU_ERROR_DEVICE, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
     "the driver is too old for the kernels; install a newer one"},
    {304, RGPU_ERROR_DEVICE, "CUDA_ERROR_OPERATING_SYSTEM",
     "the system refuses the driver something; see that this user may open /dev/nvidia*, that the "
     "kernel module nvidia_uvm is loaded, and that limits on memory and files leave room"},
    {400, RGPU_ERROR_DEVICE, "CUDA_ERROR_INVALID_HANDLE", "the driver does not know the object"},
    {500, RGPU_ERROR_DEVICE, "CUDA_ERROR_NOT_FOUND", "there is none of that name"},
    {600, RGPU_ERROR_DEVICE, "CUDA_ERROR_NOT_READY", "it is not done yet"},
    {700, RGPU_ERROR_DEVICE, "CUDA_ERROR_ILLEGAL_ADDRESS",
     "a kernel used memory that is not its own" CONTEXT_LOST},
    {701, RGPU_ERROR_DEVICE, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
     "the kernel needs more than this GPU has"},
    {702, RGPU_ERROR_DEVICE, "CUDA_ERROR_LAUNCH_TIMEOUT", "a kernel took too long" CONTEXT_LOST},
    {709, RGPU_ERROR_DEVICE, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "the context is gone"},
    {710, RGPU_ERROR_DEVICE, "CUDA_ERROR_ASSERT", "a kernel found itself wrong" CONTEXT_LOST},
    {714, RGPU_ERROR_DEVICE, "CUDA_ERROR_HARDWARE_STACK_ERROR",
     "a kernel's stack is broken" CONTEXT_LOST},
    {715, RGPU_ERROR_DEVICE, "CUDA_ERROR_ILLEGAL_INSTRUCTION",
     "a kernel has an illegal instruction" CONTEXT_LOST},
    {716, RGPU_ERROR_DEVICE, "CUDA_ERROR_MISALIGNED_ADDRESS",
     "a kernel used an address that is not aligned" CONTEXT_LOST},
    {717, RGPU_ERROR_DEVICE, "CUDA_ERROR_INVALID_ADDRESS_SPACE",
     "a kernel used memory of the wrong kind" CONTEXT_LOST},
    {718, RGPU_ERROR_DEVICE, "CUDA_ERROR_INVALID_PC", "a kernel went astray" CONTEXT_LOST},
    {719, RGPU_ERROR_DEVICE, "CUDA_ERROR_LAUNCH_FAILED", "a kernel failed" CONTEXT_LOST},
    {800, RGPU_ERROR_DEVICE, "CUDA_ERROR_NOT_PERMITTED", "the driver does not permit it"},
    {801, RGPU_ERROR_DEVICE, "CUDA_ERROR_NOT_SUPPORTED", "this GPU or its driver cannot do it"},
    {802, RGPU_ERROR_DEVICE, "CUDA_ERROR_SYSTEM_NOT_READY",
     "the machine's GPUs are not ready; see that NVIDIA's services run (nvidia-fabricmanager where "
     "there is NVSwitch) and try again"},
    {803, RGPU_ERROR_DEVICE, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
     CUDA_LIBRARY " and the kernel's NVIDIA module are of different versions; restart the machine "
                  "after an update of the driver; a container must use the host's libraries"},
    {804, RGPU_ERROR_DEVICE, "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE",
     "CUDA's compatibility package does not work with this GPU; take it out of LD_LIBRARY_PATH, or "
     "install a newer driver"},
    {805, RGPU_ERROR_DEVICE, "CUDA_ERROR_MPS_CONNECTION_FAILED",
     "the MPS server does not answer; start it again, or stop using it"},
    {807, RGPU_ERROR_DEVICE, "CUDA_ERROR_MPS_SERVER_NOT_READY",
     "the MPS server is not ready; try again"},
    {808, RGPU_ERROR_DEVICE, "CUDA_ERROR_MPS_MAX_CLIENTS_REACHED",
     "the MPS server has as many clients as it takes; run fewer processes"},
    {809, RGPU_ERROR_DEVICE, "CUDA_ERROR_MPS_MAX_CONNECTIONS_REACHED",
     "the MPS server has as many connections as it takes; run fewer processes"},
    {999, RGPU_ERROR_DEVICE, "CUDA_ERROR_UNKNOWN",
     "the driver does not say why; see the kernel's log for Xid lines; after a suspend, load the "
     "kernel module nvidia_uvm again"},
};

int gpu_error(struct error *err, CUresult result, const char *what)
{
    const int value = (int)result;
    for (size_t i = 0; i < COUNT_OF(results); i++) {
        const struct result *r = &results[i];
        if (r->value == value)
            return error_set(err, r->code, "%s: %s (%s, %d)", what, r->text, r->name, value);
    }
    /* Newer than this list: the driver may know it. */
    const CudaFunctions *cuda = the_driver.cuda;
    const char *name = NULL, *text = NULL;
    if (!cuda || cuda->cuGetErrorName(result, &name) != CUDA_SUCCESS || !name)
        name = "an unknown error";
    if (!cuda || cuda->cuGetErrorString(result, &text) != CUDA_SUCCESS || !text)
        text = "the driver failed";
    return error_set(err, RGPU_ERROR_DEVICE, "%s: %s (%s, %d)", what, text, name, value);
}

/* ---- loading --------------------------------------------------------------------------------- */

static int too_old(int version, const char *symbol)
{
    char has[64] = "";
    if (version > 0)
        snprintf(has, sizeof(has), " that speaks CUDA %d.%d", version / 1000, version % 1000 / 10);
    return error_set(
        &driver_missing, RGPU_ERROR_DEVICE,
        "NVIDIA's driver%s is too old%s%s; install one for CUDA %d.%d or later (450.80 "
        "or later)",
        has, symbol ? ": it lacks " : "", symbol ? symbol : "", GPU_DRIVER_VERSION_MIN / 1000,
        GPU_DRIVER_VERSION_MIN % 1000 / 10);
}

static void load_video(struct gpu_driver *driver)
{
    /* Kept open, as are all: what a driver has started does not stand being unloaded. */
    if (!dlopen(CUVID_LIBRARY, RTLD_LAZY)) {
        error_set(&video_missing, RGPU_ERROR_DEVICE,
                  "the decoding library is missing (%s); in a container set "
                  "NVIDIA_DRIVER_CAPABILITIES=compute,video,utility, else install libnvcuvid1 "
                  "(Ubuntu: libnvidia-decode-NNN)",
                  symbols_why_none(CUVID_LIBRARY));
    } else if (cuvid_load_functions(&driver->cuvid, NULL) != 0) {
        error_set(&video_missing, RGPU_ERROR_DEVICE,
                  CUVID_LIBRARY " lacks functions that decoding needs; install a newer driver");
    }
}

static int load_cuda(struct gpu_driver *driver)
{
    void *library = dlopen(CUDA_LIBRARY, RTLD_LAZY);
    if (!library)
        return error_set(&driver_missing, RGPU_ERROR_DEVICE,
                         "there is no NVIDIA driver (%s); install NVIDIA's driver; in a container "
                         "start it with the NVIDIA runtime (--gpus all)",
                         symbols_why_none(CUDA_LIBRARY));
    const char *missing = symbols_load(library, cuda_symbols, COUNT_OF(cuda_symbols), &the_driver);
    if (driver->cuDriverGetVersion && driver->cuDriverGetVersion(&driver->version) != CUDA_SUCCESS)
        driver->version = 0;
    if (missing || (driver->version > 0 && driver->version < GPU_DRIVER_VERSION_MIN))
        return too_old(driver->version, missing);
    if (cuda_load_functions(&driver->cuda, NULL) != 0)
        return too_old(driver->version, "functions of CUDA");
    return 0;
}

static void load(void)
{
    struct gpu_driver *driver = &the_driver;
    if (load_cuda(driver) != 0)
        return;
    int count = 0;
    CUresult result = driver->cuda->cuInit(0);
    if (result == CUDA_SUCCESS)
        result = driver->cuda->cuDeviceGetCount(&count);
    if (result == CUDA_SUCCESS && count == 0)
        result = (CUresult)100; /* some drivers say it in this way */
    if (result != CUDA_SUCCESS) {
        gpu_error(&driver_missing, result, "NVIDIA's driver does not start");
        /* Out of memory here is none of the caller's either. */
        driver_missing.code = RGPU_ERROR_DEVICE;
        return;
    }
    load_video(driver);
}

int gpu_driver(const struct gpu_driver **ret, struct error *err)
{
    pthread_once(&loaded, load);
    if (driver_missing.code != 0)
        return error_set(err, driver_missing.code, "%s", driver_missing.text);
    *ret = &the_driver;
    return 0;
}

int gpu_driver_video(const struct gpu_driver *driver, struct error *err)
{
    if (driver->cuvid)
        return 0;
    return error_set(err, video_missing.code, "%s", video_missing.text);
}
