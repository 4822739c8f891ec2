package dataproxy_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// mountDisk mounts a disk with some bound.
func mountDisk(t *testing.T, bound string) (dir string) {
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, bound); err != nil {
		t.Skip("cannot mount a small disk:", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// smallDisk mounts a disk of a quarter of a megabyte. fill takes all its room, until free is called.
func smallDisk(t *testing.T) (dir string, fill, free func()) {
	dir = mountDisk(t, "size=256k")
	filler := filepath.Join(dir, "filler")
	return dir, func() {
		f, err := os.Create(filler)
		require.NoError(t, err)
		defer f.Close()
		for err == nil {
			_, err = f.Write(make([]byte, 512))
		}
		require.True(t, errors.Is(err, unix.ENOSPC), err)
	}, func() { require.NoError(t, os.Remove(filler)) }
}

// What is stored could not be delivered while the disk was full: its slot could not be taken, since a file of some bytes had to be written.
func TestWhatIsStoredIsDeliveredFromAFullDisk(t *testing.T) {
	t.Parallel()
	dir, fill, _ := smallDisk(t)
	c := cluster(t, dataproxytest.WithNodes(1))
	spool := filepath.Join(dir, "spool")
	first := connect(t, c, dataproxy.WithSpoolDir(spool))
	c.Nodes()[0].Kill()
	first.SendAsync(context.Background(), message("kept"), func(dataproxy.Message, error) {})
	eventually(t, "it is stored", func() bool { return first.Stats().Spool.Messages == 1 })
	now, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = first.Shutdown(now)
	c.Nodes()[0].Revive()
	fill()
	client := connect(t, c, dataproxy.WithSpoolDir(spool))
	eventually(t, "it is delivered", func() bool { return client.Stats().Spool.Replayed == 1 })
	require.Equal(t, 1, c.Count())
}

// A program could not start while its disk was full, though a disk that fills up later stops no client.
func TestAFullDiskStopsNoClientFromStarting(t *testing.T) {
	t.Parallel()
	dir, fill, free := smallDisk(t)
	c := cluster(t)
	fill()
	client := connect(t, c, dataproxy.WithSpoolDir(filepath.Join(dir, "spool")))
	require.NoError(t, client.Send(patient(t), message("from memory")))
	require.Equal(t, dataproxy.SpoolFailed, client.Stats().Spool.State)
	free()
	eventually(t, "the folder is used again", func() bool {
		return client.Send(patient(t), message("stored as soon as there is room")) == nil && client.Stats().Spool.State == dataproxy.SpoolOK
	})
}

// A disk without room for one more folder stopped a client from starting, with an error that named a file in that folder.
func TestADiskWithoutRoomForASlotStopsNoClientFromStarting(t *testing.T) {
	t.Parallel()
	dir := mountDisk(t, "nr_inodes=2") // itself, and the file by which slots are taken
	client := connect(t, cluster(t), dataproxy.WithSpoolDir(dir))
	require.NoError(t, client.Send(patient(t), message("from memory")))
	require.Equal(t, dataproxy.SpoolFailed, client.Stats().Spool.State)
}
