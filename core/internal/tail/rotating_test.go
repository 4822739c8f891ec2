//go:build unix

package tail

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math/rand"
	"os"
	"strconv"
	"strings"
)

// rotating is a program that logs to a file, and what rotates that: done is called after each step of theirs, and returns false when
// there is to be no other.
type rotating struct {
	*folder
	rnd  *rand.Rand
	name string // which says how
	wrote,
	did func(string)

	n int // lines
}

var waysOfRotation = []string{"numbered", "dated", "copied", "packed", "link", "late", "copypacked"}

func (r *rotating) log() string { return r.name + ".log" }

func (r *rotating) run(rotations int) {
	f := r.open()
	r.write(f, 1+r.rnd.Intn(3))
	for rotation := range rotations {
		for range r.rnd.Intn(3) {
			r.write(f, 1+r.rnd.Intn(30))
		}
		if strings.HasPrefix(r.name, "copy") || r.name == "copied" {
			r.shift()
			r.copyAside()
			r.must(f.Truncate(0))
			r.did("truncate " + r.log())
			if r.name == "copypacked" {
				r.packAside()
			}
			continue
		}
		switch r.name {
		case "dated":
			r.move(r.log(), fmt.Sprintf("dated-2026-11-29T10-%02d-%02d.%06d.log", rotation, r.n%60, r.n))
		case "numbered", "packed", "late":
			r.shift()
			r.move(r.log(), r.log()+".1")
		}
		old := f
		f = r.open()
		if r.name == "late" {
			for range r.rnd.Intn(3) {
				r.write(f, 1)
				r.write(old, 1)
			}
		}
		r.must(old.Close())
		if r.name == "packed" {
			r.packAside()
		}
	}
	r.write(f, 1)
	r.must(f.Close())
}

func (r *rotating) open() *os.File {
	target := r.log()
	if r.name == "link" {
		target = fmt.Sprintf("day-%09d.txt", r.n)
	}
	f, err := os.OpenFile(r.path(target), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	r.must(err)
	r.did("create " + target)
	if r.name == "link" {
		r.must(os.Symlink(target, r.path("next")))
		r.rename("next", r.log())
		r.did("link " + r.log() + " to " + target)
	}
	return f
}

func (r *rotating) write(f *os.File, lines int) {
	var out strings.Builder
	for range lines {
		line := fmt.Sprintf("%s %06d %s", r.name, r.n, strings.Repeat("x", r.rnd.Intn(300)))
		r.n++
		r.wrote(line)
		out.WriteString(line + "\n")
	}
	_, err := f.WriteString(out.String())
	r.must(err)
	r.did(fmt.Sprintf("%s: %d lines, to %d", r.name, lines, r.n-1))
}

func (r *rotating) move(from, to string) {
	r.rename(from, to)
	r.did("rename " + from + " to " + to)
}

func (r *rotating) aside(n int, ending string) string {
	return r.log() + "." + strconv.Itoa(n) + ending
}

func (r *rotating) there(name string) bool {
	_, err := os.Lstat(r.path(name))
	return err == nil
}

// shift renames .1 to .2 and so on, packed or not.
func (r *rotating) shift() {
	n := 1
	for r.there(r.aside(n, "")) || r.there(r.aside(n, ".gz")) {
		n++
	}
	for ; n > 1; n-- {
		for _, ending := range []string{"", ".gz"} {
			if from := r.aside(n-1, ending); r.there(from) {
				r.move(from, r.aside(n, ending))
			}
		}
	}
}

// make writes a file in two steps.
func (r *rotating) make(name string, data []byte) {
	f, err := os.Create(r.path(name))
	r.must(err)
	r.did("create " + name)
	half := len(data) / 2
	_, err = f.Write(data[:half])
	r.must(err)
	r.did("half of " + name)
	_, err = f.Write(data[half:])
	r.must(err)
	r.must(f.Close())
	r.did("all of " + name)
}

func (r *rotating) copyAside() {
	data, err := os.ReadFile(r.path(r.log()))
	r.must(err)
	r.make(r.aside(1, ""), data)
}

func (r *rotating) packAside() {
	name := r.aside(1, "")
	data, err := os.ReadFile(r.path(name))
	r.must(err)
	info, err := os.Stat(r.path(name))
	r.must(err)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = z.Write(data)
	r.must(err)
	r.must(z.Close())
	r.make(name+".gz", packed.Bytes())
	r.must(os.Chtimes(r.path(name+".gz"), info.ModTime(), info.ModTime()))
	r.did("time of " + name + ".gz")
	r.remove(name)
	r.did("remove " + name)
}
