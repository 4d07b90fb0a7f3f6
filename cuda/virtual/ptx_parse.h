/* The parser's state, and how instructions are built. */
#ifndef CUDA_VIRTUAL_PTX_PARSE_H
#define CUDA_VIRTUAL_PTX_PARSE_H
#include "ptx_lex.h"
#include "ptx_module.h"

typedef enum SymbolKind {
    SYM_REG,
    SYM_RANGE,
    SYM_SHARED,
    SYM_DYNAMIC,
    SYM_GLOBAL,
    SYM_LOCAL,
    SYM_PARAM,
    SYM_FUNC
} SymbolKind;
typedef struct Symbol {
    const char *name;
    SymbolKind kind;
    uint8_t class;  /* REG, RANGE */
    uint32_t index; /* first virtual register; GLOBAL: of the variable */
    int64_t at;     /* RANGE: count; SHARED, LOCAL, PARAM: offset; GLOBAL: host address */
    size_t size;    /* bytes */
    Body *func;
    int next; /* older symbol of the same hash, or -1 */
    uint32_t hash;
} Symbol;

typedef struct Label {
    const char *name;
    int len;
    int64_t target;   /* instruction; -1: not seen yet */
    const int *table; /* .branchtargets: labels; else NULL */
    int ntargets;
    int line; /* of the first use */
    int next;
} Label;

typedef struct Jump { /* a branch whose target is known at the body's end */
    uint32_t inst;
    int label;
    uint32_t *field; /* NULL: Inst.imm */
} Jump;

typedef enum OperandKind {
    OPERAND_REG,
    OPERAND_IMM,
    OPERAND_ADDRESS,
    OPERAND_VECTOR,
    OPERAND_SYMBOL,
    OPERAND_SINK
} OperandKind;
enum { MOST_ELEMENTS = 16, MOST_OPERANDS = 8 };
typedef struct Operand {
    OperandKind kind;
    bool negated;  /* !%p */
    uint32_t vreg; /* REG */
    uint8_t class;
    uint64_t value; /* IMM: bits */
    int float_bits; /* IMM: 0, 32, 64 */
    const Symbol *symbol;
    int64_t offset; /* SYMBOL, ADDRESS */
    int n;          /* VECTOR, ADDRESS: one element, the base */
    struct Operand *element;
} Operand;

enum { BUCKETS = 1024, FIXED = 4096 };
typedef struct Parse {
    Lex lex;
    jmp_buf failed;
    PtxModule *m;
    PtxPool scratch;
    Body *body; /* NULL at module scope */
    PTX_LIST(Symbol) symbol;
    int bucket[BUCKETS];
    PTX_LIST(Label) label;
    PTX_LIST(Jump) jump;
    int label_bucket[BUCKETS];
    uint32_t fixed[FIXED]; /* constants and special registers of the body: virtual register + 1 */
    size_t local;          /* bytes so far */
    /* the instruction at hand */
    char op[128];
    char *part[16]; /* of op, between dots */
    int nparts;
    bool used[16];
    Operand operand[MOST_OPERANDS];
    int noperands;
    int line;
    uint32_t guard; /* virtual register */
    bool flip;
    uint32_t used_bytes; /* of the load that comes next, as a mask; 0: all */
} Parse;

/* ptx_operand.c: names and operands */
const Symbol *symbol_find(Parse *p, const char *name, int len, uint32_t *index);
Symbol *symbol_add(Parse *p, const char *name, int len, SymbolKind kind);
void symbols_leave(Parse *p, int keep); /* forgets all but the first `keep` */
uint32_t vreg_new(Parse *p, RegClass class);
uint32_t vreg_constant(Parse *p, RegClass class, uint64_t value);
uint32_t vreg_special(Parse *p, Special s);
void parse_operands(Parse *p); /* up to the semicolon */

/* ptx_build.c: instructions */
Inst *inst_new(Parse *p, InstFn fn);
void inst_reg(Parse *p, Inst *in, int which, const Operand *o, RegClass class, bool def);
void inst_more(Parse *p, Inst *in, int first, const Operand *o, RegClass class, bool def); /* in->more must have room */
void inst_vreg(Parse *p, Inst *in, int which, uint32_t vreg, bool def);
Special local_base(const Parse *p); /* of the body at hand */
void inst_address(Parse *p, Inst *in, const Operand *o);
void inst_source(Parse *p, Inst *in, const Operand *o);
bool part_take(Parse *p, const char *name);          /* a modifier of the opcode; marks it as understood */
int part_choice(Parse *p, const char *const *names); /* which of them the opcode has, or -1; NULL ends the list */
void parts_all_known(Parse *p);
void want_operands(Parse *p, int n);
int64_t constant_operand(Parse *p, int i);
void build_instruction(Parse *p);

/* ptx_module.c */
int label_of(Parse *p, const char *name, int len);
#endif
