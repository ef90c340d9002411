/* SPDX-License-Identifier: Apache-2.0
 * Our own declarations of the driver against NVIDIA's, at compile time. */
#include <cudaTypedefs.h>

#include "../../cuda/cu_types.h"

#define SAME_VALUE(ours_, theirs_) _Static_assert((int)(ours_) == (int)(theirs_), #ours_)
SAME_VALUE(SLCU_SUCCESS, CUDA_SUCCESS);
SAME_VALUE(SLCU_OUT_OF_MEMORY, CUDA_ERROR_OUT_OF_MEMORY);
SAME_VALUE(SLCU_NO_DEVICE, CUDA_ERROR_NO_DEVICE);
SAME_VALUE(SLCU_NOT_READY, CUDA_ERROR_NOT_READY);
SAME_VALUE(SLCU_HOST_PORTABLE, CU_MEMHOSTALLOC_PORTABLE);
SAME_VALUE(SLCU_EVENT_DISABLE_TIMING, CU_EVENT_DISABLE_TIMING);
SAME_VALUE(SLCU_STREAM_CAPTURE_UNSUPPORTED, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
SAME_VALUE(SLCU_STREAM_CAPTURE_IMPLICIT, CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
SAME_VALUE(SLCU_STREAM_NON_BLOCKING, CU_STREAM_NON_BLOCKING);
SAME_VALUE(SLCU_CAPTURE_MODE_THREAD_LOCAL, CU_STREAM_CAPTURE_MODE_THREAD_LOCAL);
SAME_VALUE(SLCU_COMPUTE_CAPABILITY_MAJOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
SAME_VALUE(SLCU_COMPUTE_CAPABILITY_MINOR, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);

#define SAME_SIZE(ours_, theirs_) _Static_assert(sizeof(ours_) == sizeof(theirs_), #ours_)
SAME_SIZE(slcu_result, CUresult);
SAME_SIZE(slcu_device, CUdevice);
SAME_SIZE(slcu_address, CUdeviceptr);

/* The version that is asked for is the one whose parameters we have. An enum is compatible with
 * unsigned int, so a wrong parameter is a warning here, and an error with -Werror. */
#define SAME_TYPE(name_, version_, params_)                                                        \
    slcu_result(*const check_##name_) params_ = (PFN_cu##name_##_v##version_)0;
SLCU_FUNCTIONS(SAME_TYPE)
