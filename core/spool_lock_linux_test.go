package dataproxy_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// While somebody had the folder's lock, nothing was stored, and so nothing sent, for 2 s of each 10: the look for slots
// whose owners are gone waited for it. With a spool_max_age below 2 s no line told why it took none.
func TestAFolderThatStaysLockedHoldsUpNoMessage(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	dir := t.TempDir()
	log := &memoLog{}
	client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSpoolMaxAge(time.Second), dataproxy.WithLogger(log)) // it looks each second, too
	f, err := os.OpenFile(filepath.Join(dir, "slots.lock"), os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	eventually(t, "the lock is had", func() bool {
		return unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}) == nil
	})
	other := t.TempDir()
	store, err := spool.Open(other, spool.Options{})
	require.NoError(t, err)
	put(t, store, 1, "s", "of a dead owner", time.Now().Add(time.Hour)) // what is from the future is not old
	require.NoError(t, store.Close())
	require.NoError(t, os.Rename(filepath.Join(other, "slot-0001"), filepath.Join(dir, "slot-0002")))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for range 60 {
		require.NoError(t, client.Send(ctx, message("x")))
		time.Sleep(50 * time.Millisecond)
	}
	require.Equal(t, dataproxy.SpoolOK, client.Stats().Spool.State)
	eventually(t, "a line tells of it", func() bool { return len(log.with("slots.lock: another client holds it")) > 0 })
	require.NoError(t, unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK}))
	require.NoError(t, c.WaitCount(patient(t), 61))
}
