//go:build unix

package tail

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What send had read of a file was first written into /tmp, which others may have filled, and anybody may look into.
func TestFileIsReplacedByOneBesideIt(t *testing.T) {
	elsewhere, path := t.TempDir(), filepath.Join(t.TempDir(), "state")
	t.Setenv("TMPDIR", elsewhere)
	past := time.Unix(1e9, 0)
	require.NoError(t, os.Chtimes(elsewhere, past, past))
	require.NoError(t, replaceFile(path, []byte("x")))
	info, err := os.Stat(elsewhere)
	require.NoError(t, err)
	require.Equal(t, past, info.ModTime(), "a file was made in TMPDIR")
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "x", string(got))
}
