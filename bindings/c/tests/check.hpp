/* check.hpp - check.h and fixture.h for tests in C++. What they include comes first, outside of extern "C". */
#ifndef CHECK_HPP
#define CHECK_HPP

#include <inlong_dataproxy.hpp>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define _Noreturn [[noreturn]]
extern "C" {
#include "fixture.h"
}
#undef _Noreturn

#endif
