/* SPDX-License-Identifier: Apache-2.0
 * ring.h - where a client's messages wait for the core: threads of the host put them in, a goroutine takes them out in bulk. */
#ifndef INLONG_RING_H
#define INLONG_RING_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "core_abi.h"

struct inlong_slot;

enum { INLONG_STRIPES = 16, INLONG_KNOWN_NAMES = 16, INLONG_LONGEST_NAME = 32 };

/* Messages of some threads, in their order: a thread keeps to one stripe. */
typedef struct inlong_stripe {
    pthread_mutex_t mutex;                    /* guards all below */
    pthread_cond_t handed;                    /* the core has taken or has finished with a chunk */
    inlong_core_chunk *filling, *out, *spare; /* out: with the core */
    unsigned begun, done;                     /* chunks, ever */
    int waiting;
    char apart[64];
} inlong_stripe;

typedef struct inlong_ring {
    inlong_stripe stripes[INLONG_STRIPES];
    atomic_bool open;                /* read under a stripe's mutex */
    atomic_uint width;               /* stripes that are used: all threads of an ordered client share one */
    atomic_int chunks, most;         /* that hold messages not charged to the core's budget, and may */
    _Atomic int64_t granted, room;   /* messages for which those, and calls, have room, and may have */
    _Atomic int64_t bulk, bulk_room; /* bytes of bulk ways in them, and the most that there may be */
    _Atomic int64_t least;           /* messages for which a chunk must have room to be worth taking */
    atomic_size_t longest;           /* payload that is copied */
    atomic_bool waits;               /* calls do, for room */
    _Atomic int64_t send_timeout_ms;
    atomic_uint names;                                  /* that are known */
    char name[INLONG_KNOWN_NAMES][INLONG_LONGEST_NAME]; /* of attributes that the core has taken; one is known for good */
    unsigned next;                                      /* stripe to check next; only the goroutine uses this and `from` */
    inlong_stripe *from;                                /* has the chunk that is with the core */
    atomic_bool running;                                /* the goroutine; written under the mutex */
    pthread_mutex_t mutex;                              /* guards all below */
    pthread_cond_t bell;
    atomic_bool asleep;     /* the goroutine waits for the first message */
    bool called;            /* it is to look at once */
    unsigned turn;          /* how often it was told what may be put in */
    int64_t by_calls, told; /* messages of calls, now and when its turn began */
} inlong_ring;

void inlong_ring_init(inlong_ring *r);
/* In a forked child: what is in it is the parent's. */
void inlong_ring_forget(inlong_ring *r);
/* Called for a new client, when the goroutine cannot run, at its end, and when the client closes. After that nothing is put in, and what was
 * is with the core, or is taken back if the core makes no progress. Returns the number of those messages. */
void inlong_ring_open(struct inlong_slot *slot);
void inlong_ring_end(struct inlong_slot *slot);
size_t inlong_ring_close(struct inlong_slot *slot, int64_t timeout_ms);

/* How long a call may wait for a core that gets no processor time, and what it answers then. */
enum { INLONG_LEAST_PATIENCE_MS = 1000 };
typedef struct inlong_patience {
    int64_t ms;
    int code;
} inlong_patience;
inlong_patience inlong_ring_patience(const inlong_ring *r, const inlong_core_call *call);
/* Copies those messages of a call that the core is sure to take, and returns their number. The others need the core's own answer, after
 * inlong_ring_settle. began_ms: since when the call has waited, 0 if it has not. */
size_t inlong_ring_feed(struct inlong_slot *slot, const inlong_core_call *call, int64_t *began_ms);
/* Before a call that brings messages: no chunk gets their room until inlong_ring_publish. True: the core may lack that room, because chunks
 * were granted it; these must be settled first. */
bool inlong_ring_begin_call(struct inlong_slot *slot, const inlong_core_call *call);
/* good.c: writes the attributes of m as text, INLONG_LONGEST_ATTRIBUTES bytes at most, if they are surely good: their names are those
 * of a message that the core has taken. Under the mutex of a stripe of a ring that is open. */
bool inlong_good_id(const char *id, size_t n, size_t least);
bool inlong_good_attributes(const inlong_ring *r, const inlong_message *m, char *text, size_t *len);
void inlong_good_learn(struct inlong_slot *slot, const inlong_core_call *call);
/* Waits until the core has what is in this thread's stripe, or in all: it must come before what goes to the core directly. */
bool inlong_ring_settle(struct inlong_slot *slot, bool all, int64_t timeout_ms);
/* Makes the goroutine check at once. */
void inlong_ring_bell(inlong_ring *r);
/* take.c: publishes what may be put in after a call that brought messages, even if it failed; `turn` is that of before the call. */
unsigned inlong_ring_turn(inlong_ring *r);
void inlong_ring_publish(struct inlong_slot *slot, const inlong_core_call *call, unsigned turn);
inlong_core_chunk *inlong_ring_take(uintptr_t client, inlong_core_chunk *done, inlong_core_intake intake);

#endif
