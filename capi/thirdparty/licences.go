package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const modulePath = "github.com/inlong-dataproxy/inlong-dataproxy"

// shipped are the packages that are linked into what a user gets, with the systems that they are built for. The processor makes
// no difference to the modules: a test compares the bills of what is built.
var shipped = []struct{ system, cgo, pkg string }{
	{"linux", "1", modulePath + "/capi"},
	{"linux", "0", modulePath + "/core/cmd/inlong-dataproxy"},
	{"darwin", "0", modulePath + "/core/cmd/inlong-dataproxy"},
	{"windows", "0", modulePath + "/core/cmd/inlong-dataproxy"},
}

// module is one that is linked, with the texts that must go along.
type module struct {
	path  string
	texts []string // of licences and notices, each once
}

const intro = `Software of others that is part of inlong-dataproxy

The list names what is linked into the libraries and the program inlong-dataproxy, whichever of them it is in and on whichever
system. The bill of materials that lies beside each of them names the versions. The source of every module is at
https://pkg.go.dev, by its path and version. The licence of inlong-dataproxy itself is in LICENSE.

`

func writeLicences(out io.Writer) error {
	modules, err := linked()
	if err != nil {
		return err
	}
	fmt.Fprint(out, intro)
	users := map[string][]string{}
	var texts []string
	for _, m := range modules {
		ids, err := licencesOf(m)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%-50s %s\n", m.path, ids)
		for _, text := range m.texts {
			if users[text] == nil {
				texts = append(texts, text)
			}
			users[text] = append(users[text], m.path)
		}
	}
	for _, text := range texts {
		line := strings.Repeat("=", 100)
		fmt.Fprintf(out, "\n%s\n%s\n%s\n\n%s\n", line, strings.Join(users[text], "\n"), line, text)
	}
	return nil
}

// listed is what `go list -json` says of a package.
type listed struct {
	Dir      string
	Standard bool
	Module   *struct {
		Path, Dir string
		Main      bool
	}
}

// linked returns the modules of all that is shipped, sorted by their path. Go's own library is one of them.
func linked() ([]module, error) {
	texts := map[string][]string{}
	for _, s := range shipped {
		command := exec.Command("go", "list", "-deps", "-json=Dir,Standard,Module", s.pkg)
		command.Env = append(os.Environ(), "GOOS="+s.system, "GOARCH=amd64", "CGO_ENABLED="+s.cgo)
		command.Stderr = os.Stderr
		answer, err := command.Output()
		if err != nil {
			return nil, fmt.Errorf("go list %s: %w", s.pkg, err)
		}
		decoder := json.NewDecoder(strings.NewReader(string(answer)))
		for {
			var pkg listed
			if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, err
			}
			if pkg.Standard || pkg.Module == nil || pkg.Module.Main {
				continue
			}
			path := pkg.Module.Path
			if texts[path], err = addTexts(texts[path], pkg.Module.Dir, pkg.Dir); err != nil {
				return nil, err
			}
		}
	}
	// Some distributions leave the licence out of their Go; golang.org/x/sys has the same one, of the same authors.
	texts[goLibrary] = texts["golang.org/x/sys"]
	var modules []module
	for path, found := range texts {
		modules = append(modules, module{path, found})
	}
	slices.SortFunc(modules, func(a, b module) int { return cmp.Compare(a.path, b.path) })
	return modules, nil
}

const goLibrary = "std"

var legal = regexp.MustCompile(`(?i)^((un)?licen[cs]es?|copying|notice|patents)(\.(md|txt)|[.-][a-z]+)?$|^ftl\.txt$`)

// addTexts adds the legal texts of a package's folder and of those above it, up to the module's own.
func addTexts(texts []string, top, folder string) ([]string, error) {
	// freetype keeps the text of the licence that its LICENSE names in a folder of its own.
	for _, at := range append(upTo(top, folder), filepath.Join(top, "licenses")) {
		entries, err := os.ReadDir(at)
		if err != nil {
			continue
		}
		for _, entry := range entries {
			if entry.IsDir() || !legal.MatchString(entry.Name()) || strings.HasSuffix(entry.Name(), ".go") {
				continue
			}
			data, err := os.ReadFile(filepath.Join(at, entry.Name()))
			if err != nil {
				return nil, err
			}
			text := strings.Trim(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n")
			if !slices.Contains(texts, text) {
				texts = append(texts, text)
			}
		}
	}
	return texts, nil
}

// upTo returns the module's folder and those on the way from it to folder.
func upTo(top, folder string) []string {
	folders := []string{top}
	inside, err := filepath.Rel(top, folder)
	if err != nil || inside == "." {
		return folders
	}
	at := top
	for _, part := range strings.Split(inside, string(filepath.Separator)) {
		at = filepath.Join(at, part)
		folders = append(folders, at)
	}
	return folders
}

// marks tells licences by words that only they have.
var marks = []struct{ id, words string }{
	{"Apache-2.0", "Apache License"},
	{"MPL-2.0", "Mozilla Public License"},
	{"FTL", "The FreeType Project LICENSE"},
	{"BSD-3-Clause", "may be used to endorse or promote products"},
	{"Unlicense", "free and unencumbered software released into the public domain"},
	{"ISC", "Permission to use, copy, modify, and/or distribute"},
	{"MIT", "Permission is hereby granted, free of charge"},
}

var spaces = regexp.MustCompile(`\s+`)

// licencesOf returns the licences of a module as an SPDX expression.
func licencesOf(m module) (string, error) {
	var ids []string
	for _, text := range m.texts {
		plain := spaces.ReplaceAllString(text, " ")
		for _, mark := range marks {
			if strings.Contains(plain, mark.words) && !slices.Contains(ids, mark.id) {
				ids = append(ids, mark.id)
			}
		}
		if strings.Contains(plain, "Redistribution and use in source and binary forms") &&
			!strings.Contains(plain, "endorse or promote") && !slices.Contains(ids, "BSD-2-Clause") && !slices.Contains(ids, "FTL") {
			ids = append(ids, "BSD-2-Clause")
		}
	}
	if len(ids) == 0 {
		return "", fmt.Errorf("%s: no licence that is known was found in its source", m.path)
	}
	slices.Sort(ids)
	return strings.Join(ids, " AND "), nil
}
