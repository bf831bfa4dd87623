/* Entry points of libcuda that are more than ffnvcodec's table, and all of them made visible. */
#ifndef STANDIN_API_H
#define STANDIN_API_H

#include "core.h"

#pragma GCC visibility push(default)

tcuInit cuInit;
CUresult cuDriverGetVersion(int *ret);
tcuGetErrorName cuGetErrorName;
tcuGetErrorString cuGetErrorString;
tcuDeviceGetCount cuDeviceGetCount;
tcuDeviceGet cuDeviceGet;
tcuDeviceGetAttribute cuDeviceGetAttribute;
tcuDeviceGetName cuDeviceGetName;
tcuDeviceGetUuid cuDeviceGetUuid;
tcuDeviceGetUuid cuDeviceGetUuid_v2;
tcuDeviceComputeCapability cuDeviceComputeCapability;
CUresult cuDeviceTotalMem_v2(size_t *ret, CUdevice device);
CUresult cuDeviceGetPCIBusId(char *ret, int size, CUdevice device);
tcuDevicePrimaryCtxRetain cuDevicePrimaryCtxRetain;
tcuDevicePrimaryCtxRelease cuDevicePrimaryCtxRelease, cuDevicePrimaryCtxRelease_v2;
tcuDevicePrimaryCtxSetFlags cuDevicePrimaryCtxSetFlags, cuDevicePrimaryCtxSetFlags_v2;
tcuDevicePrimaryCtxGetState cuDevicePrimaryCtxGetState;
tcuCtxCreate_v2 cuCtxCreate_v2;
tcuCtxDestroy_v2 cuCtxDestroy_v2;
tcuCtxPushCurrent_v2 cuCtxPushCurrent_v2;
tcuCtxPopCurrent_v2 cuCtxPopCurrent_v2;
tcuCtxSetLimit cuCtxSetLimit;
tcuCtxGetDevice cuCtxGetDevice;
CUresult cuCtxGetCurrent(CUcontext *ret);
CUresult cuCtxSynchronize(void);

tcuMemAlloc_v2 cuMemAlloc_v2;
tcuMemAllocPitch_v2 cuMemAllocPitch_v2;
tcuMemFree_v2 cuMemFree_v2;
CUresult cuMemHostAlloc(void **ret, size_t size, unsigned flags);
CUresult cuMemFreeHost(void *memory);
CUresult cuMemGetInfo_v2(size_t *ret_free, size_t *ret_total);
tcuMemsetD8Async cuMemsetD8Async;
tcuMemcpy cuMemcpy;
tcuMemcpyAsync cuMemcpyAsync;
tcuMemcpy2D_v2 cuMemcpy2D_v2;
tcuMemcpy2DAsync_v2 cuMemcpy2DAsync_v2;
tcuMemcpyHtoD_v2 cuMemcpyHtoD_v2;
tcuMemcpyHtoDAsync_v2 cuMemcpyHtoDAsync_v2;
tcuMemcpyDtoH_v2 cuMemcpyDtoH_v2;
tcuMemcpyDtoHAsync_v2 cuMemcpyDtoHAsync_v2;
tcuMemcpyDtoD_v2 cuMemcpyDtoD_v2;
tcuMemcpyDtoDAsync_v2 cuMemcpyDtoDAsync_v2;

tcuStreamCreate cuStreamCreate;
tcuStreamQuery cuStreamQuery;
tcuStreamSynchronize cuStreamSynchronize;
tcuStreamDestroy_v2 cuStreamDestroy_v2;
tcuStreamAddCallback cuStreamAddCallback;
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags);
tcuEventCreate cuEventCreate;
tcuEventDestroy_v2 cuEventDestroy_v2;
tcuEventSynchronize cuEventSynchronize;
tcuEventQuery cuEventQuery;
tcuEventRecord cuEventRecord;
CUresult cuEventElapsedTime(float *ret_ms, CUevent begin, CUevent end);

tcuModuleLoadData cuModuleLoadData;
CUresult cuModuleLoadDataEx(CUmodule *ret, const void *image, unsigned count, CUjit_option *options,
                            void **values);
tcuModuleUnload cuModuleUnload;
tcuModuleGetFunction cuModuleGetFunction;
tcuModuleGetGlobal cuModuleGetGlobal;
CUresult cuFuncGetAttribute(int *ret, int attribute, CUfunction function);
tcuLaunchKernel cuLaunchKernel;

#pragma GCC visibility pop

#endif
