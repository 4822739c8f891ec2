//go:build !unix

package tail

import (
	"errors"
	"os"
)

const openFlags = 0

func lockFile(*os.File) error { return errors.ErrUnsupported }

func replaceFile(string, []byte) error { return errors.ErrUnsupported }
