/* What this machine has, and what is missing: `sinter doctor`. */
#ifndef DOCTOR_H
#define DOCTOR_H

int doctor(void); /* prints a line for each; EXIT_OK, or EXIT_TOOL when something is missing that every build needs */
#endif
