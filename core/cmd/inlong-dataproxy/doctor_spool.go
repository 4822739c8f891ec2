package main

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/internal/spool"
)

const spoolCheck = "spool"

// oldBacklog is from when on a backlog is said to be old.
const oldBacklog = time.Hour

// checkSpool looks whether the client can keep messages in spool_dir, and what is there. It changes nothing.
func (d *doctor) checkSpool() {
	dir := d.options.SpoolDir
	if dir == "" {
		return
	}
	warn := func(advice, format string, args ...any) { d.add(levelWarn, spoolCheck, advice, format, args...) }
	there := dir
	for { // a client makes what is missing
		info, err := os.Stat(there)
		if err == nil && !info.IsDir() {
			d.add(levelFail, spoolCheck, "Give spool_dir a folder of its own.", "%s is a file", there)
			return
		}
		if !errors.Is(err, os.ErrNotExist) || there == filepath.Dir(there) {
			break
		}
		there = filepath.Dir(there)
	}
	if err := spool.CheckDisk(there); err != nil {
		d.add(levelFail, spoolCheck, "Give the user of the client the right to write there, or another folder on a local disk.", "%s cannot be used: %v", there, err)
		return
	}
	slots, err := spool.Inspect(dir, nil)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		d.add(levelFail, spoolCheck, "", "%v", err)
		return
	}
	var all slotSum
	aside, used := 0, 0
	for _, s := range slots {
		t := sumOf(s)
		all.Batches, all.Messages, all.Bytes, all.faults = all.Batches+t.Batches, all.Messages+t.Messages, all.Bytes+t.Bytes, all.faults+t.faults
		if !t.Oldest.IsZero() && (all.Oldest.IsZero() || t.Oldest.Before(all.Oldest)) {
			all.Oldest = t.Oldest
		}
		if aside += len(s.Quarantined); s.InUse {
			used++
		}
	}
	free, kind := diskOf(there)
	if most := int64(d.options.SpoolMaxBytes); free > 0 && free+all.Bytes < most {
		warn("Lower spool_max_bytes, or make room: with a full disk, new messages are kept in memory only.", "%d bytes are free on the disk of %s, less than spool_max_bytes %d", free, there, most)
	}
	switch kind {
	case "tmpfs":
		warn("Choose a folder on a disk.", "%s is in memory: what is stored there does not outlive a reboot", there)
	case "nfs":
		warn("Choose a folder on a local disk.", "%s is on NFS: a server that is away stops what is stored, and locks depend on it", there)
	}
	if all.faults > 0 || aside > 0 {
		warn(`"inlong-dataproxy spool verify `+dir+`" names them.`, "%s cannot be read, %d in quarantine", plural(all.faults, "file"), aside)
	}
	if !all.Oldest.IsZero() && time.Since(all.Oldest) > oldBacklog {
		warn("Find out why they are not delivered: nodes that take nothing, or no client that is open on the folder.", "the oldest message was stored %v ago", time.Since(all.Oldest).Round(time.Minute))
	}
	d.ok(spoolCheck, "%s can be written to and locked; %s in %s, %s in use", there, plural(all.Messages, "message"), batches(all.Batches), plural(used, "slot"))
}
