/* left.h - what the process holds, for tests that nothing is left behind. */
#ifndef LEFT_H
#define LEFT_H

#include <stdbool.h>

typedef struct left {
    long descriptors, threads, resident_kib, allocated;
} left;

left left_now(void);
void left_print(const char *when, left l);
/* Open descriptors; those only that a program which is started inherits. */
int open_descriptors(bool inherited_only);

#endif
