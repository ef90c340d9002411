/* SPDX-License-Identifier: Apache-2.0
 * What the kernels of one thread a row (few.cuh) do; slc_few_of of cu_few.c says when. */
#ifndef SLC_FEW_JOB_H
#define SLC_FEW_JOB_H

enum {
    SLC_FEW_NOT,
    SLC_FEW_F32, /* two of eight, a softmax whose sum cancels, nothing out of the ordinary */
    SLC_FEW_BF16,
    SLC_FEW_F32_ALL, /* and topk's outputs beside remap's */
    SLC_FEW_BF16_ALL,
    SLC_FEW_8_2, /* at most two of eight */
    SLC_FEW_16_2,
    SLC_FEW_16_4,
    SLC_FEW_CHOICES = 4,
    SLC_FEW_COLUMNS = 16,
    SLC_FEW_PLACES = SLC_FEW_COLUMNS + 2, /* ids, and two of no choice */
    SLC_FEW_THREADS = 128
};

#endif
