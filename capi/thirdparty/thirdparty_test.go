package main

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A module came in, or changed its licence, and what was shipped did not say so.
func TestLicencesAreThoseOfWhatIsLinked(t *testing.T) {
	t.Chdir("../..")
	committed, err := os.ReadFile(licenceFile)
	if err != nil {
		t.Fatal(err)
	}
	var now bytes.Buffer
	if err := writeLicences(&now); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, now.Bytes()) {
		t.Fatalf("%s is out of date: make licences", licenceFile)
	}
}

// A licence that asks for more than its text to be passed on came in unseen.
func TestNoLicenceAsksForSource(t *testing.T) {
	t.Chdir("../..")
	table, err := licenceTable()
	if err != nil {
		t.Fatal(err)
	}
	if table[goLibrary] == "" || len(table) < 10 {
		t.Fatalf("the list has %d entries: it is not read as it is written", len(table))
	}
	for path, ids := range table {
		for _, id := range strings.Split(ids, " AND ") {
			switch id {
			case "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "FTL", "ISC", "MIT", "Unlicense":
			default:
				t.Errorf("%s is under %s", path, id)
			}
		}
	}
}

// Each module that the client needs is one more in the go.mod of every program that imports it, to be checked by its owners.
func TestImportersGetFewModules(t *testing.T) {
	const most = 12
	modules := map[string]bool{}
	for _, system := range []string{"linux", "darwin", "windows"} {
		command := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", modulePath+"/core")
		command.Env = append(os.Environ(), "GOOS="+system, "CGO_ENABLED=0")
		answer, err := command.Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range strings.Fields(string(answer)) {
			modules[path] = true
		}
	}
	if len(modules) == 0 || len(modules) > most {
		t.Errorf("%d modules, at most %d: %v", len(modules), most, slices.Sorted(maps.Keys(modules)))
	}
}

// The texts of parts of a module, which lie beside them, were left out; so was a NOTICE.
func TestTextsOfPartsAndNoticesGoAlong(t *testing.T) {
	top := t.TempDir()
	for name, text := range map[string]string{"LICENSE": "of the whole", "NOTICE": "a notice", "a/b/LICENSE.txt": "of a part",
		"a/LICENCE.md": "between", "other/LICENSE": "of what is not used", "a/license.go": "package a", "COPYING": "of the whole\n"} {
		file := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	texts, err := addTexts(nil, top, filepath.Join(top, "a", "b"))
	if got := strings.Join(texts, ", "); err != nil || got != "of the whole, a notice, between, of a part" {
		t.Errorf("got %s, %v", got, err)
	}
	if ids, err := licencesOf(module{"x", texts}); err == nil {
		t.Errorf("texts that nobody knows were taken for %s", ids)
	}
}

// A bill that says something else each time makes every release differ; one without the modules is none.
func TestBillIsOfTheFile(t *testing.T) {
	t.Chdir("../..")
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var first, second bytes.Buffer
	for _, out := range []*bytes.Buffer{&first, &second} {
		if err := writeBill(out, "a-name", []string{program}); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("two bills of one file differ")
	}
	var b bill
	if err := json.Unmarshal(first.Bytes(), &b); err != nil {
		t.Fatal(err)
	}
	whole := b.Metadata.Component
	if b.Metadata.Timestamp != "2023-11-14T22:13:20Z" || whole.Name != "a-name" || len(whole.Parts) != 1 {
		t.Errorf("of another thing: %+v", b.Metadata)
	}
	found := map[string]bool{}
	for _, c := range b.Components {
		found[c.Name] = c.Version != "" && len(c.Licences) == 1
	}
	for _, path := range []string{goLibrary, "github.com/klauspost/compress", "github.com/prometheus/client_golang"} {
		if !found[path] {
			t.Errorf("%s is not in it, or without version or licence", path)
		}
	}
	if err := writeBill(&second, "a-name", []string{"go.mod"}); err == nil {
		t.Error("a file that Go did not link got a bill")
	}
}
