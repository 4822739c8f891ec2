/* SPDX-License-Identifier: Apache-2.0
 * good.c - ids and attributes that are surely good, and may go by the ring. Whether the name of an attribute is free only the core knows: one
 * that it has taken is known for as long as the client lives. */
#include <string.h>

#include "front.h"

bool inlong_good_id(const char *id, size_t n, size_t least)
{
    if (n < least || n > INLONG_LONGEST_ID)
        return false;
    for (size_t i = 0; i < n; i++) {
        char c = id[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-'))
            return false;
    }
    return true;
}

static size_t length(const char *text, size_t len) { return len == 0 && text ? strlen(text) : len; }

static bool good_value(const char *value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (value[i] < ' ' || value[i] > '~' || value[i] == '&' || value[i] == '=')
            return false;
    return len == 0 || (value[0] != ' ' && value[len - 1] != ' ');
}

/* auditVersion is a name whose values have a rule of their own. */
static bool good_of(const char *name, size_t name_len, const char *value, size_t len)
{
    static const char audit[] = "auditVersion";
    if (name_len != sizeof audit - 1 || memcmp(name, audit, name_len) != 0)
        return good_value(value, len);
    for (size_t i = 0; i < len; i++)
        if (value[i] < '0' || value[i] > '9')
            return false;
    return len == 1 || (len > 1 && len < 19 && value[0] != '0'); /* one of 19 digits may be too large: the core knows */
}

/* The number of a name that is known. */
static int find(const inlong_ring *r, const char *name, size_t len)
{
    int n = (int)atomic_load_explicit(&r->names, memory_order_acquire);
    while (--n >= 0 && !(strlen(r->name[n]) == len && memcmp(r->name[n], name, len) == 0))
        ;
    return n;
}

bool inlong_good_attributes(const inlong_ring *r, const inlong_message *m, char *text, size_t *len)
{
    unsigned seen = 0;
    size_t used = 0;
    for (size_t i = 0; i < m->attribute_count; i++) {
        const inlong_attribute *a = &m->attributes[i];
        size_t name_len = length(a->key, a->key_len), value_len = length(a->value, a->value_len);
        if (name_len == 0 || name_len >= INLONG_LONGEST_NAME || value_len > INLONG_LONGEST_ATTRIBUTES ||
            used + name_len + value_len + 2 > INLONG_LONGEST_ATTRIBUTES)
            return false;
        int name = find(r, a->key, name_len);
        if (name < 0 || (seen & 1u << name) || !good_of(a->key, name_len, a->value, value_len))
            return false;
        seen |= 1u << name;
        if (i > 0)
            text[used++] = '&';
        memcpy(text + used, a->key, name_len);
        used += name_len;
        text[used++] = '=';
        if (value_len > 0)
            memcpy(text + used, a->value, value_len);
        used += value_len;
    }
    *len = used;
    return true;
}

/* Adds a name after those that others may be reading. */
static void add(inlong_ring *r, const char *name, size_t len)
{
    unsigned n = atomic_load(&r->names);
    if (len == 0 || len >= INLONG_LONGEST_NAME || n == INLONG_KNOWN_NAMES || find(r, name, len) >= 0)
        return;
    memcpy(r->name[n], name, len);
    memset(r->name[n] + len, 0, INLONG_LONGEST_NAME - len);
    atomic_store_explicit(&r->names, n + 1, memory_order_release);
}

void inlong_good_learn(inlong_slot *slot, const inlong_core_call *call)
{
    inlong_ring *r = &slot->ring;
    size_t messages = call->kind == INLONG_CALL_SUBMIT_PACKED ? call->accepted > 0 : call->accepted; /* the model, once for all */
    pthread_mutex_lock(&r->mutex);
    for (size_t i = 0; i < messages && atomic_load(&r->open) && atomic_load(&slot->handle) == call->handle; i++) {
        const inlong_message *m = &call->message[i];
        for (size_t j = 0; j < m->attribute_count; j++)
            add(r, m->attributes[j].key, length(m->attributes[j].key, m->attributes[j].key_len));
    }
    pthread_mutex_unlock(&r->mutex);
}
