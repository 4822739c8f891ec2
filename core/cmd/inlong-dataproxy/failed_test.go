package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
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

// A record that was kept takes more bytes in the file than it has: one near the longest was refused as too long when it was sent again.
func TestTheLongestRecordsThatWereKeptAreReadBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "failed")
	kept, err := openFailed(path)
	require.NoError(t, err)
	want := []string{strings.Repeat("\x01", 1<<20), strings.Repeat("\xff", 1<<20), strings.Repeat(`"`, 1<<20)}
	for _, payload := range want {
		require.NoError(t, kept.keep(&failedRecord{Reason: "r"}, []byte(payload)))
	}
	require.NoError(t, kept.Close())
	got, faults := readBack(t, path)
	require.Zero(t, faults)
	require.True(t, slices.Equal(got, want))
}

// A full disk cut a line of the file off. The next record was appended to that part, and could not be read back.
func TestARecordIsKeptBehindOneThatWasCutOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "failed")
	require.NoError(t, os.WriteFile(path, []byte(`{"reason":"r","te`), 0o600))
	kept, err := openFailed(path)
	require.NoError(t, err)
	for _, payload := range []string{"one", "two"} {
		require.NoError(t, kept.keep(&failedRecord{Reason: "r"}, []byte(payload)))
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
	keep := func(payload string) error { return kept.keep(&failedRecord{Reason: "r"}, []byte(payload)) }
	require.NoError(t, keep("one"))
	syncFile = func(*os.File) error { return errors.New("quota exceeded") }
	for range 3 {
		require.ErrorContains(t, keep("two"), "quota")
	}
	syncFile = own
	require.NoError(t, keep("two"))
	require.NoError(t, kept.Close())
	got, faults := readBack(t, path)
	require.Equal(t, []string{"one", "two"}, got)
	require.Zero(t, faults)
}
