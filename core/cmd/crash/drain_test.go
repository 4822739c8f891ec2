//go:build unix

package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// A machine that was busy for half a second had the drain close with batches on their way. They came again, which the judge called stale.
func TestDrainThatWasStoppedClosesNoClientWithBatchesOnTheirWay(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithNodes(1))
	var open atomic.Bool
	var frames atomic.Int64
	cluster.Node(0).Handle(func(dataproxytest.Record) dataproxytest.Fault {
		frames.Add(1)
		if open.Load() {
			return dataproxytest.Fault{}
		}
		return dataproxytest.ErrorCode(114)
	})
	dir := t.TempDir()
	p := plan{URL: cluster.URL(), Dir: filepath.Join(dir, "spool"), Log: filepath.Join(dir, "log"), Drain: true}
	c, err := dataproxy.NewClient(dataproxy.WithURL(p.URL), dataproxy.WithGroupID(group), dataproxy.WithSpoolDir(p.Dir),
		dataproxy.WithSpoolResult(dataproxy.SpoolResultStored))
	require.NoError(t, err)
	require.NoError(t, c.Send(t.Context(), message{life: 1}.whole()))
	c.Close()
	require.True(t, p.left())

	text, err := json.Marshal(p)
	require.NoError(t, err)
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), planKey+"="+string(text))
	_, err = child.StdinPipe()
	require.NoError(t, err)
	more := func() {
		t.Helper()
		refused := frames.Load()
		require.Eventually(t, func() bool { return frames.Load() > refused+2 }, time.Minute, tick)
	}
	require.NoError(t, child.Start())
	defer child.Process.Kill()
	more()
	require.NoError(t, child.Process.Signal(syscall.SIGSTOP))
	time.Sleep(600 * time.Millisecond) // any shorter stop changes nothing
	require.NoError(t, child.Process.Signal(syscall.SIGCONT))
	more()
	open.Store(true)
	_ = child.Wait()
	require.False(t, p.left())
	log, err := os.ReadFile(p.Log)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(log), "life 0:"), "%s", log)
}
