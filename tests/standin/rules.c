/* Each rule of libcuda's and libnvidia-ml's stand-ins, broken on purpose in a process of its own,
 * which must end with that violation and no other; and what they do where no rule is broken. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sys/wait.h>

#include <ffnvcodec/dynlink_loader.h>

#include "api.h"
#include "children.h"
#include "nvml.h"

#define PTX "// stand-in\n.version 7.0\n.visible .entry fill(\n)\n{\n}\n"
#define BYTES 1000 /* of a block: no multiple of what blocks are aligned to */
#define OK(call) CHECK((call) == CUDA_SUCCESS)

/* ---- what most rules need ------------------------------------------------------------------- */

static CUcontext context;
static CUstream stream;
static CUmodule module;
static CUfunction fill;
static CUdeviceptr block;

static void begin_context(void)
{
    OK(cuInit(0));
    OK(cuDevicePrimaryCtxRetain(&context, 0));
    OK(cuCtxPushCurrent_v2(context));
}

static void end_context(void)
{
    OK(cuCtxPopCurrent_v2(NULL));
    OK(cuDevicePrimaryCtxRelease_v2(0));
}

static void begin_stream(void)
{
    begin_context();
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
}

static void end_stream(void)
{
    OK(cuStreamSynchronize(stream));
    OK(cuStreamDestroy_v2(stream));
    end_context();
}

static void begin_all(void)
{
    begin_stream();
    OK(cuModuleLoadData(&module, PTX));
    OK(cuModuleGetFunction(&fill, module, "fill"));
    OK(cuMemAlloc_v2(&block, BYTES));
}

static void end_all(void)
{
    OK(cuMemFree_v2(block));
    OK(cuModuleUnload(module));
    end_stream();
}

static CUresult launch_fill(CUdeviceptr to, int count, uint8_t value, CUstream on)
{
    void *params[] = {&to, &count, &value};
    return cuLaunchKernel(fill, 8, 1, 1, 256, 1, 1, 0, on, params, NULL);
}

static void on_thread(void *(*run)(void *))
{
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, run, NULL) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
}

/* ---- contexts ------------------------------------------------------------------------------- */

static void before_init(void)
{
    CUdevice device;
    CHECK(cuDeviceGet(&device, 0) == STANDIN_NOT_INITIALIZED);
    OK(cuInit(0));
}

static void init_flags(void)
{
    OK(cuInit(1));
}

static void after_fork(void)
{
    OK(cuInit(0));
    const pid_t pid = fork();
    int status, count;
    if (pid == 0)
        exit(cuDeviceGetCount(&count) == STANDIN_NOT_INITIALIZED ? 0 : 1);
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == STANDIN_EXIT);
    OK(cuDeviceGetCount(&count));
    exit(WEXITSTATUS(status));
}

static void no_context(void)
{
    OK(cuInit(0));
    CHECK(cuMemAlloc_v2(&block, 1) == STANDIN_INVALID_CONTEXT);
}

static void pop_empty(void)
{
    OK(cuInit(0));
    CHECK(cuCtxPopCurrent_v2(NULL) == STANDIN_INVALID_CONTEXT);
}

static void push_ended(void)
{
    begin_context();
    end_context();
    CHECK(cuCtxPushCurrent_v2(context) == STANDIN_INVALID_CONTEXT);
}

static void no_device(void)
{
    OK(cuInit(0));
    CHECK(cuDevicePrimaryCtxRetain(&context, 1) == STANDIN_INVALID_DEVICE);
}

static void release_unretained(void)
{
    OK(cuInit(0));
    CHECK(cuDevicePrimaryCtxRelease_v2(0) == STANDIN_INVALID_CONTEXT);
}

static void release_current(void)
{
    begin_context();
    OK(cuDevicePrimaryCtxRelease_v2(0));
    OK(cuCtxPopCurrent_v2(NULL));
}

static void *push_and_end(void *unused)
{
    CHECK(cuCtxPushCurrent_v2(context) == CUDA_SUCCESS);
    return unused;
}

static void thread_ends(void)
{
    begin_context();
    on_thread(push_and_end);
    OK(cuCtxPopCurrent_v2(NULL));
}

static void contexts_work(void)
{
    CUcontext made, got;
    CUdevice device;
    unsigned flags;
    int active;
    begin_context();
    OK(cuCtxCreate_v2(&made, 0, 1));
    OK(cuCtxGetDevice(&device));
    CHECK(device == 1);
    OK(cuCtxDestroy_v2(made));
    OK(cuCtxGetCurrent(&got));
    CHECK(got == context);
    OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
    CHECK(active == 1);
    end_context();
    OK(cuDevicePrimaryCtxGetState(0, &flags, &active));
    CHECK(active == 0);
}

/* ---- what is left --------------------------------------------------------------------------- */

static void leave_context(void)
{
    begin_context();
    OK(cuCtxPopCurrent_v2(NULL));
}

static void leave_stream(void)
{
    begin_stream();
    end_context();
}

static void leave_event(void)
{
    CUevent event;
    begin_context();
    OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    end_context();
}

static void leave_module(void)
{
    begin_context();
    OK(cuModuleLoadData(&module, PTX));
    end_context();
}

static void leave_memory(void)
{
    begin_context();
    OK(cuMemAlloc_v2(&block, 3));
    end_context();
}

static void leave_pinned(void)
{
    void *memory;
    begin_context();
    OK(cuMemHostAlloc(&memory, 3, 0));
    end_context();
}

/* ---- streams and events --------------------------------------------------------------------- */

static void default_stream_launch(void)
{
    begin_all();
    CHECK(launch_fill(block, 1, 1, NULL) == STANDIN_INVALID_HANDLE);
    end_all();
}

static void default_stream_copy(void)
{
    begin_all();
    CHECK(cuMemsetD8Async(block, 1, 1, NULL) == STANDIN_INVALID_HANDLE);
    end_all();
}

static void blocking_stream(void)
{
    begin_context();
    OK(cuStreamCreate(&stream, 0));
    end_stream();
}

static void destroyed_stream(void)
{
    begin_stream();
    CUstream gone = stream;
    end_stream();
    begin_context();
    CHECK(cuStreamSynchronize(gone) == STANDIN_INVALID_HANDLE);
    end_context();
}

static void destroyed_event(void)
{
    CUevent event;
    begin_stream();
    OK(cuEventCreate(&event, 0));
    OK(cuEventDestroy_v2(event));
    CHECK(cuEventRecord(event, stream) == STANDIN_INVALID_HANDLE);
    end_stream();
}

static void wait_destroyed_event(void)
{
    CUevent event;
    begin_stream();
    OK(cuEventCreate(&event, 0));
    OK(cuEventDestroy_v2(event));
    CHECK(cuStreamWaitEvent(stream, event, 0) == STANDIN_INVALID_HANDLE);
    end_stream();
}

static void other_contexts_stream(void)
{
    CUcontext other;
    begin_all();
    OK(cuCtxCreate_v2(&other, 0, 0));
    CHECK(cuStreamSynchronize(stream) == STANDIN_INVALID_HANDLE);
    OK(cuCtxDestroy_v2(other));
    end_all();
}

static void elapsed_untimed(void)
{
    CUevent event;
    float ms;
    begin_stream();
    OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    OK(cuEventRecord(event, stream));
    CHECK(cuEventElapsedTime(&ms, event, event) == STANDIN_INVALID_HANDLE);
    OK(cuEventDestroy_v2(event));
    end_stream();
}

static void call_driver(CUstream on, CUresult result, void *user)
{
    (void)on;
    (void)result;
    (void)user;
    CHECK(cuStreamQuery(stream) == STANDIN_NOT_PERMITTED);
}

static void call_in_callback(void)
{
    begin_stream();
    OK(cuStreamAddCallback(stream, call_driver, NULL, 0));
    end_stream();
}

static void add_one(CUstream on, CUresult result, void *user)
{
    CHECK(on == stream && result == CUDA_SUCCESS);
    ++*(int *)user;
}

static void streams_work(void)
{
    int calls = 0, late = 0;
    CUevent begin, end;
    float ms = -1;
    begin_stream();
    OK(cuEventCreate(&begin, 0));
    OK(cuEventCreate(&end, 0));
    for (int i = 0; i < 20; i++) {
        OK(cuEventRecord(begin, stream));
        OK(cuStreamAddCallback(stream, add_one, &calls, 0));
        OK(cuEventRecord(end, stream));
        late += cuStreamQuery(stream) == CUDA_ERROR_NOT_READY &&
                cuEventQuery(end) == CUDA_ERROR_NOT_READY;
        OK(cuEventSynchronize(end));
        CHECK(calls == i + 1);
        OK(cuEventQuery(end));
        OK(cuEventElapsedTime(&ms, begin, end));
        CHECK(ms >= 0);
    }
    /* What is queued is not done at once. */
    CHECK(late > 0);
    OK(cuEventDestroy_v2(begin));
    OK(cuEventDestroy_v2(end));
    end_stream();
}

/* Two streams write one block in turn, each behind the other's event. */
static void events_order(void)
{
    CUstream other;
    CUevent mine, others;
    uint8_t got[BYTES];
    begin_all();
    OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    OK(cuEventCreate(&mine, CU_EVENT_DISABLE_TIMING));
    OK(cuEventCreate(&others, CU_EVENT_DISABLE_TIMING));
    for (int i = 0; i < 50; i++) {
        OK(launch_fill(block, BYTES, (uint8_t)i, stream));
        OK(cuEventRecord(mine, stream));
        OK(cuStreamWaitEvent(other, mine, 0));
        OK(launch_fill(block, BYTES / 2, (uint8_t)(i + 100), other));
        OK(cuEventRecord(others, other));
        OK(cuStreamWaitEvent(stream, others, 0));
    }
    OK(cuMemcpyDtoHAsync_v2(got, block, BYTES, stream));
    OK(cuCtxSynchronize());
    CHECK(got[0] == 149 && got[BYTES / 2 - 1] == 149);
    CHECK(got[BYTES / 2] == 49 && got[BYTES - 1] == 49);
    OK(cuEventDestroy_v2(mine));
    OK(cuEventDestroy_v2(others));
    OK(cuStreamDestroy_v2(other));
    end_all();
}

/* ---- memory --------------------------------------------------------------------------------- */

static void copy_past_end(void)
{
    static uint8_t bytes[BYTES + 1];
    begin_all();
    CHECK(cuMemcpyHtoD_v2(block, bytes, BYTES + 1) == STANDIN_INVALID_VALUE);
    end_all();
}

static void copy_host_address(void)
{
    uint8_t byte = 0;
    begin_all();
    CHECK(cuMemcpyHtoDAsync_v2((uintptr_t)&byte, &byte, 1, stream) == STANDIN_INVALID_VALUE);
    end_all();
}

static void copy_device_address(void)
{
    begin_all();
    CHECK(cuMemcpyDtoH_v2((void *)(uintptr_t)block, block, 1) == STANDIN_INVALID_VALUE);
    end_all();
}

static void copy_freed(void)
{
    CUdeviceptr other;
    begin_all();
    OK(cuMemAlloc_v2(&other, 10));
    OK(cuMemFree_v2(other));
    CHECK(cuMemcpyDtoD_v2(block, other, 10) == STANDIN_INVALID_VALUE);
    end_all();
}

static void copy_narrow_pitch(void)
{
    uint8_t bytes[8];
    CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                          .srcHost = bytes,
                          .srcPitch = 2,
                          .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                          .dstPitch = 4,
                          .WidthInBytes = 4,
                          .Height = 2};
    begin_all();
    copy.dstDevice = block;
    CHECK(cuMemcpy2D_v2(&copy) == STANDIN_INVALID_VALUE);
    end_all();
}

static void other_devices_memory(void)
{
    CUcontext other;
    uint8_t byte;
    begin_all();
    OK(cuCtxCreate_v2(&other, 0, 1));
    CHECK(cuMemcpyDtoH_v2(&byte, block, 1) == STANDIN_INVALID_VALUE);
    OK(cuCtxDestroy_v2(other));
    end_all();
}

static void free_twice(void)
{
    begin_all();
    const CUdeviceptr gone = block;
    end_all();
    begin_context();
    CHECK(cuMemFree_v2(gone) == STANDIN_INVALID_VALUE);
    end_context();
}

static void free_inside(void)
{
    begin_all();
    CHECK(cuMemFree_v2(block + 1) == STANDIN_INVALID_VALUE);
    end_all();
}

static void free_copied(void)
{
    begin_all();
    OK(cuStreamAddCallback(stream, hold_until_violation, NULL, 0));
    OK(cuMemsetD8Async(block, 1, BYTES, stream));
    end_all();
}

static void free_launched(void)
{
    begin_all();
    OK(cuStreamAddCallback(stream, hold_until_violation, NULL, 0));
    OK(launch_fill(block, BYTES, 1, stream));
    end_all();
}

static void free_pinned_copied(void)
{
    void *memory;
    begin_all();
    OK(cuMemHostAlloc(&memory, BYTES, 0));
    OK(cuStreamAddCallback(stream, hold_until_violation, NULL, 0));
    OK(cuMemcpyDtoHAsync_v2(memory, block, BYTES, stream));
    OK(cuMemFreeHost(memory));
    end_all();
}

static void written_outside(void)
{
    begin_all();
    OK(launch_fill(block, BYTES + 1, 1, stream));
    OK(cuStreamSynchronize(stream));
    end_all();
}

static void read_freed(void)
{
    begin_all();
    const volatile uint8_t *gone = (const uint8_t *)(uintptr_t)block;
    CHECK(*gone == 0xcd);
    OK(cuMemFree_v2(block));
    CHECK(*gone == 0);
}

static void read_behind(void)
{
    begin_context();
    OK(cuMemAlloc_v2(&block, 4096));
    CHECK(((const volatile uint8_t *)(uintptr_t)block)[4096] == 0);
}

static void memory_works(void)
{
    uint8_t bytes[64], got[64] = {0};
    size_t free_bytes, total, pitch;
    CUdeviceptr large, lines;
    begin_all();
    CHECK(cuMemAlloc_v2(&large, 2 << 20) == STANDIN_OUT_OF_MEMORY);
    CHECK(cuMemAlloc_v2(&large, 0) == STANDIN_INVALID_VALUE);
    OK(cuMemAllocPitch_v2(&lines, &pitch, 8, 8, 4));
    CHECK(pitch >= 8 && pitch % 512 == 0 && lines % 256 == 0);
    OK(cuMemGetInfo_v2(&free_bytes, &total));
    CHECK(total == 1 << 20 && free_bytes == total - BYTES - 8 * pitch);
    for (int i = 0; i < 64; i++)
        bytes[i] = (uint8_t)(i * 3);
    /* 6 x 6 of 8 x 8 there, shifted, and back. */
    CUDA_MEMCPY2D copy = {.srcMemoryType = CU_MEMORYTYPE_HOST,
                          .srcHost = bytes,
                          .srcPitch = 8,
                          .srcXInBytes = 1,
                          .srcY = 2,
                          .dstMemoryType = CU_MEMORYTYPE_DEVICE,
                          .dstDevice = lines,
                          .dstPitch = pitch,
                          .dstXInBytes = 2,
                          .dstY = 1,
                          .WidthInBytes = 6,
                          .Height = 6};
    OK(cuMemcpy2DAsync_v2(&copy, stream));
    OK(cuStreamSynchronize(stream));
    const CUDA_MEMCPY2D back = {.srcMemoryType = CU_MEMORYTYPE_DEVICE,
                                .srcDevice = lines,
                                .srcPitch = pitch,
                                .dstMemoryType = CU_MEMORYTYPE_HOST,
                                .dstHost = got,
                                .dstPitch = 8,
                                .WidthInBytes = 8,
                                .Height = 8};
    OK(cuMemcpy2D_v2(&back));
    for (int y = 0; y < 8; y++) {
        for (int x = 0; x < 8; x++) {
            const bool copied = x >= 2 && y >= 1 && y < 7;
            CHECK(got[y * 8 + x] == (copied ? bytes[(y + 1) * 8 + x - 1] : 0xcd));
        }
    }
    OK(cuMemFree_v2(lines));
    end_all();
}

/* ---- modules and launches ------------------------------------------------------------------- */

static void launch_empty(void)
{
    int count = 0;
    uint8_t value = 0;
    begin_all();
    void *params[] = {&block, &count, &value};
    CHECK(cuLaunchKernel(fill, 1, 0, 1, 1, 1, 1, 0, stream, params, NULL) == STANDIN_INVALID_VALUE);
    end_all();
}

static void launch_large_block(void)
{
    int count = 0;
    uint8_t value = 0;
    begin_all();
    void *params[] = {&block, &count, &value};
    CHECK(cuLaunchKernel(fill, 1, 1, 1, 32, 33, 1, 0, stream, params, NULL) ==
          STANDIN_INVALID_VALUE);
    end_all();
}

static void launch_without_params(void)
{
    begin_all();
    CHECK(cuLaunchKernel(fill, 1, 1, 1, 1, 1, 1, 0, stream, NULL, NULL) == STANDIN_INVALID_VALUE);
    end_all();
}

static void launch_unloaded(void)
{
    begin_all();
    OK(cuModuleUnload(module));
    CHECK(launch_fill(block, 1, 1, stream) == STANDIN_INVALID_VALUE);
    OK(cuModuleLoadData(&module, PTX));
    end_all();
}

static void launch_freed(void)
{
    CUdeviceptr other;
    begin_all();
    OK(cuMemAlloc_v2(&other, 10));
    OK(cuMemFree_v2(other));
    CHECK(launch_fill(other + 3, 1, 1, stream) == STANDIN_INVALID_VALUE);
    end_all();
}

static void modules_work(void)
{
    CUfunction none;
    char log[64] = "";
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)sizeof(log)};
    begin_all();
    CHECK(cuModuleGetFunction(&none, module, "fil") == STANDIN_NOT_FOUND);
    CHECK(cuModuleGetFunction(&none, module, "fills") == STANDIN_NOT_FOUND);
    CUmodule other;
    CHECK(cuModuleLoadDataEx(&other, "\177ELF", 2, options, values) == STANDIN_INVALID_PTX);
    CHECK(strlen(log) > 0);
    OK(cuModuleLoadDataEx(&other, " .version 7.0\n.entry fills()", 2, options, values));
    CHECK(cuModuleGetFunction(&none, other, "fill") == STANDIN_NOT_FOUND);
    OK(cuModuleUnload(other));
    end_all();
}

/* ---- orders --------------------------------------------------------------------------------- */

static void failures_work(void)
{
    begin_all();
    CUdeviceptr other;
    OK(cuMemAlloc_v2(&other, 1)); /* the second call */
    CHECK(cuMemAlloc_v2(&other, 1) == STANDIN_OUT_OF_MEMORY);
    /* It fails, and is freed all the same. */
    CHECK(cuMemFree_v2(other) == (CUresult)700);
    standin_fail("cuStreamQuery", 2, 400);
    OK(cuStreamQuery(stream));
    CHECK(cuStreamQuery(stream) == STANDIN_INVALID_HANDLE);
    OK(cuStreamQuery(stream));
    standin_fail(NULL, 2, 999);
    OK(cuStreamQuery(stream));
    CHECK(cuStreamSynchronize(stream) == CUDA_ERROR_UNKNOWN);
    CHECK(standin_calls("cuStreamQuery") == 4 && standin_calls(NULL) > 10);
    end_all();
}

static void death_works(void)
{
    CUcontext other;
    uint8_t byte = 7;
    begin_all();
    OK(launch_fill(block, 1, 1, stream));
    OK(cuStreamSynchronize(stream));
    OK(launch_fill(block, 1, 2, stream));
    OK(cuStreamSynchronize(stream));
    launch_fill(block, 1, 3, stream);
    CHECK(cuStreamSynchronize(stream) == (CUresult)700);
    CHECK(cuMemcpyDtoH_v2(&byte, block, 1) == (CUresult)700 && byte == 7);
    /* What is freed is freed; the other device lives. */
    CHECK(cuMemFree_v2(block) == (CUresult)700);
    CHECK(cuModuleUnload(module) == (CUresult)700);
    CHECK(cuStreamDestroy_v2(stream) == (CUresult)700);
    CHECK(cuCtxPopCurrent_v2(NULL) == (CUresult)700);
    CHECK(cuCtxPushCurrent_v2(context) == (CUresult)700);
    OK(cuDevicePrimaryCtxRelease_v2(0));
    OK(cuCtxCreate_v2(&other, 0, 1));
    OK(cuMemAlloc_v2(&block, 1));
    OK(cuMemFree_v2(block));
    OK(cuCtxDestroy_v2(other));
}

static void leaks_allowed(void)
{
    begin_all();
    OK(cuCtxPopCurrent_v2(NULL));
}

/* ---- what is there -------------------------------------------------------------------------- */

static void no_devices(void)
{
    CHECK(cuInit(0) == STANDIN_NO_DEVICE);
}

static void symbols_work(void)
{
    CudaFunctions *table = NULL;
    CHECK(cuda_load_functions(&table, NULL) == 0);
    CHECK(table->cuInit == cuInit && table->cuDeviceGetUuid);
    cuda_free_functions(&table);
    const char *name = NULL;
    int version, count;
    OK(cuDriverGetVersion(&version));
    CHECK(version == 12020);
    OK(cuInit(0));
    OK(cuDeviceGetCount(&count));
    CHECK(count == 2);
    OK(cuGetErrorName((CUresult)2, &name));
    CHECK(strcmp(name, "CUDA_ERROR_OUT_OF_MEMORY") == 0);
    char pci[16], model[32];
    CUuuid a, b;
    OK(cuDeviceGetPCIBusId(pci, sizeof(pci), 1));
    CHECK(strcmp(pci, "0000:3C:00.0") == 0);
    OK(cuDeviceGetName(model, sizeof(model), 0));
    OK(cuDeviceGetUuid(&a, 0));
    OK(cuDeviceGetUuid(&b, 1));
    CHECK(memcmp(&a, &b, sizeof(a)) != 0);
}

static void nvml_uninitialized(void)
{
    unsigned count;
    OK(cuInit(0));
    CHECK(nvmlDeviceGetCount_v2(&count) == NVML_UNINITIALIZED);
}

static void nvml_works(void)
{
    struct nvml_device *first, *second, *listed;
    unsigned value;
    CHECK(nvmlInit_v2() == 0);
    CHECK(nvmlDeviceGetHandleByPciBusId_v2("0000:3b:00.0", &first) == 0);
    CHECK(nvmlDeviceGetHandleByPciBusId_v2("00000000:3C:00.0", &second) == 0);
    CHECK(nvmlDeviceGetHandleByPciBusId_v2("0000:3d:00.0", &listed) == NVML_NOT_FOUND);
    /* The other order. */
    CHECK(nvmlDeviceGetHandleByIndex_v2(0, &listed) == 0 && listed == second);
    CHECK(nvmlDeviceGetTemperature(first, 0, &value) == 0 && value == 50);
    CHECK(nvmlDeviceGetTemperature(second, 0, &value) == 0 && value == 60);
    CHECK(nvmlDeviceGetPowerUsage(first, &value) == NVML_NOT_SUPPORTED);
    standin_kill(1);
    CHECK(nvmlDeviceGetTemperature(first, 0, &value) == 0);
    CHECK(nvmlDeviceGetTemperature(second, 0, &value) == NVML_LOST);
    CHECK(nvmlShutdown() == 0);
}

static const struct child children[] = {
    {"before cuInit", before_init, "cuDeviceGet: before cuInit"},
    {"flags of cuInit", init_flags, "flags are 1"},
    {"a child process", after_fork, "in a child of the process of cuInit"},
    {"no context", no_context, "cuMemAlloc_v2: no context is current"},
    {"pop of nothing", pop_empty, "no context is current"},
    {"push of an ended context", push_ended, "not a live context"},
    {"no such device", no_device, "there is no device 1"},
    {"release without retain", release_unretained, "is not retained"},
    {"release of a current context", release_current, "1 times on a thread's stack"},
    {"a thread ends in a context", thread_ends, "a thread ends with 1", "LEAKS=0"},
    {"the process ends in a context", begin_context, "a thread ends with 1", NULL, 0, 2},
    {"contexts", contexts_work, NULL, "DEVICES=2"},
    {"context left", leave_context, "left open: device 0's primary context"},
    {"stream left", leave_stream, "left open: stream"},
    {"event left", leave_event, "left open: event"},
    {"module left", leave_module, "left open: module"},
    {"memory left", leave_memory, "left open: memory of 3 bytes"},
    {"pinned memory left", leave_pinned, "left open: pinned memory of 3 bytes"},
    {"launch on the default stream", default_stream_launch, "cuLaunchKernel: the default stream"},
    {"copy on the default stream", default_stream_copy, "cuMemsetD8Async: the default stream"},
    {"stream that waits for the default one", blocking_stream, "waits for the default one"},
    {"destroyed stream", destroyed_stream, "cuStreamSynchronize: not a live stream"},
    {"destroyed event", destroyed_event, "cuEventRecord: not a live event"},
    {"wait for a destroyed event", wait_destroyed_event, "cuStreamWaitEvent: not a live event"},
    {"another context's stream", other_contexts_stream, "a stream of another context"},
    {"time of events without", elapsed_untimed, "an event without timing"},
    {"driver call in a callback", call_in_callback, "called from a stream's callback"},
    {"streams", streams_work, NULL},
    {"events between streams", events_order, NULL},
    {"copy past the end", copy_past_end, "past the end of its block"},
    {"copy to the host's memory", copy_host_address, "not an address of the device"},
    {"copy to the device's memory", copy_device_address, "where one of the host belongs"},
    {"copy of freed memory", copy_freed, "memory that was freed"},
    {"copy with a narrow pitch", copy_narrow_pitch, "longer than the pitch"},
    {"copy of another device's memory", other_devices_memory, "another device's", "DEVICES=2"},
    {"free twice", free_twice, "cuMemFree_v2: not a block"},
    {"free inside", free_inside, "cuMemFree_v2: not a block"},
    {"free under a copy", free_copied, "memory that 1 queued"},
    {"free under a launch", free_launched, "memory that 1 queued"},
    {"free of pinned memory under a copy", free_pinned_copied, "cuMemFreeHost: memory that 1"},
    {"written outside", written_outside, "outside the block of 1000 bytes, at byte 1000"},
    {"freed memory faults", read_freed, NULL, NULL, SIGSEGV},
    {"memory behind a block faults", read_behind, NULL, NULL, SIGSEGV},
    {"memory", memory_works, NULL, "MEMORY_MIB=1"},
    {"empty grid", launch_empty, "an empty grid"},
    {"large block", launch_large_block, "a block beyond the limits"},
    {"no parameters", launch_without_params, "not given one by one"},
    {"function of an unloaded module", launch_unloaded, "not a function of a loaded module"},
    {"launch on freed memory", launch_freed, "cuLaunchKernel: memory that was freed"},
    {"modules", modules_work, NULL},
    {"failures", failures_work, NULL, "FAIL=cuMemAlloc_v2:3,cuMemFree_v2:1:700"},
    {"death", death_works, NULL, "DIE_AFTER=2 DIE_CODE=700 DEVICES=2"},
    {"leaks that are allowed", leaks_allowed, NULL, "LEAKS=0"},
    {"no devices", no_devices, NULL, "DEVICES=0"},
    {"symbols", symbols_work, NULL, "DEVICES=2 DRIVER_VERSION=12020"},
    {"NVML before its start", nvml_uninitialized, "nvmlDeviceGetCount_v2: before nvmlInit"},
    {"NVML", nvml_works, NULL, "DEVICES=2 TEMPERATURE=50,60 POWER_MW=-1"},
};

int main(void)
{
    setenv("STANDIN_KERNELS", RULES_KERNELS, 1);
    return children_run(children, sizeof(children) / sizeof(children[0]));
}
