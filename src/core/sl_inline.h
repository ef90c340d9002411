/* SPDX-License-Identifier: Apache-2.0
 * Functions of a header that a device's kernels compile too. */
#ifndef SL_INLINE_H
#define SL_INLINE_H

#if defined(__CUDACC__)
#define SL_INLINE static __device__ __forceinline__
#else
#define SL_INLINE static inline
#endif

#endif
