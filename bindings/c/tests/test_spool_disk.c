/* S5: a disk that fails stops no delivery: it is told of, and used again once it is well. */
#include "fixture.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

static bool state_is(inlong_client *client, const char *state)
{
    static char stats[1 << 16];
    char text[32];
    CHECK(inlong_client_stats(client, stats, sizeof stats) > 0);
    snprintf(text, sizeof text, "\"state\":\"%s\"", state);
    return strstr(stats, text) != NULL;
}

static void send_one(inlong_client *client)
{
    inlong_message m = message("x");
    CHECK_INT(inlong_client_send(client, &m, 20000, NULL), INLONG_OK);
}

/* Messages are acked while the disk fails, and once it is well what nobody acks is stored. */
static void delivery_goes_on(fixture *f, void (*repair)(const char *), const char *what)
{
    enum { MESSAGES = 50 };
    for (int i = 0; i < MESSAGES; i++)
        send_one(f->client);
    while (!state_is(f->client, "failed")) /* it is tried now and then, and looks well until it is written to */
        send_one(f->client);
    if (repair)
        repair(what);
    while (!state_is(f->client, "ok")) {
        send_one(f->client);
        usleep(10000);
    }
    tally t = TALLY;
    inlong_message m = message("x");
    all_nodes(f->mock, "kill");
    for (int i = 0; i < MESSAGES; i++)
        CHECK_INT(inlong_client_send_async(f->client, &m, tally_result, &t), INLONG_OK);
    while (in_spool(f->client) < MESSAGES)
        usleep(1000);
    all_nodes(f->mock, "revive");
    tally_wait(&t, MESSAGES);
    CHECK_INT(t.acked, MESSAGES);
}

static void free_disk(const char *filler) { CHECK_INT(unlink(filler), 0); }

/* A full disk fails messages, is not told of, or is not used again when it has room. */
static void a_full_disk_stops_nothing(void)
{
    const char *folder = new_folder();
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", folder, "tmpfs", 0, "size=256k") != 0) {
        fprintf(stderr, "    no small disk can be mounted here (%s): not tried\n", strerror(errno));
        remove_folder(folder);
        return;
    }
    static char filler[80];
    snprintf(filler, sizeof filler, "%s/filler", folder);
    fixture f = open_fixture((const char *const[]){"spool_dir", folder, NULL});
    send_one(f.client);
    CHECK(state_is(f.client, "ok"));
    FILE *file = fopen(filler, "w");
    CHECK(file != NULL);
    setbuf(file, NULL);
    while (fwrite(&f, 1, 1, file) == 1)
        ;
    CHECK_INT(errno, ENOSPC);
    fclose(file);
    while (state_is(f.client, "ok")) /* what is left of a page has room */
        send_one(f.client);
    delivery_goes_on(&f, free_disk, filler);
    close_fixture(&f);
    CHECK_INT(umount2(folder, MNT_DETACH), 0);
    remove_folder(folder);
}

/* A folder that somebody removes fails messages, or nothing is stored any more. */
static void a_folder_that_is_removed_stops_nothing(void)
{
    const char *folder = new_folder();
    fixture f = open_fixture((const char *const[]){"spool_dir", folder, NULL});
    send_one(f.client);
    remove_folder(folder);
    delivery_goes_on(&f, NULL, NULL);
    close_fixture(&f);
    remove_folder(folder);
}

static const check_test tests[] = {
    {"a_full_disk_stops_nothing", a_full_disk_stops_nothing},
    {"a_folder_that_is_removed_stops_nothing", a_folder_that_is_removed_stops_nothing},
};

CHECK_MAIN("spool_disk", tests)
