package tail

import (
	"io/fs"
	"os"

	"github.com/cespare/xxhash/v2"
)

// ID tells a file from every other one of its time, whatever its name.
type ID struct {
	Dev  uint64 `json:"dev"`
	Ino  uint64 `json:"ino"`
	Born int64  `json:"born,omitempty"` // ns since 1970; 0 where the file system does not say
}

// is reports whether both are the same file. The number of a deleted file goes to the next one that is made, so that the time of
// birth decides where it is known.
func (a ID) is(b ID) bool {
	return a.key() == b.key() && (a.Born == b.Born || a.Born == 0 || b.Born == 0)
}

func (a ID) key() key { return key{a.Dev, a.Ino} }

func (a ID) known() bool { return a.Ino != 0 }

type key struct{ dev, ino uint64 }

// meta is what the system says of a file without opening it.
type meta struct {
	ID
	size     int64
	modified int64 // ns since 1970
	regular  bool
	folder   bool
	links    uint64
}

func plainMeta(info fs.FileInfo) meta {
	return meta{size: info.Size(), modified: info.ModTime().UnixNano(), regular: info.Mode().IsRegular(), folder: info.IsDir(), links: 1}
}

// inspect looks at a path, through symbolic links.
func inspect(path string) (meta, error) {
	info, err := os.Stat(path)
	if err != nil {
		return meta{}, err
	}
	return numbered(metaOf(info), path), nil
}

// numbered gives a file a number by its path where the system gives none: nothing is looked for by number there.
func numbered(m meta, path string) meta {
	if m.Ino == 0 {
		m.Ino = xxhash.Sum64String(path) | 1
	}
	return m
}

// opened is an open file.
type opened interface {
	Stat() (fs.FileInfo, error)
	Name() string
}

// inspectFile looks at an open file.
func inspectFile(f opened) (meta, error) {
	info, err := f.Stat()
	if err != nil {
		return meta{}, err
	}
	return numbered(metaOf(info), f.Name()), nil
}
