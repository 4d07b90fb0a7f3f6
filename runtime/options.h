/* Values of a run: the command line first, then the description, then the table's default. */
#ifndef RUNTIME_OPTIONS_H
#define RUNTIME_OPTIONS_H
#include "abi.h"
#include <stdbool.h>
#include <stdio.h>

enum { /* verbs, as bits */
       RT_VERB_TRAIN = 1,
       RT_VERB_EVAL = 2,
       RT_VERB_PREDICT = 4,
       RT_VERB_BENCH = 8,
       RT_VERB_INFO = 16,
       RT_VERB_RUN = 32,
       RT_VERB_STEP = 64,
       RT_VERB_TIME = 128,
       RT_VERB_OCR = 256,
       RT_VERB_FEATURES = 512,
       RT_VERB_TSNE = 1024
};

enum { RT_OPTIONS_MAX = 96 };

typedef struct RtOptions {
    const RtModel *model;
    unsigned verb;
    const char *value[RT_OPTIONS_MAX]; /* by row of the table; NULL: not on the command line */
    const char **rest;                 /* what is no option: images to predict */
    int nrest;
} RtOptions;

/* Exits 2 on C001, C002. Only the syntax and each value by itself are checked. */
void rt_options_parse(RtOptions *o, const RtModel *m, unsigned verb, int argc, char **argv);
void rt_options_free(RtOptions *o);
void rt_options_help(FILE *f, const RtModel *m, unsigned verb);

/* By key, "train.epochs". Keys outside the table are looked up in the description only. */
bool rt_option_given(const RtOptions *o, const char *key); /* on the command line */
bool rt_option_known(const RtOptions *o, const char *key); /* there or in the description */
const char *rt_option_str(const RtOptions *o, const char *key, const char *otherwise);
int64_t rt_option_int(const RtOptions *o, const char *key, int64_t otherwise);
double rt_option_num(const RtOptions *o, const char *key, double otherwise);
bool rt_option_bool(const RtOptions *o, const char *key, bool otherwise);
/* "a, b" or "[a, b]" -> words, in one malloc'ed block that starts with the pointers. */
char **rt_option_list(const char *text, int *n);
/* Every option of the verb that has a value: for args.yaml. */
void rt_options_print(const RtOptions *o, FILE *f);

/* The flag of a value of the verb: "train.lr" -> "lr"; NULL: there is none. */
const char *rt_options_flag(const char *key, unsigned verb);

/* The nearest of n names within a third of the letters; NULL: none is near. */
const char *rt_nearest(const char *word, const char *(*name)(int i), int n);
#endif
