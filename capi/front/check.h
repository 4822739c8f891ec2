/* SPDX-License-Identifier: Apache-2.0
 * check.h - checks of arguments. Each answers INLONG_OK or a code whose text is in inlong_last_error. */
#ifndef INLONG_CHECK_H
#define INLONG_CHECK_H

#include "front.h"

int inlong_check_shape(const inlong_message *m);
/* inlong_check_shape, and a copy to `m`, of full size, with all lengths resolved except those of attributes. */
int inlong_check_message(const inlong_message *from, inlong_message *m);
int inlong_check_timeout(int64_t timeout_ms);
int inlong_check_size(const char *what, size_t size, size_t want);
int inlong_check_err(size_t errlen);
int inlong_check_buffer(const char *buf, size_t len);

#endif
