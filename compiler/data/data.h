/* `sinter data VERB ...`: what lies in data sets, and sets that are made here. */
#ifndef DATA_DATA_H
#define DATA_DATA_H

/* What follows `data` on the command line -> exit code. */
int data_main(int argc, char **argv);

/* The verbs, a file each; argv begins behind the verb. */
int data_make(int argc, char **argv);
int data_ls(int argc, char **argv);
int data_split(int argc, char **argv);
int data_check(int argc, char **argv);
#endif
