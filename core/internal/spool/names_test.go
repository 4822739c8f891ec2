//go:build unix

package spool

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A pipe of the name "owner" held up the start of a client, and spool ls and doctor, for ever.
func TestWhatHasTheNameOfALockAndIsNoFileIsAnError(t *testing.T) {
	for name, place := range map[string]func(string) error{
		"a pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"a folder": func(path string) error { return os.Mkdir(path, 0o700) },
		"a device": func(path string) error { return os.Symlink("/dev/null", path) },
		"a link to a pipe": func(path string) error {
			return errors.Join(syscall.Mkfifo(path+"-pipe", 0o600), os.Symlink(path+"-pipe", path))
		},
		"a link to itself": func(path string) error { return os.Symlink(path, path) },
	} {
		for _, file := range []string{slotsLock, filepath.Join("slot-0001", slotLock), filepath.Join("slot-0001", slotOwner)} {
			t.Run(name+" for "+file, func(t *testing.T) {
				dir := t.TempDir()
				left, err := Open(dir, Options{})
				require.NoError(t, err)
				put(t, left, true, 1, 2)
				require.NoError(t, left.Close())
				path := filepath.Join(dir, file)
				require.NoError(t, os.Remove(path))
				require.NoError(t, place(path))

				_, err = Open(dir, Options{})
				require.ErrorContains(t, err, path)
				_, err = Adopt(dir, Options{})
				require.ErrorContains(t, err, path)
				slots, err := Inspect(dir, nil)
				require.NoError(t, err)
				require.Len(t, slots, 1)
				require.Equal(t, 2, slots[0].Segments[0].Batches)

				require.NoError(t, os.RemoveAll(path))
				s, err := Open(dir, Options{})
				require.NoError(t, err)
				_, got := readAll(t, s)
				require.Equal(t, seq(1, 2), got)
				require.NoError(t, s.Close())
			})
		}
	}
}
