package dataproxy_test

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
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
	for _, mode := range []dataproxy.SpoolSync{dataproxy.SpoolSyncInterval, dataproxy.SpoolSyncBatch} {
		var fails atomic.Bool
		steer(t, &steeredDisk{sync: func(path string) error {
			if !fails.CompareAndSwap(true, false) {
				return nil
			}
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			require.NoError(t, err)
			defer f.Close()
			_, err = f.WriteAt(make([]byte, 4), 64) // of the first record, after the head of the file
			require.NoError(t, err)
			return syscall.EIO
		}})
		c := cluster(t, dataproxytest.WithNodes(1))
		log, registry := newMemoLog(), prometheus.NewRegistry()
		client := connect(t, c, dataproxy.WithLogger(log), dataproxy.WithMetricsRegistry(registry), dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithSpoolSync(mode), dataproxy.WithSpoolSyncInterval(10*time.Millisecond))
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
		require.EqualValues(t, 1, spoolSeries(t, registry)["data_proxy_spool_lost_batches_count"])
		require.True(t, isCode(results.of["first"], dataproxy.CodeClosed), "%v", results.of["first"])
	}
}

// A disk that hung kept all messages from nodes that were well until their time was over: in silence, with a state that said "ok".
func TestADiskThatHangsStopsNothing(t *testing.T) {
	for _, result := range []dataproxy.SpoolResult{dataproxy.SpoolResultAcked, dataproxy.SpoolResultStored} {
		waits, goesOn := make(chan struct{}), make(chan struct{})
		release := sync.OnceFunc(func() { close(goesOn) })
		var once sync.Once
		steer(t, &steeredDisk{write: func(string) error {
			once.Do(func() { close(waits) })
			<-goesOn
			return nil
		}})
		c := cluster(t, dataproxytest.WithNodes(1))
		dir, log := t.TempDir(), newMemoLog()
		client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSpoolResult(result), dataproxy.WithLogger(log), dataproxy.WithBatchingMaxMessages(1))
		t.Cleanup(release) // before the client is closed
		var results spoolResults
		client.SendAsync(context.Background(), message("in the write"), results.callback)
		<-waits
		client.SendAsync(context.Background(), message("waits for it"), results.callback)
		require.True(t, dataproxy.Stall(client))
		require.NoError(t, c.WaitCount(patient(t), 2))
		require.NoError(t, client.Send(patient(t), message("comes then")))
		require.NoError(t, client.Flush(patient(t)))
		acked, _, _ := results.counts()
		require.Equal(t, 2, acked)
		require.Equal(t, dataproxy.SpoolFailed, client.Stats().Spool.State)
		eventually(t, "the log says so", func() bool { return log.count("has not answered") > 0 })
		release()
		eventually(t, "it is used again", func() bool {
			return client.Send(patient(t), message("again")) == nil && client.Stats().Spool.State == dataproxy.SpoolOK
		})
		eventually(t, "nothing is left", func() bool { return client.Stats().Spool.Batches == 0 })
		settled(t, client)
		client.Close()
		require.Empty(t, segmentFiles(t, dir))
		for payload, times := range arrived(c) {
			require.True(t, times == 1 || payload == "again", payload)
		}
	}
}

// With ordered what comes after a batch on a disk that hangs waits for it: the error said no more than that no ack came.
func TestTheErrorNamesADiskThatHangs(t *testing.T) {
	waits, goesOn := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(goesOn) })
	var once sync.Once
	steer(t, &steeredDisk{write: func(string) error {
		once.Do(func() { close(waits) })
		<-goesOn
		return nil
	}})
	client := connect(t, cluster(t, dataproxytest.WithNodes(1)), dataproxy.WithSpoolDir(t.TempDir()), dataproxy.WithOrdered(true), dataproxy.WithSendTimeout(time.Second))
	t.Cleanup(release) // before the client is closed
	result := make(chan error, 1)
	client.SendAsync(context.Background(), message("x"), func(_ dataproxy.Message, err error) { result <- err })
	<-waits
	require.True(t, dataproxy.Stall(client))
	require.ErrorContains(t, <-result, "spool_dir")
}

// What is sent past a disk that answers in that very moment is handed on twice, or by nobody.
func TestADiskThatAnswersAsItIsGivenUpDoublesNothing(t *testing.T) {
	t.Parallel()
	for _, result := range []dataproxy.SpoolResult{dataproxy.SpoolResultAcked, dataproxy.SpoolResultStored} {
		c := cluster(t, dataproxytest.WithNodes(2))
		dir := t.TempDir()
		client := connect(t, c, dataproxy.WithSpoolDir(dir), dataproxy.WithSpoolResult(result), dataproxy.WithBatchingMaxMessages(3), dataproxy.WithBlockIfQueueIsFull(true))
		var results spoolResults
		var passed atomic.Bool
		sent := make(chan int)
		go func() { // a busy machine may send thousands before that moment comes once
			messages := 0
			for enough := patient(t); messages < 5000 || !passed.Load() && enough.Err() == nil; messages++ {
				client.SendAsync(context.Background(), streamMessage("s", "0 %d", messages), results.callback)
			}
			sent <- messages
		}()
		messages := 0
		for messages == 0 || results.count() < messages {
			if dataproxy.Stall(client) {
				passed.Store(true)
			}
			select {
			case messages = <-sent:
			default:
				runtime.Gosched()
			}
		}
		require.True(t, passed.Load())
		_, _, failed := results.counts()
		require.Zero(t, failed)
		require.NoError(t, c.WaitCount(patient(t), messages))
		settled(t, client)
		onceEach(t, c, messages)
		client.Close()
		require.Empty(t, segmentFiles(t, dir))
	}
}
