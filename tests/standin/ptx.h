/* SPDX-License-Identifier: Apache-2.0 */
/* A PTX module as the stand-in keeps it: every instruction matched to one form of ptx_form.c, its
 * registers turned into rows of a warp's register file. Nothing is executed that was not matched
 * whole: a modifier, operand or directive that is not known refuses the module, by line. */
#ifndef STANDIN_PTX_H
#define STANDIN_PTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ptx_type {
    PT_NONE,
    PT_B8,
    PT_U8,
    PT_S8,
    PT_B16,
    PT_U16,
    PT_S16,
    PT_B32,
    PT_U32,
    PT_S32,
    PT_B64,
    PT_U64,
    PT_S64,
    PT_F16,
    PT_F16X2,
    PT_BF16,
    PT_BF16X2,
    PT_F32,
    PT_F32X2,
    PT_F64,
    PT_PRED,
    PT_COUNT
};

/* Kinds of modifiers that a form may take beside its types and fixed words. */
enum ptx_kind {
    PK_SPACE,
    PK_ROUND,
    PK_COMPARE,
    PK_BOOL,
    PK_SEM,
    PK_SCOPE,
    PK_VECTOR,
    PK_FTZ,
    PK_SAT,
    PK_CACHE, /* hints that change no result */
    PK_UNI,
    PK_ATOM,
    PK_COUNT
};

enum ptx_space { PS_GENERIC, PS_GLOBAL, PS_SHARED, PS_LOCAL, PS_PARAM, PS_CONST };
/* Rounding to an integral value; .rn stands in the names of forms, others are refused. */
enum ptx_round { PR_NONE, PR_RNI, PR_RZI, PR_RMI, PR_RPI };
enum ptx_compare {
    PC_NONE,
    PC_EQ,
    PC_NE,
    PC_LT,
    PC_LE,
    PC_GT,
    PC_GE,
    PC_EQU,
    PC_NEU,
    PC_LTU,
    PC_LEU,
    PC_GTU,
    PC_GEU,
    PC_NUM,
    PC_NAN
};
enum ptx_bool { PB_NONE, PB_AND, PB_OR, PB_XOR };
enum ptx_sem { PM_NONE, PM_WEAK, PM_RELAXED, PM_ACQUIRE, PM_RELEASE, PM_ACQ_REL, PM_VOLATILE };
enum ptx_scope { PO_NONE, PO_CTA, PO_CLUSTER, PO_GPU, PO_SYS };
enum ptx_atom {
    PA_NONE,
    PA_ADD,
    PA_MIN,
    PA_MAX,
    PA_AND,
    PA_OR,
    PA_XOR,
    PA_EXCH,
    PA_CAS,
    PA_INC,
    PA_DEC
};

/* What the warp loop itself does with an instruction; PX_NONE runs the form's function. */
enum ptx_control {
    PX_NONE,
    PX_BRANCH,
    PX_BRANCH_INDEX,
    PX_EXIT,
    PX_TRAP,
    PX_BARRIER,
    PX_ARRIVE,
    PX_COLLECT, /* a .sync among the lanes of a mask: the function runs once they are there */
    PX_POLL     /* the function runs, and a repeat of it lets others run */
};

/* Classes that warp instructions are counted by; the order is that of standin.h. */
enum ptx_class {
    PCL_INT,
    PCL_FLOAT,
    PCL_CONVERT,
    PCL_MOVE,
    PCL_COMPARE,
    PCL_BRANCH,
    PCL_GLOBAL_LOAD,
    PCL_GLOBAL_STORE,
    PCL_SHARED,
    PCL_LOCAL,
    PCL_PARAM,
    PCL_ATOMIC,
    PCL_COLLECT,
    PCL_BARRIER,
    PCL_COUNT
};

#define PTX_SRC_MAX 10
#define PTX_NO_ROW INT32_MIN

struct warp;
struct ptx_ins;
typedef void ptx_exec(struct warp *warp, const struct ptx_ins *ins, uint32_t mask);

/* One form of an instruction. Types are bits (1 << PT_x). */
struct ptx_form {
    const char *name;  /* base and the words that must be there, in any order: "mul.lo" */
    uint32_t types;    /* first type, 0: none may be given */
    uint32_t types2;   /* second type, likewise */
    uint32_t allow;    /* kinds that may be given (bits of enum ptx_kind) */
    uint32_t need;     /* kinds that must be given */
    const char *shape; /* operands, see ptx_operand.c */
    ptx_exec *exec;
    uint8_t control;
    uint8_t cls;
};

struct ptx_ins {
    const struct ptx_form *form;
    ptx_exec *exec;
    uint8_t mod[PK_COUNT];
    uint8_t type, type2;
    uint8_t cls;
    uint8_t vec;   /* elements of a vector load or store, 1 without */
    uint8_t dbits; /* width of the first destination register */
    uint8_t nd, ns, nq, ncheck, nset;
    bool guard_not, reads_clock;
    int32_t guard;          /* predicate, PTX_NO_ROW: none */
    int32_t d[8];           /* rows written, PTX_NO_ROW: thrown away */
    int32_t p[2];           /* predicates written, PTX_NO_ROW: none or thrown away */
    int32_t s[PTX_SRC_MAX]; /* rows read; below 0: constant ~s */
    int32_t q[2];           /* predicates read */
    bool q_not[2];
    int32_t base;                   /* row of the address, below 0: constant ~base */
    int64_t offset;                 /* added to it */
    int32_t target;                 /* instruction of a label, or index of a table of labels */
    int32_t check[PTX_SRC_MAX + 4]; /* what must have been written: rows, and rows + predicates */
    int32_t set[10];                /* what is written, likewise */
    int32_t line, src_line;
    uint32_t used_bytes; /* bits: bytes of a load that are looked at */
};

struct ptx_param {
    uint32_t offset, size;
};

struct ptx_table {
    int32_t *target;
    int32_t count;
};

struct ptx_module;

struct ptx_function {
    char *name;
    struct ptx_module *module;
    struct ptx_ins *code;
    int32_t ncode;
    int32_t rows, preds; /* registers and predicates, the special ones included */
    uint64_t (*consts)[32];
    int32_t nconsts;
    struct ptx_param *params;
    int32_t nparams;
    uint32_t param_bytes;
    uint32_t shared_bytes; /* static, this function's and the module's */
    uint32_t local_bytes;  /* a thread */
    uint32_t max_threads;  /* from .maxntid or .reqntid, else 1024 */
    uint32_t need_threads[3];
    struct ptx_table *tables;
    int32_t ntables;
};

/* A variable of the module in global or constant memory; `data` are its first bytes. */
struct ptx_variable {
    char *name;
    uint64_t size, align, address;
    uint8_t *data;
    bool is_const;
};

struct ptx_module {
    struct ptx_function *functions;
    int32_t nfunctions;
    struct ptx_variable *variables;
    int32_t nvariables;
    int32_t target; /* 90 for sm_90 */
    uint32_t shared_bytes;
};

/* Special registers have the first rows, in this order; a warp fills them when it starts. */
enum ptx_special {
    SR_TID_X,
    SR_TID_Y,
    SR_TID_Z,
    SR_NTID_X,
    SR_NTID_Y,
    SR_NTID_Z,
    SR_CTAID_X,
    SR_CTAID_Y,
    SR_CTAID_Z,
    SR_NCTAID_X,
    SR_NCTAID_Y,
    SR_NCTAID_Z,
    SR_LANEID,
    SR_WARPID,
    SR_NWARPID,
    SR_SMID,
    SR_NSMID,
    SR_GRIDID,
    SR_LANEMASK_EQ,
    SR_LANEMASK_LT,
    SR_LANEMASK_LE,
    SR_LANEMASK_GT,
    SR_LANEMASK_GE,
    SR_DYNAMIC_SMEM,
    SR_TOTAL_SMEM,
    SR_CLOCK,
    SR_CLOCK64,
    SR_GLOBALTIMER,
    SR_COUNT
};

/* Addresses within the spaces that are not global start here, so that 0 is never one. */
#define PTX_PARAM_BASE 0x1000U
#define PTX_SHARED_BASE 0x400U
#define PTX_LOCAL_BASE 0x100U
/* Windows of these spaces among generic addresses. */
#define PTX_SHARED_WINDOW 0x0000010000000000ULL
#define PTX_LOCAL_WINDOW 0x0000020000000000ULL
#define PTX_PARAM_WINDOW 0x0000030000000000ULL
#define PTX_WINDOW_BYTES 0x0000010000000000ULL

int ptx_type_bits(int type);

/* Turns text (with its NUL) into a module. `place` gives a variable its device address, or 0.
 * NULL on failure, with a message in `why` that names the line. */
struct ptx_module *ptx_parse(const char *text, uint64_t (*place)(void *arg, uint64_t bytes),
                             void *arg, char *why, size_t why_bytes);
void ptx_free(struct ptx_module *module);

/* The form of an opcode as it is written ("ld.global.v4.u32"); fills types and modifiers of *ins.
 * NULL when no form has exactly these words; *why says which word, if one is to blame. */
const struct ptx_form *ptx_form_find(const char *opcode, struct ptx_ins *ins, const char **why);

/* The tables of forms, each ended by a form without a name. */
extern const struct ptx_form ptx_forms_int[], ptx_forms_float[], ptx_forms_convert[],
    ptx_forms_move[], ptx_forms_memory[], ptx_forms_warp[], ptx_forms_half[];

#endif
