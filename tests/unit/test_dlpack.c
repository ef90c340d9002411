#include "ct.h"

#include "../dlpack/dlpack.h"
#include "plugin.h"

/* A member has the same offset and size in both. */
#define SAME(ours, our_member, theirs, their_member)                                               \
    do {                                                                                           \
        ct_eq_u64(offsetof(ours, our_member), offsetof(theirs, their_member));                     \
        ct_eq_u64(sizeof(((ours *)0)->our_member), sizeof(((theirs *)0)->their_member));           \
    } while (0)

CT(dlpack, tensor_has_the_layout, "sluice_tensor has the layout of DLTensor")
{
    ct_eq_u64(sizeof(sluice_tensor), sizeof(DLTensor));
    SAME(sluice_tensor, data, DLTensor, data);
    SAME(sluice_tensor, device, DLTensor, device);
    SAME(sluice_tensor, ndim, DLTensor, ndim);
    SAME(sluice_tensor, dtype, DLTensor, dtype);
    SAME(sluice_tensor, shape, DLTensor, shape);
    SAME(sluice_tensor, strides, DLTensor, strides);
    SAME(sluice_tensor, byte_offset, DLTensor, byte_offset);
}

CT(dlpack, device_and_dtype_have_the_layout, "sluice_device and sluice_dtype have DLPack's layout")
{
    ct_eq_u64(sizeof(sluice_device), sizeof(DLDevice));
    SAME(sluice_device, type, DLDevice, device_type);
    SAME(sluice_device, id, DLDevice, device_id);
    ct_eq_u64(sizeof(sluice_dtype), sizeof(DLDataType));
    SAME(sluice_dtype, code, DLDataType, code);
    SAME(sluice_dtype, bits, DLDataType, bits);
    SAME(sluice_dtype, lanes, DLDataType, lanes);
}

CT(dlpack, codes_are_the_same, "device and type codes have DLPack's values")
{
    ct_eq_i64(SLUICE_CPU, kDLCPU);
    ct_eq_i64(SLUICE_CUDA, kDLCUDA);
    ct_eq_i64(SLUICE_CUDA_HOST, kDLCUDAHost);
    ct_eq_i64(SLUICE_INT, kDLInt);
    ct_eq_i64(SLUICE_UINT, kDLUInt);
    ct_eq_i64(SLUICE_FLOAT, kDLFloat);
    ct_eq_i64(SLUICE_BFLOAT, kDLBfloat);
}
