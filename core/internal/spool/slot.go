package spool

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A slot is a folder in the spool's folder that belongs to one client at a time, which holds a lock of the kernel on the file
// "lock" in it. The lock ends with the process, however that ends, and a forked child has no part of it. The owner is also written
// to the file "owner", because the kernel does not keep two clients of one process apart.
//
// A client that takes, leaves or searches slots holds the folder's lock, which excludes the other clients of the process; on
// systems other than Linux also those of other processes.
const (
	slotsLock = "slots.lock"
	slotLock  = "lock"
	slotOwner = "owner"
	// ownerSize is the constant size of that file: it is overwritten in place, which needs no room, so that a full disk does not
	// keep a client from a slot.
	ownerSize = 256
	mostSlots = 9999
	// slotsWait is how long a client waits for the lock of the folder, which is held for moments.
	slotsWait = 2 * time.Second
	slotsPoll = 5 * time.Millisecond
)

// ErrBusy says that somebody holds the lock.
var ErrBusy = errors.New("another client holds it")

// Open takes the first free slot of a folder, or makes one; the folder is made too.
func Open(dir string, opts Options) (s *Spool, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	var slot string
	var unlock func()
	err = exclusive(dir, slotsWait, func() (err error) {
		for n := 1; n <= mostSlots; n++ {
			slot = slotPath(dir, n)
			if err := os.Mkdir(slot, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
			if unlock, err = takeSlot(slot); !errors.Is(err, ErrBusy) {
				return err
			}
		}
		return fmt.Errorf("all %d slots are in use", mostSlots)
	})
	if err == nil && opts.Sync != SyncOff { // not earlier: others wait for the lock of the folder, and a disk may take seconds
		if err = cmp.Or(opts.FS, Disk).SyncDir(dir); err != nil {
			unlockLater(dir, unlock)()
		}
	}
	if err == nil {
		s, err = openTaken(dir, slot, opts, unlock)
	}
	if err != nil {
		return nil, fmt.Errorf("spool %s: %w", dir, err)
	}
	return s, nil
}

// openTaken opens a slot whose lock is held.
func openTaken(dir, slot string, opts Options, unlock func()) (*Spool, error) {
	unlock = unlockLater(dir, unlock)
	s, err := openSlot(slot, opts, unlock)
	if err != nil {
		unlock()
	}
	return s, err
}

// Adopt takes a slot that has batches and whose owner has ended. It returns nil if there is none. It skips slots that it cannot
// take or read; the error names them, even if a slot is returned. It waits for nobody: it returns ErrBusy if the folder is locked
// now, perhaps by a process that was stopped.
func Adopt(dir string, opts Options) (s *Spool, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, err
	}
	var faults []error
	for from := 1; s == nil; {
		var slot string
		var unlock func()
		err := exclusive(dir, 0, func() (err error) {
			slot, unlock, from, err = orphan(dir, from)
			return err
		})
		if err != nil {
			faults = append(faults, err)
		}
		if unlock == nil {
			break
		}
		if s, err = adopted(dir, slot, opts, unlock); err != nil {
			faults = append(faults, err)
		}
	}
	if err = errors.Join(faults...); err != nil {
		err = fmt.Errorf("spool %s: %w", dir, err)
	}
	return s, err
}

// adopted opens a slot whose lock is held. It returns nil if nothing is left in it.
func adopted(dir, slot string, opts Options, unlock func()) (*Spool, error) {
	s, err := openTaken(dir, slot, opts, unlock)
	if err == nil && !s.hasMore() {
		s, err = nil, s.Close() // it removes what is acked
	}
	return s, err
}

// hasMore reports whether anything is left that is not acked. To know that, it reads segments whose records nobody has counted: an
// owner that was killed after its last ack has left some.
func (s *Spool) hasMore() bool {
	if st := s.Stats(); st.Batches > 0 || st.Unreadable > 0 {
		return true
	}
	ref, _, ok := s.Next()
	if ok {
		s.Release(ref)
	}
	return ok || s.Stats().Unreadable > 0
}

// orphan takes the first slot from that number on that has files of records and no owner, even if slots before it were removed.
// unlock is nil if there is none. The error names slots that were skipped.
func orphan(dir string, from int) (slot string, unlock func(), next int, err error) {
	folders, err := slotFolders(dir)
	for _, folder := range folders {
		n := folder.number
		if slot = folder.path; n < from || slot != slotPath(dir, n) {
			continue
		}
		found, fault := hasSegments(slot)
		if found {
			if unlock, fault = takeSlot(slot); fault == nil {
				return slot, unlock, n + 1, err
			}
		}
		if fault != nil && !errors.Is(fault, ErrBusy) {
			err = errors.Join(err, fault)
		}
	}
	return "", nil, from, err
}

type slotFolder struct {
	number int
	path   string
}

// slotFolders returns the folders of dir with names of slots, in order.
func slotFolders(dir string) (folders []slotFolder, err error) {
	entries, err := os.ReadDir(dir)
	for _, entry := range entries {
		var n int
		if _, err := fmt.Sscanf(entry.Name(), "slot-%d", &n); err != nil {
			continue
		}
		path := filepath.Join(dir, entry.Name())
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			folders = append(folders, slotFolder{n, path})
		}
	}
	return folders, err
}

func slotPath(dir string, n int) string { return filepath.Join(dir, fmt.Sprintf("slot-%04d", n)) }

// hasSegments reports whether a slot has any file of records.
func hasSegments(slot string) (bool, error) {
	names, err := osFS{}.List(slot)
	for _, name := range names {
		if _, ok := parseName(name, segmentSuffix); ok {
			return true, nil
		}
	}
	return false, err
}

// exclusive runs f while nobody else takes or leaves a slot of dir. It waits that long for the lock.
func exclusive(dir string, wait time.Duration, f func() error) error {
	path := filepath.Join(dir, slotsLock)
	unlock, err := lockFolder(path)
	for end := time.Now().Add(wait); errors.Is(err, ErrBusy) && time.Now().Before(end); unlock, err = lockFolder(path) {
		time.Sleep(slotsPoll)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer unlock()
	return f()
}

// takeSlot takes the lock of a slot, or returns ErrBusy. The caller holds that of the folder.
func takeSlot(slot string) (unlock func(), err error) {
	switch own, err := isOwn(slot); {
	case err != nil:
		return nil, err
	case own:
		return nil, ErrBusy // another client of this process: opening and closing the lock's file would release its lock
	}
	path := filepath.Join(slot, slotLock)
	release, err := lockSlot(path)
	if err != nil {
		return nil, err
	}
	held, err := os.Stat(path)
	if err == nil {
		err = noteOwner(slot, ownerText())
	}
	if err != nil {
		release()
		return nil, err
	}
	return func() {
		// If the folder was moved away or removed, the one of this name may be another client's by now.
		if now, err := os.Stat(path); err == nil && os.SameFile(held, now) && noteOwner(slot, "") != nil {
			_ = os.Remove(filepath.Join(slot, slotOwner))
		}
		release()
	}, nil
}

// isOwn reports whether a client of this process holds a slot. If that cannot be read, for example for lack of a file handle, one
// may.
func isOwn(slot string) (own bool, err error) {
	f, err := openFile(filepath.Join(slot, slotOwner), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, ownerSize))
	return isOwnText(string(text)), err
}

// noteOwner writes the owner of a slot to its file; "" is nobody.
func noteOwner(slot, name string) error {
	f, err := openFile(filepath.Join(slot, slotOwner), os.O_RDWR|os.O_CREATE)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "%-*s", ownerSize, name)
	return errors.Join(err, f.Close())
}

// unlockLater is unlock for a caller that does not hold the lock of the folder. If it cannot get the lock, the slot stays this
// process's.
func unlockLater(dir string, unlock func()) func() {
	return func() {
		_ = exclusive(dir, slotsWait, func() error {
			unlock()
			return nil
		})
	}
}
