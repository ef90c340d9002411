/* Any bytes are either refused with a message or an array whose elements can all be read. */
#include "tool/tool_npy.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sl_npy npy;
    char err[160] = "";
    if (sl_npy_parse(data, size, &npy, err, sizeof err) != 0) {
        if (strlen(err) == 0 || strchr(err, '\n') != NULL)
            abort();
        return 0;
    }
    if (npy.count > size)
        abort();
    float *floats = malloc((npy.count + 1) * sizeof *floats);
    int32_t *ints = malloc((npy.count + 1) * sizeof *ints);
    if (floats != NULL && ints != NULL) {
        sl_npy_to_f32(&npy, floats);
        (void)sl_npy_to_i32(&npy, ints, err, sizeof err);
    }
    free(floats);
    free(ints);
    return 0;
}
