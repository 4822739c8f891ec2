package pages

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A link that leads nowhere is found by the reader who needs it.
func TestLinksLeadSomewhere(t *testing.T) {
	pages := readPages(t)
	anchors := map[string]map[string]bool{}
	for _, p := range pages {
		anchors[p.path] = p.anchors
	}
	inside := 0
	for _, p := range pages {
		for _, link := range p.links {
			if strings.HasPrefix(link.text, "https://") || strings.HasPrefix(link.text, "http://") {
				continue // the world outside changes without us
			}
			inside++
			path, anchor, _ := strings.Cut(link.text, "#")
			target := p.path
			if path != "" {
				target = filepath.Join(filepath.Dir(p.path), path)
			}
			if _, err := os.Stat(filepath.Join(top, target)); err != nil {
				t.Errorf("%s:%d: %q leads nowhere", p.path, link.line, link.text)
			} else if anchor != "" && !anchors[target][anchor] {
				t.Errorf("%s:%d: %s has no heading #%s", p.path, link.line, target, anchor)
			}
		}
	}
	require.Greater(t, inside, 10, "links")
}

// An example that no page names is read by nobody; so is an error that the table of errors leaves out.
func TestPagesNameEveryExampleAndPythonError(t *testing.T) {
	named := func(page string) map[string]bool {
		source, err := os.ReadFile(filepath.Join(top, page))
		require.NoError(t, err)
		spans := map[string]bool{}
		for _, span := range parse(page, source).spans {
			spans[span.text] = true
		}
		return spans
	}
	for _, folder := range []string{"bindings/c/examples", "bindings/python/examples"} {
		examples, err := filepath.Glob(filepath.Join(top, folder, "[0-9]*"))
		require.NoError(t, err)
		require.Greater(t, len(examples), 2, folder)
		spans := named(folder + "/README.md")
		for _, path := range examples {
			require.True(t, spans[filepath.Base(path)], "%s/README.md does not name %s", folder, filepath.Base(path))
		}
	}
	source, err := os.ReadFile(filepath.Join(top, "bindings/python/inlong_dataproxy/errors.py"))
	require.NoError(t, err)
	errors := regexp.MustCompile(`(?m)^class (\w+Error_?)\(`).FindAllStringSubmatch(string(source), -1)
	require.Greater(t, len(errors), 5)
	spans := named("bindings/python/README.md")
	for _, class := range errors {
		require.True(t, spans[class[1]], "bindings/python/README.md does not name %s", class[1])
	}
}

// A file or target that a sentence names is renamed, and the sentence stays.
func TestFilesAndTargetsInSentencesExist(t *testing.T) {
	release, err := os.ReadFile(filepath.Join(top, ".ci/release.mk")) // the walk leaves folders with a dot out
	require.NoError(t, err)
	makefiles := string(release)
	names := map[string]bool{}
	walk(t, func(path string, read func() string) {
		name := filepath.Base(path)
		names[name] = true
		if name == "Makefile" || filepath.Ext(path) == ".mk" {
			makefiles += read()
		}
	})
	source := regexp.MustCompile(`^([\w./-]*?)([\w.-]+\.(?:go|c|cc|cpp|h|hpp|py|md|mk|map|json|yml|yaml))$`)
	folder := regexp.MustCompile(`^(?:core|capi|include|bindings)/[\w./-]*$`)
	ours := regexp.MustCompile(`^(?:core|capi|include|bindings)/`) // a page that moved has its name elsewhere
	made := regexp.MustCompile(`^make ([a-z][a-z-]*)`)
	checked := 0
	pages := readPages(t)
	for _, p := range pages {
		for _, section := range p.sections {
			for _, b := range section.blocks {
				names[b.file()] = true
			}
		}
	}
	for _, p := range pages {
		for _, span := range p.spans {
			good := true
			if target := made.FindStringSubmatch(span.text); target != nil {
				good = regexp.MustCompile(`(?m)^[a-z -]*\b` + target[1] + `\b[a-z -]*:`).MatchString(makefiles)
			} else if folder.MatchString(span.text) && !strings.HasSuffix(span.text, "...") {
				_, err := os.Stat(filepath.Join(top, span.text))
				good = err == nil
			} else if file := source.FindStringSubmatch(span.text); file != nil {
				_, beside := os.Stat(filepath.Join(top, filepath.Dir(p.path), span.text))
				_, fromTop := os.Stat(filepath.Join(top, span.text))
				good = beside == nil || fromTop == nil || names[file[2]] && !ours.MatchString(file[1])
			} else {
				continue
			}
			checked++
			if !good {
				t.Errorf("%s:%d: there is no `%s`", p.path, span.line, span.text)
			}
		}
	}
	require.Greater(t, checked, 50, "files and targets named")
}

// A function, option or variable that a sentence names is renamed, and anyone who copies it from the page finds nothing.
func TestNamesInSentencesExist(t *testing.T) {
	source := map[string]bool{}
	word := regexp.MustCompile(`\w+`)
	walk(t, func(path string, read func() string) {
		if slices.Contains([]string{".go", ".c", ".h", ".hpp", ".py"}, filepath.Ext(path)) {
			for _, w := range word.FindAllString(read(), -1) {
				source[w] = source[w] || !strings.HasSuffix(path, "_test.go") || strings.HasPrefix(w, "INLONG_TEST_")
			}
		}
	})
	options := map[string]bool{}
	table, err := os.ReadFile(filepath.Join(top, "core/docs/OPTIONS.md")) // which is made from the code
	require.NoError(t, err)
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\|").FindAllStringSubmatch(string(table), -1) {
		options[row[1]] = true
	}
	named := regexp.MustCompile(`\b(?:inlong_\w+|INLONG_\w*[A-Z]|With[A-Z]\w+)`)
	set := regexp.MustCompile(`^([a-z_]+)=\w`)
	checked := 0
	for _, p := range readPages(t) {
		for _, span := range p.spans {
			for _, name := range named.FindAllString(span.text, -1) {
				checked++
				if !source[name] {
					t.Errorf("%s:%d: there is no %s", p.path, span.line, name)
				}
			}
			if option := set.FindStringSubmatch(span.text); option != nil {
				checked++
				if !options[option[1]] {
					t.Errorf("%s:%d: there is no option %s", p.path, span.line, option[1])
				}
			}
		}
	}
	require.Greater(t, checked, 100, "names")
}
