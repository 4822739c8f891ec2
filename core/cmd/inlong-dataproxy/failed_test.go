package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

func readBack(t *testing.T, path string) (payloads []string, faults int) {
	t.Helper()
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	list, err := split(format{name: "failed"}, string(text), 0, len(text)+1)
	require.NoError(t, err)
	for _, r := range list {
		switch {
		case r.fault != nil:
			faults++
		case len(r.payload) > 0:
			payloads = append(payloads, string(r.payload))
		}
	}
	return payloads, faults
}

// now keeps a record, and returns when it is on the disk.
func (f *failedFile) now(payload string) (err error) {
	f.keep(&failedRecord{Reason: "r"}, []byte(payload), func(fault error) { err = fault })
	f.flush()
	return err
}

// Each record was synced alone, and the whole reader waited: 3,000 bad lines took half a minute. None may count as kept before its sync.
func TestOneSyncIsForAllRecordsThatWait(t *testing.T) {
	own, syncs, results := syncFile, 0, 0
	t.Cleanup(func() { syncFile = own })
	path := filepath.Join(t.TempDir(), "failed")
	kept, err := openFailed(path)
	require.NoError(t, err)
	under, release := make(chan struct{}), make(chan struct{})
	syncFile = func(f *os.File) error {
		if syncs++; syncs == 1 {
			close(under)
			<-release
		}
		require.Zero(t, results, "counted before the sync")
		return own(f)
	}
	first := make(chan error, 1)
	go func() { first <- kept.now("first") }()
	<-under
	want := []string{"first"}
	for i := range 3000 { // that come while a sync is under way
		want = append(want, fmt.Sprint(i))
		kept.keep(&failedRecord{Reason: "r"}, []byte(want[i+1]), func(err error) {
			require.NoError(t, err)
			results++
		})
	}
	close(release)
	require.NoError(t, <-first)
	kept.flush()
	require.Equal(t, 3000, results)
	require.Equal(t, 2, syncs)
	require.NoError(t, kept.Close())
	got, faults := readBack(t, path)
	require.Zero(t, faults)
	require.Equal(t, want, got)
}

// A record that was kept takes more bytes in the file than it has: one near the longest was refused as too long when it was sent again.
func TestTheLongestRecordsThatWereKeptAreReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "failed")
	kept, err := openFailed(path)
	require.NoError(t, err)
	want := []string{strings.Repeat("\x01", 1<<20), strings.Repeat("\xff", 1<<20), strings.Repeat(`"`, 1<<20)}
	for _, payload := range want {
		require.NoError(t, kept.now(payload))
	}
	require.NoError(t, kept.Close())
	got, faults := readBack(t, path)
	require.Zero(t, faults)
	require.True(t, slices.Equal(got, want))
}

// Of a line that is read in parts the file of --failed told the size of the first one only, or of the last: 1 MB of 30.
func TestWhatIsLeftOutOfTheFileOfFailedIsTheWholeLine(t *testing.T) {
	cluster := dataproxytest.Start(t)
	long := strings.Repeat("x", 3<<20) + "\n"
	text := "before\n" + long + "after\n" + long
	for stdin, path := range map[string]string{text: "-", "": writeFile(t, "a.log", text)} {
		kept := filepath.Join(t.TempDir(), "failed")
		status, _, stderr := program(stdin, sendArgs(cluster, "--stream", "s", "--failed", kept, path)...)
		require.Equal(t, exitFailure, status, "%s", stderr)
		lines, err := os.ReadFile(kept)
		require.NoError(t, err)
		require.Equal(t, 2, strings.Count(string(lines), fmt.Sprintf(`"left_out":%d}`, len(long))), "%s", lines)
	}
}

// A full disk cut a line of the file off. The next record was appended to that part, and could not be read back.
func TestARecordIsKeptBehindOneThatWasCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "failed")
	require.NoError(t, os.WriteFile(path, []byte(`{"reason":"r","te`), 0o600))
	kept, err := openFailed(path)
	require.NoError(t, err)
	for _, payload := range []string{"one", "two"} {
		require.NoError(t, kept.now(payload))
	}
	require.NoError(t, kept.Close())
	got, faults := readBack(t, path)
	require.Equal(t, []string{"one", "two"}, got)
	require.Equal(t, 1, faults)
}

// Where a record could be written and not synced, as over a quota of NFS, it stayed in the file: -F wrote it once more each second.
func TestARecordThatIsNotOnTheDiskIsTakenBack(t *testing.T) {
	own := syncFile
	t.Cleanup(func() { syncFile = own })
	path := filepath.Join(t.TempDir(), "failed")
	kept, err := openFailed(path)
	require.NoError(t, err)
	require.NoError(t, kept.now("one"))
	syncFile = func(*os.File) error { return errors.New("quota exceeded") }
	for range 3 {
		require.ErrorContains(t, kept.now("two"), "quota")
	}
	syncFile = own
	require.NoError(t, kept.now("two"))
	require.NoError(t, kept.Close())
	got, faults := readBack(t, path)
	require.Equal(t, []string{"one", "two"}, got)
	require.Zero(t, faults)
}
