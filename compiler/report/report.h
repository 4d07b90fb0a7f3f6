/* `sinter report` and `sinter compare`. */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

int report_main(int argc, char **argv);
int compare_main(int argc, char **argv);
#endif
