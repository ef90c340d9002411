#include <math.h>
#include <string.h>

#include "replay.h"
#include "tool_random.h"

size_t sl_element_bytes(int32_t bf16)
{
    return bf16 ? 2 : 4;
}

float sl_element_get(const void *row, int64_t i, int32_t bf16)
{
    if (!bf16)
        return ((const float *)row)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)row)[i] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void sl_element_put(void *row, int64_t i, float value, int32_t bf16)
{
    if (!bf16) {
        ((float *)row)[i] = value;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t rounded = bits + 0x7FFF + ((bits >> 16) & 1);
    ((uint16_t *)row)[i] = isnan(value) ? (uint16_t)(bits >> 16 | 0x40) : (uint16_t)(rounded >> 16);
}

size_t sl_expert_floats(const struct sl_expert_shape *shape)
{
    return 3 * (size_t)shape->hidden * (size_t)shape->width;
}

void sl_expert_draw(const struct sl_expert_shape *shape, uint64_t seed, int32_t layer,
                    int32_t expert, float *weights)
{
    size_t count = sl_expert_floats(shape);
    for (size_t i = 0; i < count; i += 4) {
        struct sl_random4 draw =
            sl_tool_random(seed ^ 0x5357474C55U, (uint64_t)i, (uint32_t)layer, (uint32_t)expert);
        for (size_t j = 0; j < 4 && i + j < count; j++)
            weights[i + j] = (float)(int32_t)draw.word[j] * 0x1p-34F;
    }
}

/* gate and up are [hidden][width], down is [width][hidden], so that inner loops run along rows. */
void sl_expert_run(const struct sl_expert_shape *shape, const float *weights, const void *x,
                   void *out)
{
    float gate[512] = {0}, up[512] = {0}, sum[8192] = {0};
    int32_t hidden = shape->hidden, width = shape->width;
    const float *w_gate = weights, *w_up = w_gate + (size_t)hidden * (size_t)width;
    const float *w_down = w_up + (size_t)hidden * (size_t)width;
    for (int32_t h = 0; h < hidden; h++) {
        float value = sl_element_get(x, h, shape->bf16);
        for (int32_t i = 0; i < width; i++) {
            gate[i] += w_gate[h * width + i] * value;
            up[i] += w_up[h * width + i] * value;
        }
    }
    for (int32_t i = 0; i < width; i++) {
        float act = gate[i] / (1.0F + expf(-gate[i])) * up[i];
        for (int32_t h = 0; h < hidden; h++)
            sum[h] += w_down[i * hidden + h] * act;
    }
    for (int32_t h = 0; h < hidden; h++)
        sl_element_put(out, h, sum[h], shape->bf16);
}
