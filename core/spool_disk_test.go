package dataproxy_test

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

// steeredDisk is the real one, with a function in front of some calls for files of records. It is for all clients that are made until the
// test ends, so that no test with one is parallel.
type steeredDisk struct {
	spool.FS
	write, sync func(path string) error // nil: nothing
}

type steeredFile struct {
	spool.File
	path string
	disk *steeredDisk
}

func steer(t *testing.T, d *steeredDisk) {
	before := spool.Disk
	t.Cleanup(func() { spool.Disk = before })
	d.FS = before
	spool.Disk = d
}

func (d *steeredDisk) Create(path string) (spool.File, error) {
	f, err := d.FS.Create(path)
	if filepath.Ext(path) == ".seg" && err == nil {
		f = steeredFile{f, path, d}
	}
	return f, err
}

func (f steeredFile) Write(p []byte) (int, error) {
	if f.disk.write != nil {
		if err := f.disk.write(f.path); err != nil {
			return 0, err
		}
	}
	return f.File.Write(p)
}

func (f steeredFile) Sync() error {
	if f.disk.sync != nil {
		if err := f.disk.sync(f.path); err != nil {
			return err
		}
	}
	return f.File.Sync()
}

// An fsync failed, and the disk did not give back what was stored before: what was in memory all the same ended with "stored", and was lost.
func TestWhatTheDiskHasLostIsNotCalledStored(t *testing.T) {
	for _, sync := range []dataproxy.SpoolSync{dataproxy.SpoolSyncInterval, dataproxy.SpoolSyncBatch} {
		var fails atomic.Bool
		steer(t, &steeredDisk{sync: func(path string) error {
			if !fails.CompareAndSwap(true, false) {
				return nil
			}
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			require.NoError(t, err)
			defer f.Close()
			_, err = f.WriteAt(make([]byte, 4), 64) // of the first record, behind the head of the file
			require.NoError(t, err)
			return syscall.EIO
		}})
		c := cluster(t, dataproxytest.WithNodes(1))
		log := newMemoLog()
		client := connect(t, c, dataproxy.WithLogger(log), dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithSpoolSync(sync), dataproxy.WithSpoolSyncInterval(10*time.Millisecond))
		down(t, c, client)
		var results spoolResults
		client.SendAsync(context.Background(), message("first"), results.callback)
		stored(t, client, 1)
		fails.Store(true)
		client.SendAsync(context.Background(), message("second"), results.callback)
		eventually(t, "the loss is noticed", func() bool { return log.count("could not be read back") > 0 })
		require.EqualValues(t, 1, client.Stats().Spool.Lost)
		now, cancel := context.WithCancel(context.Background())
		cancel()
		_, _ = client.Shutdown(now)
		require.True(t, isCode(results.of["first"], dataproxy.CodeClosed), "%v", results.of["first"])
	}
}
