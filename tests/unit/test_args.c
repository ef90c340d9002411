/* Bad arguments through the table: each is refused with its status and a text that says which it
 * was, what it was and what it should be; and the call has changed nothing. */
#include <math.h>
#include <string.h>

#include "args_world.h"
#include "ct.h"

#define IN(op_, member_) offsetof(struct aw, args.op_.member_)
#define INVALID SLUICE_INVALID

/* A row: operation, layer, what is spoiled, how, value, status, what the text says. */

static const struct aw_row of_topk[] = {
    {AW_TOPK, 0, 0, AW_NO_ARGS, 0, INVALID, "args is NULL"},
    {AW_TOPK, 0, IN(topk, struct_size), AW_SIZE, 0, INVALID, "args.struct_size is 0: must be "},
    {AW_TOPK, 0, IN(topk, struct_size), AW_SIZE, 64, INVALID, "args.struct_size is 64: must be "},
    {AW_TOPK, 0, IN(topk, struct_size), AW_SIZE, 4097, INVALID, "struct_size is 4097: must be "},
    {AW_TOPK, 0, 0, AW_TAIL, 0, SLUICE_UNSUPPORTED, "is not zero: this plugin knows the first"},
    {AW_TOPK, 0, IN(topk, layer), AW_INT, -1, INVALID, "layer is -1: must be 0 to 2"},
    {AW_TOPK, 0, IN(topk, layer), AW_INT, 3, INVALID, "layer is 3: must be 0 to 2"},
    {AW_TOPK, 0, IN(topk, logits), AW_NULL, 0, INVALID, "logits is missing"},
    {AW_TOPK, 0, IN(topk, logits), AW_COLUMN, 15, INVALID, "logits has 15 columns: must be 16"},
    {AW_TOPK, 0, IN(topk, logits), AW_NDIM, 1, INVALID, "logits has ndim 1: must be 2"},
    {AW_TOPK, 0, IN(topk, logits), AW_NDIM, 3, INVALID, "logits has ndim 3: must be 2"},
    {AW_TOPK, 0, IN(topk, logits), AW_NDIM, 9, INVALID, "logits has ndim 9: must be 0 to 8"},
    {AW_TOPK, 0, IN(topk, logits), AW_NDIM, -1, INVALID, "logits has ndim -1: must be 0 to 8"},
    {AW_TOPK, 0, IN(topk, logits), AW_NO_SHAPE, 0, INVALID, "logits has ndim 2 and no shape: must"},
    {AW_TOPK, 0, IN(topk, logits), AW_ROW, -1, INVALID,
     "logits has extent -1 in dimension 0: must be 0 to "},
    {AW_TOPK, 0, IN(topk, logits), AW_DTYPE, 2064, INVALID,
     "logits has dtype code 2, 64 bits, 1 lanes: must be float32, float16 or bfloat16"},
    {AW_TOPK, 0, IN(topk, logits), AW_LANES, 2, INVALID, "32 bits, 2 lanes: must be float32"},
    {AW_TOPK, 0, IN(topk, logits), AW_INNER, 0, INVALID,
     "logits has stride 2 in dimension 1: must be 1"},
    {AW_TOPK, 0, IN(topk, logits), AW_BACKWARD, 0, INVALID,
     "logits has row stride -16: must not be negative"},
    {AW_TOPK, 0, IN(topk, logits), AW_DEVICE, SLUICE_CUDA, INVALID,
     "logits is on device type 2: this context takes host memory (type 1)"},
    {AW_TOPK, 0, IN(topk, logits), AW_NO_DATA, 0, INVALID, "logits has no data, but 5 rows"},
    {AW_TOPK, 0, IN(topk, logits), AW_SHIFT, 0, INVALID,
     "logits is not aligned to its element of 4 bytes"},
    {AW_TOPK, 0, IN(topk, bias), AW_NULL, 0, INVALID, "bias is missing"},
    {AW_TOPK, 0, IN(topk, bias), AW_ROW, 1, INVALID, "bias has 1 rows: must be 2"},
    {AW_TOPK, 0, IN(topk, bias), AW_COLUMN, 12, INVALID, "bias has 12 columns: must be 16"},
    {AW_TOPK, 0, IN(topk, bias), AW_DTYPE, 4016, INVALID,
     "code 4, 16 bits, 1 lanes: must be float32"},
    {AW_TOPK, 1, IN(topk, bias), AW_GIVE, 0, INVALID, "bias_use is NONE"},
    {AW_TOPK, 0, IN(topk, bias_row), AW_NULL, 0, INVALID, "bias_row is missing"},
    {AW_TOPK, 0, IN(topk, bias_row), AW_ROW, 4, INVALID, "bias_row has 4 rows: must be 5"},
    {AW_TOPK, 0, IN(topk, bias_row), AW_DTYPE, 2032, INVALID, "1 lanes: must be int32 or int64"},
    {AW_TOPK, 1, IN(topk, bias_row), AW_GIVE, 0, INVALID, "bias_row is given"},
    {AW_TOPK, 0, IN(topk, expert_scale), AW_ROW, 12, INVALID,
     "expert_scale has 12 rows: must be 16"},
    {AW_TOPK, 0, IN(topk, shared_logits), AW_NULL, 0, INVALID, "shared_logits is missing"},
    {AW_TOPK, 0, IN(topk, shared_logits), AW_COLUMN, 3, INVALID,
     "shared_logits has 3 columns: must be 2 or 1"},
    {AW_TOPK, 1, IN(topk, shared_logits), AW_GIVE, 0, INVALID, "shared_logits is given: the layer"},
    {AW_TOPK, 0, IN(topk, forced_ids), AW_NULL, 0, INVALID,
     "forced_row is given without forced_ids"},
    {AW_TOPK, 0, IN(topk, forced_ids), AW_COLUMN, 2, INVALID,
     "forced_ids has 2 columns: must be 3"},
    {AW_TOPK, 0, IN(topk, forced_row), AW_ROW, 4, INVALID, "forced_row has 4 rows: must be 5"},
    {AW_TOPK, 0, IN(topk, row_valid), AW_ROW, 6, INVALID, "row_valid has 6 rows: must be 5"},
    {AW_TOPK, 0, IN(topk, row_valid), AW_DTYPE, 32, INVALID, "must be uint8 or bool"},
    {AW_TOPK, 0, IN(topk, num_valid), AW_ID, 6, INVALID, "num_valid is 6: must be 0 to 5"},
    {AW_TOPK, 0, IN(topk, num_valid), AW_ID, -1, INVALID, "num_valid is -1: must be 0 to 5"},
    {AW_TOPK, 0, IN(topk, num_valid), AW_TWO_IDS, 0, INVALID,
     "num_valid has extent 2 in dimension 0: must be 1"},
    {AW_TOPK, 0, IN(topk, num_valid), AW_DTYPE, 2032, INVALID,
     "num_valid has dtype code 2, 32 bits, 1 lanes: must be int32 or int64"},
    {AW_TOPK, 0, IN(topk, num_valid), AW_NO_DATA, 0, INVALID, "num_valid has no data"},
    {AW_TOPK, 0, IN(topk, ids), AW_NULL, 0, INVALID,
     "ids is missing: ids and weights come together"},
    {AW_TOPK, 0, IN(topk, ids), AW_COLUMN, 4, INVALID, "ids has 4 columns: must be 3"},
    {AW_TOPK, 0, IN(topk, ids), AW_ROW, 4, INVALID, "ids has 4 rows: must be 5"},
    {AW_TOPK, 0, IN(topk, ids), AW_DTYPE, 16, INVALID, "16 bits, 1 lanes: must be int32 or int64"},
    {AW_TOPK, 0, IN(topk, weights), AW_NULL, 0, INVALID, "weights is missing: ids and weights"},
    {AW_TOPK, 0, IN(topk, weights), AW_DTYPE, 2016, INVALID, "16 bits, 1 lanes: must be float32"},
    {AW_TOPK, 0, IN(topk, shared_weights), AW_COLUMN, 1, INVALID,
     "shared_weights has 1 columns: must be 2"},
    {AW_TOPK, 1, IN(topk, shared_weights), AW_GIVE, 0, INVALID,
     "shared_weights is given: the layer"},
    {AW_TOPK, 0, IN(topk, zero_weight), AW_ROW, 9, INVALID, "zero_weight has 9 rows: must be 5"},
    {AW_TOPK, 1, IN(topk, zero_weight), AW_GIVE, 0, INVALID, "the layer has no zero experts"},
};

static const struct aw_row of_remap[] = {
    {AW_REMAP, 0, 0, AW_NO_ARGS, 0, INVALID, "args is NULL"},
    {AW_REMAP, 0, IN(remap, struct_size), AW_SIZE, 8, INVALID, "args.struct_size is 8: must be "},
    {AW_REMAP, 0, 0, AW_TAIL, 0, SLUICE_UNSUPPORTED, "is not zero: this plugin knows the first"},
    {AW_REMAP, 0, IN(remap, layer), AW_INT, 99, INVALID, "layer is 99: must be 0 to 2"},
    {AW_REMAP, 0, IN(remap, ids), AW_NULL, 0, INVALID, "ids is missing"},
    {AW_REMAP, 0, IN(remap, ids), AW_COLUMN, 4, INVALID, "ids has 4 columns: must be 3"},
    {AW_REMAP, 0, IN(remap, ids), AW_DTYPE, 1032, INVALID,
     "code 1, 32 bits, 1 lanes: must be int32"},
    {AW_REMAP, 0, IN(remap, ids), AW_INNER, 0, INVALID,
     "ids has stride 2 in dimension 1: must be 1"},
    {AW_REMAP, 0, IN(remap, weights), AW_NULL, 0, INVALID, "weights is missing: dispatch_weights"},
    {AW_REMAP, 0, IN(remap, weights), AW_ROW, 4, INVALID, "weights has 4 rows: must be 5"},
    {AW_REMAP, 0, IN(remap, shared_weights), AW_NULL, 0, INVALID, "shared_weights is missing: the"},
    {AW_REMAP, 0, IN(remap, shared_weights), AW_COLUMN, 1, INVALID,
     "shared_weights has 1 columns: must be 2"},
    {AW_REMAP, 0, IN(remap, zero_weight), AW_NULL, 0, INVALID,
     "zero_weight is missing: zero_weight_"},
    {AW_REMAP, 0, IN(remap, zero_weight), AW_DTYPE, 2064, INVALID, "1 lanes: must be float32"},
    {AW_REMAP, 0, IN(remap, row_valid), AW_ROW, 4, INVALID, "row_valid has 4 rows: must be 5"},
    {AW_REMAP, 0, IN(remap, num_valid), AW_ID, 6, INVALID, "num_valid is 6: must be 0 to 5"},
    {AW_REMAP, 0, IN(remap, step), AW_TWO_IDS, 0, INVALID,
     "step has extent 2 in dimension 0: must be 1"},
    {AW_REMAP, 0, IN(remap, row_base), AW_ID, -2, INVALID, "row_base is -2: must not be negative"},
    {AW_REMAP, 0, IN(remap, dispatch_ids), AW_COLUMN, 3, INVALID,
     "dispatch_ids has 3 columns: must be 5"},
    {AW_REMAP, 0, IN(remap, dispatch_ids), AW_NO_DATA, 0, INVALID, "dispatch_ids has no data"},
    {AW_REMAP, 0, IN(remap, dispatch_weights), AW_COLUMN, 3, INVALID,
     "dispatch_weights has 3 columns: must be 5"},
    {AW_REMAP, 0, IN(remap, recorder_ids), AW_COLUMN, 5, INVALID,
     "recorder_ids has 5 columns: must be 3"},
    {AW_REMAP, 0, IN(remap, zero_weight_here), AW_ROW, 4, INVALID,
     "zero_weight_here has 4 rows: must be 5"},
};

static const struct aw_row of_record[] = {
    {AW_RECORD, 0, 0, AW_NO_ARGS, 0, INVALID, "args is NULL"},
    {AW_RECORD, 0, IN(record, struct_size), AW_SIZE, 0, INVALID, "args.struct_size is 0: must be "},
    {AW_RECORD, 0, 0, AW_TAIL, 0, SLUICE_UNSUPPORTED, "is not zero: this plugin knows the first"},
    {AW_RECORD, 0, IN(record, layer), AW_INT, -1, INVALID, "layer is -1: must be 0 to 2"},
    {AW_RECORD, 0, IN(record, recorder_ids), AW_NULL, 0, INVALID, "recorder_ids is missing"},
    {AW_RECORD, 0, IN(record, recorder_ids), AW_DTYPE, 2032, INVALID, "must be int32 or int64"},
    {AW_RECORD, 0, IN(record, recorder_ids), AW_NDIM, 3, INVALID,
     "recorder_ids has ndim 3: must be"},
    {AW_RECORD, 0, IN(record, recorder_ids), AW_NDIM, 0, INVALID,
     "recorder_ids has ndim 0: must be"},
    {AW_RECORD, 0, IN(record, recorder_ids), AW_SHIFT, 0, INVALID,
     "recorder_ids is not aligned to"},
    {AW_RECORD, 0, IN(record, num_valid), AW_ID, 6, INVALID, "num_valid is 6: must be 0 to 5"},
    {AW_SLOTS, 0, 0, AW_NO_ARGS, 0, INVALID, "args is NULL"},
    {AW_SLOTS, 0, IN(slots, struct_size), AW_SIZE, 16, INVALID, "args.struct_size is 16: must be "},
    {AW_SLOTS, 0, IN(slots, layer), AW_INT, 3, INVALID, "layer is 3: must be 0 to 2"},
    {AW_SLOTS, 0, IN(slots, slot_counts), AW_NULL, 0, INVALID, "slot_counts is missing"},
    {AW_SLOTS, 0, IN(slots, slot_counts), AW_ROW, 12, INVALID,
     "slot_counts has 12 rows: must be 14"},
    {AW_SLOTS, 0, IN(slots, slot_counts), AW_DTYPE, 2032, INVALID, "must be int32 or int64"},
};

static const struct aw_row of_weights[] = {
    {AW_WEIGHTS, 0, 0, AW_NO_ARGS, 0, INVALID, "args is NULL"},
    {AW_WEIGHTS, 0, IN(weights, struct_size), AW_SIZE, 0, INVALID,
     "args.struct_size is 0: must be "},
    {AW_WEIGHTS, 0, 0, AW_TAIL, 0, SLUICE_UNSUPPORTED, "is not zero: this plugin knows the first"},
    {AW_WEIGHTS, 0, IN(weights, layer), AW_INT, 3, INVALID, "layer is 3: must be 0 to 2"},
    {AW_WEIGHTS, 0, IN(weights, action), AW_INT, 3, INVALID, "action is 3: must be 0 to 2"},
    {AW_WEIGHTS, 0, IN(weights, action), AW_INT, -1, INVALID, "action is -1: must be 0 to 2"},
    {AW_WEIGHTS, 0, IN(weights, action), AW_INT, SLUICE_WEIGHTS_REGISTER, SLUICE_UNSUPPORTED,
     "action is 1: this version has no migration"},
    {AW_WEIGHTS, 0, IN(weights, param_count), AW_INT, -1, INVALID, "param_count is -1"},
    {AW_WEIGHTS, 0, IN(weights, params), AW_NULL, 0, INVALID, "params is NULL"},
    {AW_WEIGHTS, 0, offsetof(struct aw, params[1]), AW_NULL, 0, INVALID, "params[1] is NULL"},
    {AW_WEIGHTS, 0, offsetof(struct aw, out.params[1].struct_size), AW_SIZE, 0, INVALID,
     "params[1].struct_size is 0: must be "},
    {AW_WEIGHTS, 0, offsetof(struct aw, out.params[1].name), AW_NULL, 0, INVALID,
     "params[1] has no name"},
    {AW_WEIGHTS, 0, offsetof(struct aw, out.params[1].role), AW_INT, 3, INVALID,
     "w2 has role 3: must be 0 to 2"},
    {AW_WEIGHTS, 0, offsetof(struct aw, out.params[1].tensor), AW_NULL, 0, INVALID,
     "w2 has no tensor"},
    {AW_WEIGHTS, 0, offsetof(struct aw, out.params[1].tensor), AW_ROW, 12, INVALID,
     "w2 has 12 rows: must be 14"},
    {AW_WEIGHTS, 0, offsetof(struct aw, out.params[1].tensor), AW_NDIM, 0, INVALID,
     "w2 has ndim 0: must be 1 to 8"},
};

static const struct aw_row of_dispatch[] = {
    {AW_COUNT, 0, 0, AW_NO_ARGS, 0, INVALID, "args is NULL"},
    {AW_COUNT, 0, IN(dispatch, struct_size), AW_SIZE, 4, INVALID, "struct_size is 4: must be "},
    {AW_COUNT, 0, 0, AW_TAIL, 0, SLUICE_UNSUPPORTED, "is not zero: this plugin knows the first"},
    {AW_COUNT, 0, IN(dispatch, layer), AW_INT, 3, INVALID, "layer is 3: must be 0 to 2"},
    {AW_COUNT, 0, IN(dispatch, phase), AW_INT, 0, INVALID, "phase is 0: must be COUNT 1, SEND 2"},
    {AW_COUNT, 0, IN(dispatch, phase), AW_INT, 4, INVALID, "phase is 4: must be COUNT 1, SEND 2"},
    {AW_COUNT, 0, IN(dispatch, lane), AW_INT, 2, INVALID, "lane is 2: must be 0 to 1"},
    {AW_COUNT, 0, IN(dispatch, lane), AW_INT, -1, INVALID, "lane is -1: must be 0 to 1"},
    {AW_COUNT, 0, IN(dispatch, handle), AW_NULL, 0, INVALID, "handle is NULL"},
    {AW_COUNT, 0, IN(dispatch, dispatch_ids), AW_NULL, 0, INVALID, "dispatch_ids is missing"},
    {AW_COUNT, 0, IN(dispatch, dispatch_ids), AW_ROW, AW_MOST + 1, INVALID,
     "dispatch_ids has 9 rows: at most max_tokens of config.transport, which is 8"},
    {AW_COUNT, 0, IN(dispatch, dispatch_ids), AW_COLUMN, 6, INVALID,
     "dispatch_ids has 6 columns: must be 1 to 5"},
    {AW_COUNT, 0, IN(dispatch, dispatch_ids), AW_DTYPE, 2032, INVALID, "must be int32 or int64"},
    {AW_COUNT, 0, IN(dispatch, num_valid), AW_ID, 6, INVALID, "num_valid is 6: must be 0 to 5"},
    {AW_COUNT, 0, IN(dispatch, slot_counts), AW_ROW, 12, INVALID,
     "slot_counts has 12 rows: must be 14"},
    {AW_COUNT, 0, IN(dispatch, slot_starts), AW_ROW, 14, INVALID,
     "slot_starts has 14 rows: must be 15"},
    {AW_COUNT, 0, IN(dispatch, row_count), AW_NULL, 0, INVALID, "row_count is NULL"},
    {AW_SEND, 0, IN(dispatch, layer), AW_INT, 1, SLUICE_STALE,
     "handle is not that of the last COUNT"},
    {AW_SEND, 0, IN(dispatch, lane), AW_INT, 1, SLUICE_STALE, "COUNT of lane 1, layer 0"},
    {AW_SEND, 0, IN(dispatch, num_valid), AW_ID, 4, INVALID,
     "dispatch_ids are not those of the COUNT"},
    {AW_SEND, 0, IN(dispatch, dispatch_ids), AW_ROW, 4, INVALID, "num_valid is 5: must be 0 to 4"},
    {AW_SEND, 0, IN(dispatch, dispatch_weights), AW_NULL, 0, INVALID,
     "dispatch_weights is missing"},
    {AW_SEND, 0, IN(dispatch, dispatch_weights), AW_COLUMN, 3, INVALID,
     "dispatch_weights has 3 columns: must be 5"},
    {AW_SEND, 0, IN(dispatch, payload_count), AW_INT, 2, INVALID,
     "payload_count is 2: must be 0 to 1"},
    {AW_SEND, 0, IN(dispatch, payload_count), AW_INT, -1, INVALID,
     "payload_count is -1: must be 0"},
    {AW_SEND, 0, IN(dispatch, payloads), AW_NULL, 0, INVALID,
     "payloads is NULL: payload_count is 1"},
    {AW_SEND, 0, IN(dispatch, rows), AW_NULL, 0, INVALID, "rows is NULL: payload_count is 1"},
    {AW_SEND, 0, offsetof(struct aw, payloads[0]), AW_NULL, 0, INVALID, "payloads[0] is missing"},
    {AW_SEND, 0, offsetof(struct aw, payloads[0]), AW_ROW, 4, INVALID,
     "payloads[0] has 4 rows: must be 5"},
    {AW_SEND, 0, offsetof(struct aw, payloads[0]), AW_DTYPE, 2000, INVALID,
     "0 bits an element: must"},
    {AW_SEND, 0, offsetof(struct aw, rows[0]), AW_NULL, 0, INVALID, "rows[0] is missing"},
    {AW_SEND, 0, offsetof(struct aw, rows[0]), AW_COLUMN, 3, INVALID,
     "rows[0] has rows of 12 bytes: payloads[0] has 16"},
    {AW_SEND, 0, offsetof(struct aw, rows[0]), AW_ROW, 3, INVALID,
     "hold 3 rows: dispatch needs 25"},
    {AW_SEND, 0, IN(dispatch, row_slot), AW_ROW, 3, INVALID, "hold 3 rows: dispatch needs 25"},
    {AW_SEND, 0, IN(dispatch, row_slot), AW_DTYPE, 2032, INVALID, "must be int32 or int64"},
    {AW_SEND, 0, IN(dispatch, row_weight), AW_DTYPE, 32, INVALID, "must be float32"},
    {AW_SEND, 0, IN(dispatch, multiply), AW_INT, 2, INVALID, "multiply is 2: must be 0 or 1"},
    {AW_SEND, 0, IN(dispatch, multiply), AW_INT, 1, INVALID,
     "multiply is 1: the layer's weights go on the output"},
    {AW_FIXED, 0, IN(dispatch, dispatch_ids), AW_ROW, 7, INVALID,
     "dispatch_ids has 7 rows: at most fixed_tokens of config.transport, which is 6"},
    {AW_FIXED, 0, IN(dispatch, dispatch_weights), AW_NULL, 0, INVALID,
     "dispatch_weights is missing"},
    {AW_FIXED, 0, offsetof(struct aw, rows[0]), AW_NO_DATA, 0, INVALID, "rows[0] has no data"},
    {AW_FIXED, 2, IN(dispatch, row_weight), AW_NULL, 0, INVALID,
     "multiply must be 1, or row_weight"},
};

static const struct aw_row of_combine[] = {
    {AW_COMBINE, 0, 0, AW_NO_ARGS, 0, INVALID, "args is NULL"},
    {AW_COMBINE, 0, IN(combine, struct_size), AW_SIZE, 0, INVALID,
     "args.struct_size is 0: must be "},
    {AW_COMBINE, 0, 0, AW_TAIL, 0, SLUICE_UNSUPPORTED, "is not zero: this plugin knows the first"},
    {AW_COMBINE, 0, IN(combine, layer), AW_INT, -7, INVALID, "layer is -7: must be 0 to 2"},
    {AW_COMBINE, 0, IN(combine, layer), AW_INT, 1, INVALID,
     "handle is not one of a dispatch of layer 1"},
    {AW_COMBINE, 0, IN(combine, handle), AW_NULL, 0, INVALID, "handle is NULL"},
    {AW_COMBINE, 0, IN(combine, scale), AW_INT, 2, INVALID, "scale is 2: must be 0 or 1"},
    {AW_COMBINE, 0, IN(combine, rows), AW_NULL, 0, INVALID, "rows is missing"},
    {AW_COMBINE, 0, IN(combine, rows), AW_ROW, 24, INVALID,
     "rows has 24 rows: the dispatch wrote 25"},
    {AW_COMBINE, 0, IN(combine, rows), AW_DTYPE, 32, INVALID,
     "must be float32, float16 or bfloat16"},
    {AW_COMBINE, 0, IN(combine, out), AW_NULL, 0, INVALID, "out is missing"},
    {AW_COMBINE, 0, IN(combine, out), AW_ROW, 6, INVALID, "out has 6 rows: must be 5"},
    {AW_COMBINE, 0, IN(combine, out), AW_COLUMN, 3, INVALID, "out has 3 columns: must be 4"},
    {AW_COMBINE, 0, IN(combine, out), AW_DTYPE, 2016, INVALID, "16 bits, 1 lanes: must be float32"},
    {AW_COMBINE, 0, IN(combine, rows), AW_DTYPE, 2016, INVALID,
     "32 bits, 1 lanes: must be float16"},
    {AW_COMBINE, 0, IN(combine, rows), AW_DTYPE, 4016, INVALID,
     "32 bits, 1 lanes: must be bfloat16"},
    {AW_COMBINE, 0, IN(combine, zero_weight), AW_NULL, 0, INVALID,
     "zero_weight is missing: zero_wei"},
    {AW_COMBINE, 0, IN(combine, zero_weight), AW_ROW, 4, INVALID,
     "zero_weight has 4 rows: must be 5"},
    {AW_COMBINE, 0, IN(combine, x), AW_NULL, 0, INVALID, "x is missing: zero_weight and x come"},
    {AW_COMBINE, 0, IN(combine, x), AW_COLUMN, 3, INVALID, "x has 3 columns: must be 4"},
};

static const struct aw_row of_route[] = {
    {AW_ROUTE, 0, 0, AW_NO_ARGS, 0, INVALID, "args is NULL"},
    {AW_ROUTE, 0, IN(route, struct_size), AW_SIZE, 0, INVALID, "args.struct_size is 0: must be "},
    {AW_ROUTE, 0, 0, AW_TAIL, 0, SLUICE_UNSUPPORTED, "is not zero: this plugin knows the first"},
    {AW_ROUTE, 0, IN(route, layer), AW_INT, 3, INVALID, "layer is 3: must be 0 to 2"},
    {AW_ROUTE, 0, IN(route, logits), AW_NULL, 0, INVALID, "logits is missing"},
    {AW_ROUTE, 0, IN(route, logits), AW_COLUMN, 12, INVALID, "logits has 12 columns: must be 16"},
    {AW_ROUTE, 0, IN(route, bias), AW_NULL, 0, INVALID, "bias is missing"},
    {AW_ROUTE, 0, IN(route, num_valid), AW_ID, 6, INVALID, "num_valid is 6: must be 0 to 5"},
    {AW_ROUTE, 0, IN(route, row_base), AW_ID, -1, INVALID, "row_base is -1: must not be negative"},
    {AW_ROUTE, 0, IN(route, dispatch_ids), AW_COLUMN, 3, INVALID,
     "dispatch_ids has 3 columns: must be 5"},
    {AW_ROUTE, 0, IN(route, dispatch_weights), AW_ROW, 4, INVALID,
     "dispatch_weights has 4 rows: must be 5"},
    {AW_ROUTE, 0, IN(route, recorder_ids), AW_DTYPE, 2032, INVALID, "must be int32 or int64"},
    {AW_ROUTE, 0, IN(route, ids), AW_NULL, 0, INVALID, "ids is missing: ids and weights"},
    {AW_ROUTE, 0, IN(route, zero_weight_here), AW_ROW, 4, INVALID,
     "zero_weight_here has 4 rows: must be 5"},
    {AW_ROUTE, 1, IN(route, zero_weight_here), AW_GIVE, 0, INVALID,
     "the layer has no zero experts"},
};

static void expect_refused(struct aw *world, const struct aw_row *row)
{
    struct aw_state *before = ct_alloc(sizeof *before), *after = ct_alloc(sizeof *after);
    aw_good(world, row->op, row->layer);
    aw_spoil(world, row);
    aw_look(world, before);
    sluice_status status = aw_call(world, row->op);
    const char *text = ct_error(world->context);
    aw_look(world, after);
    ct_expect_eq_i64(status, row->status);
    ct_expect_str_has(text, row->says);
    ct_expect_eq_mem(&after->out, &before->out, sizeof before->out);
    ct_expect_eq_mem(&after->in, &before->in, sizeof before->in);
    ct_expect_eq_mem(after->counters, before->counters, sizeof before->counters);
    ct_expect_eq_mem(after->logical, before->logical, sizeof before->logical);
    ct_expect_eq_mem(&after->stats, &before->stats, sizeof before->stats);
    ct_expect_eq_mem(&after->counted, &before->counted, sizeof before->counted);
    ct_expect_eq_mem(&after->sent, &before->sent, sizeof before->sent);
}

/* Every row is refused; then the same calls without the damage go through, so that nothing they
 * need was lost. */
static void run_rows(const struct aw_row *rows, size_t count)
{
    struct aw *world = aw_make();
    ct_true(world != NULL);
    for (size_t i = 0; i < count; i++) {
        ct_note("row %zu: %s", i, rows[i].says);
        expect_refused(world, &rows[i]);
    }
    bool done[AW_OPS] = {false};
    for (size_t i = count; i-- > 0;) {
        if (done[rows[i].op])
            continue;
        done[rows[i].op] = true;
        ct_note("the good call of row %zu", i);
        aw_good(world, rows[i].op, 0);
        ct_expect_eq_i64(aw_call(world, rows[i].op), SLUICE_OK);
    }
    aw_close(world);
}

#define RUN(rows_) run_rows(rows_, sizeof(rows_) / sizeof *(rows_))

CT(args, topk, "topk refuses every bad argument by name and changes nothing")
{
    RUN(of_topk);
}

CT(args, remap, "remap refuses every bad argument by name and changes nothing")
{
    RUN(of_remap);
}

CT(args, record, "record and add_slots refuse every bad argument by name and change nothing")
{
    RUN(of_record);
}

CT(args, weights, "get_moe_weights refuses every bad argument by name and fills in no view")
{
    RUN(of_weights);
}

CT(args, dispatch, "dispatch refuses every bad argument by name, and its lanes go on as they were")
{
    RUN(of_dispatch);
}

CT(args, combine, "combine refuses every bad argument by name, and its handle stays good")
{
    RUN(of_combine);
}

CT(args, route, "route refuses every bad argument by name and changes nothing")
{
    RUN(of_route);
}

/* --------------------------------------------------------------------- beside the table above */

CT(args, no_context, "without a context every call is INVALID and touches nothing")
{
    struct aw *world = aw_make();
    ct_true(world != NULL);
    sluice_context *context = world->context;
    world->context = NULL;
    for (int32_t op = 0; op < AW_OPS; op++) {
        ct_note("operation %d", op);
        aw_good(world, (enum aw_op)op, 0);
        struct aw_out before;
        memcpy(&before, &world->out, sizeof before);
        ct_expect_eq_i64(aw_call(world, (enum aw_op)op), SLUICE_INVALID);
        ct_expect_eq_mem(&world->out, &before, sizeof before);
    }
    char text[8] = "unused";
    ct_expect_eq_u64(ct_api()->last_error(NULL, text, sizeof text), 0);
    ct_expect_str_eq(text, "");
    world->context = context;
    aw_close(world);
}

CT(args, no_output, "topk, remap and route without an output say so")
{
    struct aw *world = aw_make();
    ct_true(world != NULL);
    sluice_topk_args topk = {.struct_size = sizeof topk,
                             .layer = 1,
                             .logits = ct_tensor(world->in.logits, CT_F32, AW_T, AW_E)};
    ct_expect_eq_i64(ct_api()->topk(world->context, &topk), SLUICE_INVALID);
    ct_expect_str_has(ct_error(world->context), "no output is given");
    sluice_remap_args remap = {.struct_size = sizeof remap,
                               .layer = 1,
                               .ids = ct_tensor(world->in.ids, CT_I32, AW_T, AW_K)};
    ct_expect_eq_i64(ct_api()->remap(world->context, &remap), SLUICE_INVALID);
    ct_expect_str_has(ct_error(world->context), "no output is given");
    world->args.route = (sluice_route_args){
        .struct_size = sizeof world->args.route, .layer = 1, .logits = topk.logits};
    ct_expect_eq_i64(aw_call(world, AW_ROUTE), SLUICE_INVALID);
    ct_expect_str_has(ct_error(world->context), "no output is given");
    aw_close(world);
}

CT(args, last_error_cuts, "last_error cuts to the size and gives the whole length")
{
    struct aw *world = aw_make();
    ct_true(world != NULL);
    char text[8];
    memset(text, '#', sizeof text);
    ct_expect_eq_u64(ct_api()->last_error(world->context, text, 5), 0);
    ct_expect_eq_i64(text[0], 0);
    aw_good(world, AW_TOPK, 0);
    world->args.topk.layer = 77;
    ct_expect_eq_i64(aw_call(world, AW_TOPK), SLUICE_INVALID);
    const char *whole = ct_error(world->context);
    ct_expect_eq_u64(ct_api()->last_error(world->context, text, 5), strlen(whole));
    ct_expect_str_eq(text, "laye");
    ct_expect_eq_i64(text[5], '#');
    ct_expect_eq_u64(ct_api()->last_error(world->context, NULL, 0), strlen(whole));
    aw_good(world, AW_TOPK, 0);
    ct_expect_eq_i64(aw_call(world, AW_TOPK), SLUICE_OK);
    ct_expect_str_eq(ct_error(world->context), whole);
    aw_close(world);
}

CT(args, stale_handles, "a handle is STALE once its lane has dispatched again")
{
    struct aw *world = aw_make();
    ct_true(world != NULL);
    aw_good(world, AW_COUNT, 0);
    ct_eq_i64(aw_call(world, AW_COUNT), SLUICE_OK);
    aw_good(world, AW_SEND, 0);
    ct_expect_eq_i64(aw_call(world, AW_SEND), SLUICE_STALE);
    ct_expect_str_has(ct_error(world->context), "handle");
    aw_good(world, AW_FIXED, 0);
    ct_eq_i64(aw_call(world, AW_FIXED), SLUICE_OK);
    aw_good(world, AW_COMBINE, 0);
    ct_expect_eq_i64(aw_call(world, AW_COMBINE), SLUICE_STALE);
    ct_expect_str_has(ct_error(world->context), "handle is of an earlier dispatch");
    memset(&world->sent, 0xFF, sizeof world->sent);
    ct_expect_eq_i64(aw_call(world, AW_COMBINE), SLUICE_INVALID);
    ct_expect_str_has(ct_error(world->context), "handle is not one of a dispatch");
    aw_close(world);
}

CT(args, nothing_not_asked_for, "dispatch and combine are UNSUPPORTED where open did not ask")
{
    sluice_router router = {.struct_size = sizeof router, .experts = 8, .top_k = 2};
    sluice_config config = ct_config(&router, 1, 0, 1);
    sluice_context *context = ct_open(&config);
    ct_true(context != NULL);
    int32_t ids[2] = {0, 1};
    int64_t count = -5;
    sluice_handle handle = {{1, 0, 0, 0}};
    sluice_dispatch_args dispatch = {.struct_size = sizeof dispatch,
                                     .phase = SLUICE_DISPATCH_COUNT,
                                     .handle = &handle,
                                     .dispatch_ids = ct_tensor(ids, CT_I32, 1, 2),
                                     .row_count = &count};
    ct_expect_eq_i64(ct_api()->dispatch(context, &dispatch), SLUICE_UNSUPPORTED);
    ct_expect_str_has(ct_error(context), "config.uses did not have EXACT");
    dispatch.phase = SLUICE_DISPATCH_FIXED;
    ct_expect_eq_i64(ct_api()->dispatch(context, &dispatch), SLUICE_UNSUPPORTED);
    ct_expect_str_has(ct_error(context), "config.uses did not have FIXED");
    const sluice_combine_args combine = {.struct_size = sizeof combine, .handle = &handle};
    ct_expect_eq_i64(ct_api()->combine(context, &combine), SLUICE_UNSUPPORTED);
    ct_expect_str_has(ct_error(context), "config.uses");
    ct_expect_eq_i64(count, -5);
    ct_api()->close(context);
}

/* ----------------------------------------------------------------- numbers that are no numbers */

/* Row 0 all NaN, row 1 all -inf, row 2 NaN but for experts 9 and 4, row 3 +inf at expert 2. */
static void fill_odd(float *logits)
{
    for (int32_t i = 0; i < AW_E; i++) {
        logits[i] = NAN;
        logits[AW_E + i] = -INFINITY;
        logits[2 * AW_E + i] = i == 9 ? 1.0F : i == 4 ? 0.5F : NAN;
        logits[3 * AW_E + i] = i == 2 ? INFINITY : i % 2 ? NAN : -(float)i;
    }
}

static void expect_odd(const int32_t *ids, const float *weights)
{
    static const int32_t want[4][AW_K] = {{-1, -1, -1}, {-1, -1, -1}, {9, 4, -1}, {2, 0, 4}};
    for (int32_t t = 0; t < 4; t++)
        for (int32_t k = 0; k < AW_K; k++) {
            ct_note("row %d, choice %d", t, k);
            float weight = weights[t * AW_K + k];
            ct_expect_eq_i64(ids[t * AW_K + k], want[t][k]);
            ct_expect_true(isfinite(weight) && weight >= 0.0F);
            if (want[t][k] < 0)
                ct_expect_eq_f32bits(weight, 0.0F);
        }
    ct_expect_near(weights[2 * AW_K] + weights[2 * AW_K + 1], 1.0F, 1e-6);
    ct_expect_eq_f32bits(weights[3 * AW_K], 1.0F);
}

CT(args, nan_is_never_chosen, "NaN and -inf logits are no error and no choice, by topk and route")
{
    struct aw *world = aw_make();
    ct_true(world != NULL);
    fill_odd(world->in.logits);
    aw_good(world, AW_TOPK, 1);
    ct_expect_eq_i64(aw_call(world, AW_TOPK), SLUICE_OK);
    expect_odd(world->out.ids, world->out.weights);
    aw_good(world, AW_ROUTE, 1);
    ct_expect_eq_i64(aw_call(world, AW_ROUTE), SLUICE_OK);
    expect_odd(world->out.ids, world->out.weights);
    for (int32_t t = 0; t < 2; t++)
        for (int32_t c = 0; c < AW_C; c++) /* such a row keeps its shared columns */
            ct_expect_eq_i64(world->out.dispatch_ids[t * AW_C + c],
                             c < AW_K ? -1 : AW_E + c - AW_K);
    aw_close(world);
}
