//go:build unix

package tail

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Rotated names are of any form; a file that is known is found by its number, and those that had the name since by the form of the name.
func TestAFileIsFoundUnderWhateverNameRotationGivesIt(t *testing.T) {
	for _, name := range []string{"app.log.1", "app.log-20261129", "app-2026-11-28T23-00-00.000.log", "app.2026-11-28.log", "app.1.log",
		"app.log.old", "app.log.bak", "app.log~", "something else", "old/app.log.1"} {
		t.Run(name, func(t *testing.T) {
			d := newFolder(t)
			d.must(os.MkdirAll(d.path("old"), 0o700))
			d.add("app.log", many("a", 5)...)
			d.same(d.once("app.log"), many("a", 5)...)
			d.add("app.log", many("b", 5)...)
			d.rename("app.log", name)
			d.add("app.log", many("c", 5)...)
			d.same(d.once("app.log"), append(many("b", 5), many("c", 5)...)...)
		})
	}
}

// Several rotations may pass while nothing runs: the files between were never met.
func TestSeveralRotationsWhileStopped(t *testing.T) {
	for _, form := range [][3]string{{"app.log.3", "app.log.2", "app.log.1"},
		{"app-2026-11-28T23-00-00.000.log", "app-2026-11-28T23-10-00.000.log", "app-2026-11-28T23-20-00.000.log"},
		{"app.log-20261126.gz", "app.log-20261127.gz", "app.log-20261128.gz"}} {
		for _, way := range []string{"rename", "copytruncate"} {
			t.Run(form[0]+" "+way, func(t *testing.T) {
				d := newFolder(t)
				d.add("app.log.9", "before our time")
				d.add("app2.log", "another one")
				d.add("app.log", "first")
				d.same(d.once("app.log"), "first")
				want := []string{}
				for i, name := range form {
					lines := many(string(rune('a'+i)), 5)
					want = append(want, lines...)
					d.add("app.log", lines...)
					plain, packed := strings.CutSuffix(name, ".gz")
					if way == "rename" {
						d.rename("app.log", plain)
					} else {
						d.copytruncate("app.log", plain)
					}
					if packed {
						d.pack(plain)
					}
				}
				d.add("app.log", "last")
				o := d.once("app.log")
				d.same(o, append(want, "last")...)
				if len(o.losses) > 0 {
					t.Errorf("losses %v", o.losses)
				}
				d.same(d.once("app.log"))
			})
		}
	}
}

// The file has grown past the old place when it is looked at again: its size tells nothing.
func TestCopytruncateBehindTheReaderLosesNothing(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", many("a", 300)...)
	d.same(d.do(run{paths: []string{"app.log"}, most: 50}), many("a", 300)[:50]...)
	d.copytruncate("app.log", "app.log.1")
	d.add("app.log", many("c", 400)...)
	o := d.once("app.log")
	d.same(o, append(many("a", 300)[50:], many("c", 400)...)...)
	if len(o.losses) > 0 {
		t.Errorf("losses %v", o.losses)
	}
}

// What a truncation took away unread must be named with its size, also when the run that had looked at it was killed.
func TestWhatATruncationTookIsNamedWithItsBytes(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", many("a", 300)...)
	d.do(run{paths: []string{"app.log"}, most: 50})
	d.truncate("app.log")
	d.add("app.log", many("c", 400)...)
	o := d.once("app.log")
	d.same(o, many("c", 400)...)
	if len(o.losses) != 1 || o.losses[0].Bytes != 250*7 {
		t.Errorf("losses %v, want %d bytes", o.losses, 250*7)
	}
	if !strings.Contains(o.log.String(), "1750 bytes") {
		t.Errorf("it said: %s", o.log.String())
	}
	if o := d.once("app.log"); len(o.lines) > 0 || len(o.losses) > 0 {
		t.Errorf("the next run: %q, losses %v", o.lines, o.losses)
	}
}

// A shell that expands a pattern, run from cron: each rotation gives all files other names.
func TestAPatternOverARotationReadsEachFileOnce(t *testing.T) {
	for _, quoted := range []bool{true, false} {
		d := newFolder(t)
		glob := func() []string {
			if quoted {
				return []string{"app.log*"}
			}
			paths, _ := filepath.Glob(d.path("app.log*"))
			for i, p := range paths {
				paths[i] = filepath.Base(p)
			}
			return paths
		}
		d.add("app.log.1", many("a", 5)...)
		d.add("app.log", many("b", 5)...)
		d.same(d.once(glob()...), append(many("a", 5), many("b", 5)...)...)
		for _, next := range []string{"c", "d"} {
			if next == "d" {
				d.rename("app.log.2", "app.log.3")
				d.pack("app.log.3")
			}
			d.rename("app.log.1", "app.log.2")
			d.rename("app.log", "app.log.1")
			d.add("app.log", many(next, 5)...)
			d.same(d.once(glob()...), many(next, 5)...)
		}
		d.copytruncate("app.log", "app.log.0")
		d.add("app.log", many("e", 5)...)
		d.same(d.once(glob()...), many("e", 5)...)
	}
}

// The packer may be faster than the reader: what was not read is in the packed file only.
func TestThePackedFileIsTheContinuation(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", many("a", 500)...)
	d.do(run{paths: []string{"app.log"}, most: 100})
	d.rename("app.log", "app.log.1")
	d.pack("app.log.1")
	d.add("app.log", "new")
	d.same(d.once("app.log"), append(many("a", 500)[100:], "new")...)
	d.same(d.once("app.log"))
}

func TestPackedFilesAreReadAsText(t *testing.T) {
	d := newFolder(t)
	d.add("a.log", many("a", 5000)...)
	d.pack("a.log")
	d.must(os.WriteFile(d.path("b.zst"), zstdOf("b\nc"), 0o600))
	d.same(d.once("a.log.gz", "b.zst"), append(many("a", 5000), "b", "c")...)
}

// A packed file that ends in the middle is told, and what is in it before is read.
func TestAPackedFileThatIsCutIsAFault(t *testing.T) {
	d := newFolder(t)
	d.add("a.log", many("a", 50000)...)
	d.pack("a.log")
	data, err := os.ReadFile(d.path("a.log.gz"))
	d.must(err)
	d.must(os.WriteFile(d.path("a.log.gz"), data[:len(data)/2], 0o600))
	o := d.once("a.log.gz")
	if len(o.faults) != 1 || !strings.Contains(o.faults[0], "in the middle") || len(o.lines) < 1000 {
		t.Errorf("%d lines, faults %q", len(o.lines), o.faults)
	}
}

// A packed file that was met in the moment between its making and its first byte was read as plain text: what the packer wrote came as
// lines that nobody had logged.
func TestAPackedFileThatIsEmptyYetIsNotReadAsPlain(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", "a")
	d.pack("app.log")
	packed, err := os.ReadFile(d.path("app.log.gz"))
	d.must(err)
	for _, name := range []string{"app.log.gz", "other.log.2.gz"} {
		for _, begun := range []int{0, 3} {
			d.must(os.WriteFile(d.path(name), packed[:begun], 0o600))
			o, stop := d.follow(run{paths: []string{name}, state: d.path(name + ".state" + strconv.Itoa(begun))})
			d.must(os.WriteFile(d.path(name), packed, 0o600))
			d.arrives(o, "a")
			d.same(stop(), "a")
			if len(o.faults) > 0 {
				t.Error(o.faults)
			}
		}
	}
	d.must(os.WriteFile(d.path("app.log.gz"), nil, 0o600))
	if o := d.once("app.log.gz"); len(o.faults) != 1 {
		t.Errorf("faults %q, want one: it is no packed file", o.faults)
	}
}

// The path is a link, as under /var/log/containers: rotation happens where it leads to.
func TestALinkIsFollowedToWhereTheFileIs(t *testing.T) {
	d := newFolder(t)
	d.must(os.Mkdir(d.path("pod"), 0o700))
	d.must(os.Symlink("pod/0.log", d.path("app.log")))
	d.add("pod/0.log", "a")
	d.same(d.once("app.log"), "a")
	d.add("pod/0.log", "b")
	d.rename("pod/0.log", "pod/0.log.20261128-230000")
	d.add("pod/0.log", "c")
	d.rename("pod/0.log", "pod/0.log.20261128-231000")
	d.add("pod/0.log", "d")
	d.same(d.once("app.log"), "b", "c", "d")
}

// A link to today's file moves on while nothing runs: yesterday's has lines, and there may have been one between.
func TestALinkThatMovedLeavesNothingBehind(t *testing.T) {
	d := newFolder(t)
	link := func(to string) {
		os.Remove(d.path("app.log"))
		d.must(os.Symlink(to, d.path("app.log")))
	}
	d.add("app-20261126.log", "a")
	link("app-20261126.log")
	d.same(d.once("app.log"), "a")
	d.add("app-20261126.log", "b")
	d.add("app-20261127.log", "c")
	d.add("app-20261128.log", "d")
	link("app-20261128.log")
	d.same(d.once("app.log"), "b", "c", "d")
}

// The writer continues in the renamed file for a while.
func TestLinesThatComeLateAreReadByThisRunOrTheNext(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", "a")
	o, stop := d.follow(run{paths: []string{"app.log"}, wait: time.Minute})
	d.arrives(o, "a")
	d.rename("app.log", "app.log.1")
	d.add("app.log", "new")
	d.arrives(o, "new")
	d.add("app.log.1", "late")
	d.arrives(o, "late")
	d.same(stop(), "a", "new", "late")
	d.add("app.log.1", "later")
	d.add("app.log", "newer")
	d.same(d.once("app.log"), "later", "newer")
}

// After its time a file that was put aside is closed, and opened again if it grows all the same. A line without an end is sent then.
func TestAFileThatWasLeftIsTakenUpAgain(t *testing.T) {
	d := newFolder(t)
	d.must(os.WriteFile(d.path("app.log"), []byte("a\nhalf"), 0o600))
	o, stop := d.follow(run{paths: []string{"app.log"}, wait: 50 * time.Millisecond})
	d.arrives(o, "a")
	d.rename("app.log", "app.log.1")
	d.add("app.log", "new")
	d.arrives(o, "new", "half")
	d.add("app.log.1", "late")
	d.arrives(o, "late")
	d.same(stop(), "a", "half", "new", "late")
}

// One file by two patterns, a link and a second name is one file.
func TestAFileWithSeveralNamesIsReadOnce(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", "a", "b")
	d.must(os.Symlink("app.log", d.path("link.log")))
	d.must(os.Link(d.path("app.log"), d.path("hard.log")))
	d.same(d.once("*.log", "app*", "link.log", "app.log"), "a", "b")
	d.same(d.once("."), []string{}...)
}

// Files of a folder and of a pattern that come later are read too.
func TestPatternsAndFoldersGrow(t *testing.T) {
	d := newFolder(t)
	d.must(os.Mkdir(d.path("in"), 0o700))
	d.add("in/1", "a")
	o, stop := d.follow(run{paths: []string{"in", "x*.log"}})
	d.arrives(o, "a")
	d.add("in/2", "b")
	d.add("x1.log", "c")
	d.add("x1.txt", "no")
	d.arrives(o, "b", "c")
	d.same(stop(), "a", "b", "c")
}

// The number of a deleted file goes to the next one: it is another file all the same.
func TestANewFileWithTheNumberOfADeletedOneIsReadFromItsBeginning(t *testing.T) {
	d := newFolder(t)
	for i := range 5 {
		lines := many(string(rune('a'+i)), 10+i)
		d.add("app.log", lines...)
		d.same(d.once("app.log"), lines...)
		d.remove("app.log")
	}
}

// Lines may repeat for ever: then only the number tells which file is which.
func TestFilesThatAreAlikeAreToldApart(t *testing.T) {
	d := newFolder(t)
	ticks := func(n int) []string { return slices.Repeat([]string{"tick"}, n) }
	d.add("app.log", ticks(100)...)
	d.same(d.once("app.log"), ticks(100)...)
	d.add("app.log", ticks(5)...)
	d.rename("app.log", "app.log.1")
	d.add("app.log", ticks(120)...)
	d.same(d.once("app.log"), ticks(125)...)
	d.add("b1.log", ticks(3)...)
	d.add("b2.log", ticks(3)...)
	d.same(d.do(run{paths: []string{"b1.log", "b2.log"}, state: d.path("other")}), ticks(6)...)
}

// A copy that stays beside its file is no new file, and a file that only begins alike is.
func TestACopyUnderAPatternIsNotReadAgain(t *testing.T) {
	d := newFolder(t)
	d.add("app.log", many("a", 300)...)
	d.same(d.once("app.log*"), many("a", 300)...)
	d.copy("app.log", "app.log.bak")
	d.add("app.log", "more")
	d.same(d.once("app.log*"), "more")
	d.add("app.log.2", append(many("a", 300), "but other")...)
	d.same(d.once("app.log*"), append(many("a", 300), "but other")...)
}

// Two files of one program begin with the same header. When one that had no more in it went, the lines of the other were taken for its
// rest, and sent, though nobody had asked for them.
func TestAHeaderThatFilesShareProvesNoCopy(t *testing.T) {
	header := "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port"
	d := newFolder(t)
	d.add("app.log", header)
	d.same(d.once("app.log"), header)
	d.add("other.log", header, "not asked for")
	d.remove("app.log")
	d.same(d.once("app.log"))
}

// The copies of two rotations begin with the header that was all there was, and so does the file: until that is read further they could
// be parts of it, and the run ended without them.
func TestRotationsOfAFileWithAHeaderAreReadByTheSameRun(t *testing.T) {
	header := "#Fields: date time s-ip cs-method cs-uri-stem cs-uri-query s-port"
	d := newFolder(t)
	d.add("app.log", header)
	d.same(d.once("app.log"), header)
	want := map[string]bool{}
	for _, name := range []string{"app.log.2", "app.log.1", ""} {
		d.add("app.log", header, "line of "+name)
		want["line of "+name] = false
		if name != "" {
			d.copytruncate("app.log", name)
		}
	}
	for _, line := range d.once("app.log").got() {
		want[line] = true
	}
	for line, came := range want {
		if !came {
			t.Errorf("%q did not come", line)
		}
	}
}
