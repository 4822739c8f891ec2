//go:build unix

package spool

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// killFS is the real file system, on which the process ends at a given one of the changes that it makes, a write half done.
type killFS struct {
	osFS
	left *int
}

func (k killFS) step(f func()) {
	if *k.left--; *k.left == 0 {
		f()
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
}

func nothing() {}

func (k killFS) Create(path string) (File, error) {
	k.step(nothing)
	f, err := k.osFS.Create(path)
	return killFile{f, k}, err
}

func (k killFS) Append(path string) (File, error) {
	f, err := k.osFS.Append(path)
	return killFile{f, k}, err
}

func (k killFS) Rename(from, to string) error {
	k.step(nothing)
	return k.osFS.Rename(from, to)
}

func (k killFS) Remove(path string) error {
	k.step(nothing)
	return k.osFS.Remove(path)
}

func (k killFS) SyncDir(dir string) error {
	k.step(nothing)
	return k.osFS.SyncDir(dir)
}

type killFile struct {
	File
	k killFS
}

func (f killFile) Write(p []byte) (int, error) {
	f.k.step(func() { _, _ = f.File.Write(p[:len(p)/2]) })
	return f.File.Write(p)
}

func (f killFile) Sync() error {
	f.k.step(nothing)
	return f.File.Sync()
}

// killedHelper delivers what it finds and stores more, and says what is done, until it comes to the step at which it ends.
func killedHelper(dir string, step int) {
	fail := func(err error) {
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	}
	s, err := Open(dir, Options{Sync: SyncBatch, SegmentBytes: 500, FS: killFS{left: &step}})
	fail(err)
	for {
		ref, r, ok := s.Next()
		if !ok {
			break
		}
		fmt.Println("acked", r.ID.Seq)
		s.Ack(ref)
		fail(s.FlushAcks(r.ID.Seq%2 == 0))
	}
	from := 1
	_, _ = fmt.Sscan(os.Getenv("BATCHES"), &from)
	for n := from; n < from+7; n++ {
		refs, err := s.Append(nil, []Record{batchOf(n)}, true)
		fail(err)
		fail(s.Sync())
		fmt.Println("stored", n)
		if n%4 == 0 {
			fmt.Println("acked", n)
			s.Ack(refs[0])
			fail(s.FlushAcks(true))
		}
	}
	fail(s.Close())
	fmt.Println("waits")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// told is what processes have said of their batches.
type told struct{ stored, acked map[int]bool }

// hear takes one line in.
func (w told) hear(line string) {
	var n int
	if _, err := fmt.Sscanf(line, "stored %d", &n); err == nil {
		w.stored[n] = true
	}
	if _, err := fmt.Sscanf(line, "acked %d", &n); err == nil {
		w.acked[n] = true
	}
}

// holdAgainst reads what is left, and returns how many come again though they were acked.
func (w told) holdAgainst(t *testing.T, dir string) (again int) {
	t.Helper()
	s, err := Open(dir, Options{})
	require.NoError(t, err)
	require.Equal(t, slotPath(dir, 1), s.dir)
	_, got := readAll(t, s)
	found := map[int]bool{}
	for i, n := range got {
		require.False(t, found[n], "batch %d comes twice", n)
		require.True(t, i == 0 || got[i-1] < n, "batch %d comes after %d", n, got[max(0, i-1)])
		found[n] = true
	}
	for n := range w.stored {
		if !found[n] {
			require.True(t, w.acked[n], "batch %d is lost", n)
		} else if w.acked[n] {
			again++
		}
	}
	require.Zero(t, s.Stats().Damaged)
	require.Zero(t, s.Stats().Quarantined)
	require.NoError(t, s.Close())
	return again
}

// S2, of the store alone: the process is killed at any instant, and a batch that it called stored is gone, or comes altered or twice.
func TestAProcessThatIsKilledLeavesAllItStored(t *testing.T) {
	dir := t.TempDir()
	all := told{map[int]bool{}, map[int]bool{}}
	const rounds = 12
	for round := range rounds {
		p := start(t, dir, fmt.Sprintf("BATCHES=%d 100000", 1+round*100000))
		for stop := 1 + rand.IntN(2000); p.lines.Scan(); stop-- { // also what it said before its end
			all.hear(p.lines.Text())
			if stop == 0 {
				require.NoError(t, p.cmd.Process.Kill())
			}
		}
		p.kill()
	}
	again := all.holdAgainst(t, dir)
	t.Logf("%d stored, %d acked, %d of those come again", len(all.stored), len(all.acked), again)
	require.LessOrEqual(t, again, rounds*2, "acks are recorded every five batches")
}

// S2 and S7: the process is killed at one of the store's own steps, and the next one at another of them while it cleans up: what was
// called stored is gone, or a batch whose ack was recorded comes again.
func TestAProcessKilledAtEachStepLeavesAllItStored(t *testing.T) {
	for step := 1; ; step++ {
		dir := t.TempDir()
		all := told{map[int]bool{}, map[int]bool{}}
		through := false // the first process came to its end: there are no more steps
		for life, at := range []int{step, 1 + step%17, 1 + step%29} {
			p := start(t, dir, "STEP="+strconv.Itoa(at), fmt.Sprintf("BATCHES=%d", 1+100*life))
			for p.lines.Scan() {
				require.NotContains(t, p.lines.Text(), "failed")
				all.hear(p.lines.Text())
				if p.lines.Text() == "waits" {
					through = through || life == 0
					break
				}
			}
			p.kill()
		}
		again := all.holdAgainst(t, dir)
		require.LessOrEqual(t, again, 3*2, "two batches between durable acks")
		if through {
			t.Logf("%d steps", step-1)
			require.Greater(t, step, 30)
			return
		}
	}
}
