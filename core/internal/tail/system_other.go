//go:build !unix

package tail

import (
	"errors"
	"math"
	"os"
)

const openFlags = 0

func handleLimit() int { return math.MaxInt32 }

func lockFile(*os.File) error { return errors.ErrUnsupported }

func replaceFile(string, []byte) error { return errors.ErrUnsupported }
