//go:build !windows

package pages

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The first thing that a new user does is to copy a sample. It must work as it stands, and each other one must too.
func TestEveryBlockOfEveryPageWorks(t *testing.T) {
	if os.Getenv("INLONG_TEST_PAGES") == "" {
		t.Skip("needs the libraries, the programs and the Python packages: make test-pages")
	}
	for _, p := range readPages(t) {
		if !p.hasBlocks() {
			continue
		}
		t.Run(p.path, func(t *testing.T) {
			t.Parallel()
			s := newSession(t)
			for _, section := range p.sections {
				s.folder = s.checkout
				for _, b := range section.blocks {
					t.Run(fmt.Sprintf("line %d %s", b.line, b.language), func(t *testing.T) {
						s.read(t, &b)
					})
				}
			}
		})
	}
}

// The sample that go doc and pkg.go.dev show first stands in a comment, where no compiler sees it.
func TestSampleOfThePackagesDocumentationCompiles(t *testing.T) {
	if os.Getenv("INLONG_TEST_PAGES") == "" {
		t.Skip("builds a program: make test-pages")
	}
	source, err := os.ReadFile(filepath.Join(top, "core/doc.go"))
	require.NoError(t, err)
	var sample strings.Builder
	for line := range strings.Lines(string(source)) {
		if code, ok := strings.CutPrefix(line, "//\t"); ok {
			sample.WriteString("\t" + code)
		}
	}
	require.Contains(t, sample.String(), "client.Send(")
	newSession(t).runGo(&block{words: []string{"compile"}, place: place{text: `package main

import (
	"context"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

func sample(ctx context.Context) error {
` + sample.String() + `	return err
}

func main() { _ = sample }
`}})
}

// read does what a reader does with a block.
func (s *session) read(t *testing.T, b *block) {
	require.Empty(t, faults(b))
	s.t = t
	if b.language != "text" {
		s.skipped = false
	}
	languages[b.language].run(s, b)
}

// faults says why the test cannot read a block.
func faults(b *block) (found []string) {
	language, known := languages[b.language]
	if !known {
		return []string{fmt.Sprintf("language %q is none that the test runs", b.language)}
	}
	for _, word := range b.words {
		if !strings.HasPrefix(word, "file=") && !slices.Contains(language.words, word) {
			found = append(found, fmt.Sprintf("%q says nothing after %q", word, b.language))
		}
	}
	return found
}

// Also where nothing can be run it shows that no block is left out for its language or its mark.
func TestEveryBlockCanBeRead(t *testing.T) {
	blocks := map[string]int{}
	var left []string // that no test runs
	for _, p := range readPages(t) {
		for _, section := range p.sections {
			for _, b := range section.blocks {
				blocks[b.language]++
				for _, fault := range faults(&b) {
					t.Errorf("%s:%d: %s", p.path, b.line, fault)
				}
				if b.has("network") && !(p.path == "README.md" && (isNewcomers(section.heading) || section.heading == twoCommands)) {
					left = append(left, p.path)
				}
			}
		}
	}
	t.Logf("blocks: %v", blocks)
	require.Equal(t, []string{"bindings/python/README.md"}, left, "pages with a block that neither this test nor make newcomer nor make test-fresh runs")
}

// The tests above pass on any page if what reads it sees nothing.
func TestReaderSeesBlocksLinksAndFaults(t *testing.T) {
	p := parse("x.md", []byte("# A page\n\n    indented\n\n## Two *words*, `code`\n\n```go file=a.go\nx\ny\n```\n\n- [link](b.md#c)\n\n"+
		"  ```sh network loud\n  z\n  ```\n\n| `span` |\n|---|\n\n```cobol\n```\n"))
	require.Len(t, p.sections, 2)
	require.Equal(t, []block{{place: place{"indented\n", 3}}}, p.sections[0].blocks)
	require.Equal(t, map[string]bool{"a-page": true, "two-words-code": true}, p.anchors)
	blocks := p.sections[1].blocks
	require.Len(t, blocks, 3)
	require.Equal(t, block{place{"x\ny\n", 8}, "go", []string{"file=a.go"}}, blocks[0])
	require.Equal(t, "z\n", blocks[1].text)
	require.Equal(t, []place{{"b.md#c", 12}}, p.links)
	require.Equal(t, "span", p.spans[1].text)
	require.NotEmpty(t, faults(&p.sections[0].blocks[0]))
	require.Empty(t, faults(&blocks[0]))
	require.NotEmpty(t, faults(&blocks[1]))
	require.NotEmpty(t, faults(&blocks[2]))
}
