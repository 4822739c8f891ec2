package tail

import "errors"

// errHandles is not the system's own error, which would come when the client has no handle left for a connection.
var errHandles = errors.New("as many files are open as the limit of this process allows (ulimit -n)")

// mostOpen is how many files may be open: the rest of what the process may have is for connections, and for looks at other files.
var mostOpen = func() int {
	limit := handleLimit()
	return limit - min(limit/2, 256)
}

// openText is openText within mostOpen: the file is closed that has been quiet for longest. It is opened again when it changes.
func (s *Set) openText(path string) (text, error) {
	open := 0
	var quiet *File
	for _, f := range s.files {
		if f.text == nil {
			continue
		}
		open++
		if f.mayClose() && (quiet == nil || f.changed.Before(quiet.changed)) {
			quiet = f
		}
	}
	if open >= mostOpen() {
		if quiet == nil {
			return nil, errHandles
		}
		s.retire(quiet)
	}
	return s.disk.openText(path)
}

// mayClose reports whether nothing is lost with the handle: all is read, and a name leads to it still.
func (f *File) mayClose() bool {
	return !f.busy && !f.queued && f.atEnd && f.Held == nil && f.fault == nil && !f.text.packed() && f.seen.links > 0 && f.at.Offset >= f.size
}

// waits reports whether a fault is that a file waits until others are read, which is logged once, not for each.
func (s *Set) waits(fault string) bool {
	if fault != errHandles.Error() {
		return false
	}
	if !s.crowded {
		s.crowded = true
		s.cfg.Log.Warn("there are more files than may be open at once: they take turns", "limit", mostOpen())
	}
	return true
}
