/* forks.h - children and what is asked of them, for the tests of fork. */
#ifndef FORKS_H
#define FORKS_H

#include <sys/types.h>

#include "fixture.h"

/* Runs f(argument) in a forked child that then leaves by exit(0); the child's status. */
int in_child(void (*f)(void *), void *argument);

/* Every call on what the parent opened answers INLONG_ERR_FORKED at once; closing and freeing do nothing. */
void check_old_handles(const fixture *parents);

/* Opens a client to the Manager at `url`, and sends `count` messages with callbacks and `count` through the queue: each gets its
 * ack. Closes it. */
void send_with_a_client_of_its_own(const char *url, int count);

#endif
