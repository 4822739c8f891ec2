//go:build unix

package tail

import (
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/renameio/v2"
)

const openFlags = syscall.O_NONBLOCK

// lockFile fails where another process has locked it. The lock ends with this process, however that ends.
func lockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }

// replaceFile replaces a file at once, by one that it writes beside it.
func replaceFile(path string, data []byte) error {
	return renameio.WriteFile(path, data, 0o600, renameio.WithTempDir(filepath.Dir(path)))
}
