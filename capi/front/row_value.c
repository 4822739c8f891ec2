/* SPDX-License-Identifier: Apache-2.0
 * row_value.c - numbers, bools and times as text, whatever the host's locale and time zone are. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "row.h"

static size_t copy(char *to, const char *text)
{
    size_t len = strlen(text);
    memcpy(to, text, len);
    return len;
}

/* At a power of two the numbers below lie closer: the text next above may be read back where the nearest one, below, is not. */
static bool next_above(char *text, double d)
{
    char *last = strchr(text, 'e') - 1;
    *last += *last < '9';
    return strtod(text, NULL) == d;
}

/* The digits of a number above 0, as few as tell it from others, and its exponent: 0.digits x 10^exponent. */
static int digits_of(double d, char *digits, int *exponent)
{
    char text[40];
    for (int precision = d < DBL_MIN ? 0 : 14; precision <= 16; precision++) { /* what is smaller has fewer digits */
        snprintf(text, sizeof text, "%.*e", precision, d);
        if (precision == 16 || strtod(text, NULL) == d || (precision == 15 && next_above(text, d)))
            break;
    }
    char *e = strchr(text, 'e');
    *exponent = atoi(e + 1) + 1;
    int n = 0;
    for (char *c = text; c < e; c++)
        if (*c >= '0' && *c <= '9') /* the point is the locale's */
            digits[n++] = *c;
    while (n > 1 && digits[n - 1] == '0')
        n--;
    return n;
}

static size_t write_double(double d, char *to)
{
    if (isnan(d))
        return copy(to, "NaN");
    char *at = to;
    if (signbit(d))
        *at++ = '-';
    d = fabs(d);
    if (isinf(d))
        return (size_t)(at - to) + copy(at, "Infinity");
    if (d == 0)
        return (size_t)(at - to) + copy(at, "0");
    char digits[24];
    int exponent, n = digits_of(d, digits, &exponent);
    if (exponent <= -6 || exponent > 21) { /* as JSON has it, and core/row */
        *at++ = digits[0];
        if (n > 1)
            *at++ = '.';
        memcpy(at, digits + 1, (size_t)n - 1);
        at += n - 1;
        return (size_t)(at - to) + (size_t)snprintf(at, 8, "e%+03d", exponent - 1);
    }
    if (exponent <= 0) {
        at += copy(at, "0.");
        memset(at, '0', (size_t)-exponent);
        at -= exponent;
    }
    for (int i = 0; i < n || i < exponent; i++) {
        if (i > 0 && i == exponent)
            *at++ = '.';
        *at++ = i < n ? digits[i] : '0';
    }
    return (size_t)(at - to);
}

static size_t write_time(int64_t ms, char *to)
{
    const int64_t day_ms = 86400000;
    int64_t days = ms / day_ms, rest = ms % day_ms;
    if (rest < 0) {
        rest += day_ms;
        days--;
    }
    /* Days since 1 March of the year 0, in cycles of 400 years: the leap day is the last of a year then. */
    days += 719468;
    if (days < -60 || days > 3652424 + 60)
        return 0;
    int64_t cycle = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_cycle = days - cycle * 146097;
    int64_t year = (of_cycle - of_cycle / 1460 + of_cycle / 36524 - of_cycle / 146096) / 365;
    int64_t of_year = of_cycle - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153;
    int day = (int)(of_year - (153 * month + 2) / 5 + 1);
    month += month < 10 ? 3 : -9;
    year += cycle * 400 + (month <= 2);
    if (year < 0 || year > 9999)
        return 0;
    int s = (int)(rest / 1000);
    return (size_t)snprintf(to, 32, "%04d-%02d-%02d %02d:%02d:%02d", (int)year, (int)month, day, s / 3600, s / 60 % 60, s % 60);
}

size_t inlong_row_value(const inlong_field *field, char *to)
{
    switch (field->kind) {
    case INLONG_FIELD_INT:
        return (size_t)snprintf(to, 32, "%lld", (long long)field->value.i);
    case INLONG_FIELD_UINT:
        return (size_t)snprintf(to, 32, "%llu", (unsigned long long)field->value.u);
    case INLONG_FIELD_DOUBLE:
        return write_double(field->value.d, to);
    case INLONG_FIELD_BOOL:
        return copy(to, field->value.i ? "true" : "false");
    case INLONG_FIELD_TIME:
        return write_time(field->value.i, to);
    default:
        return 0;
    }
}
