/* SPDX-License-Identifier: Apache-2.0
 * options.c - options before they are a client's: keys are checked here, values by the core. */
#include <stdlib.h>
#include <string.h>

#include "check.h"

inlong_options *inlong_options_new(void) { return calloc(1, sizeof(inlong_options)); }

static void free_item(inlong_core_option *item)
{
    free((char *)item->key);
    free((char *)item->value);
}

void inlong_options_free(inlong_options *options)
{
    if (!options)
        return;
    for (size_t i = 0; i < options->count; i++)
        free_item(&options->items[i]);
    free(options->items);
    free(options);
}

static int check_key(const char *key)
{
    for (size_t i = 0; i < inlong_option_table_size; i++)
        if (strcmp(key, inlong_option_table[i].key) == 0)
            return INLONG_OK;
    const char *nearest = inlong_nearest_option(key);
    if (!nearest)
        return inlong_fail(INLONG_ERR_OPTION, "option \"%.64s\": unknown", key);
    return inlong_fail(INLONG_ERR_OPTION, "option \"%.64s\": unknown; did you mean \"%s\"?", key, nearest);
}

static inlong_core_option *item_of(inlong_options *options, const char *key)
{
    for (size_t i = 0; i < options->count; i++)
        if (strcmp(options->items[i].key, key) == 0)
            return &options->items[i];
    if (options->count == options->room) {
        size_t room = options->room ? 2 * options->room : 8;
        inlong_core_option *items = realloc(options->items, room * sizeof *items);
        if (!items)
            return NULL;
        options->items = items;
        options->room = room;
    }
    inlong_core_option *item = &options->items[options->count];
    item->value = NULL;
    item->key = strdup(key);
    if (!item->key)
        return NULL;
    options->count++;
    return item;
}

static int set(inlong_options *options, const char *key, const char *value)
{
    if (!options || !key || !value)
        return inlong_fail(INLONG_ERR_ARG, "%s is NULL", !options ? "options" : !key ? "key" : "value");
    if (!inlong_is_utf8(key, strlen(key)))
        return inlong_fail(INLONG_ERR_OPTION, "key is not UTF-8");
    int code = check_key(key);
    if (code != INLONG_OK)
        return code;
    if (!inlong_is_utf8(value, strlen(value)))
        return inlong_fail(INLONG_ERR_OPTION, "option %s: the value is not UTF-8", key);
    char *copy = strdup(value);
    inlong_core_option *item = copy ? item_of(options, key) : NULL;
    if (!item) {
        free(copy);
        return inlong_fail(INLONG_ERR_NOMEM, "no memory for option %s", key);
    }
    free((char *)item->value);
    item->value = copy;
    return INLONG_OK;
}

int inlong_options_set(inlong_options *options, const char *key, const char *value, char *err, size_t errlen)
{
    return inlong_check_err(errlen) == INLONG_OK ? inlong_tell(set(options, key, value), err, errlen) : INLONG_ERR_ARG;
}

int inlong_options_set_log(inlong_options *options, inlong_log_callback callback, void *user, int level)
{
    if (!options)
        return inlong_fail(INLONG_ERR_ARG, "options is NULL");
    int code = inlong_log_sink_of(&options->log, callback, user, level);
    options->own_log |= code == INLONG_OK;
    return code;
}

int inlong_options_set_batch_callback(inlong_options *options, inlong_batch_callback callback, void *user)
{
    if (!options)
        return inlong_fail(INLONG_ERR_ARG, "options is NULL");
    options->results = callback;
    options->results_user = user;
    return INLONG_OK;
}

int inlong_options_set_auth(inlong_options *options, inlong_auth_callback callback, void *user)
{
    if (!options)
        return inlong_fail(INLONG_ERR_ARG, "options is NULL");
    options->asks = callback != NULL;
    options->auth = callback == INLONG_AUTH_QUEUE ? NULL : callback;
    options->auth_user = user;
    return INLONG_OK;
}

const inlong_option_info *inlong_options_describe(size_t index)
{
    return index < inlong_option_table_size ? &inlong_option_table[index] : NULL;
}
