package pages

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	east "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"
)

// top is the repository.
const top = "../../.."

// page is a Markdown file of the repository.
type page struct {
	path     string // from the top
	sections []section
	links    []place
	spans    []place         // code inside of sentences
	prose    []place         // a paragraph, heading or cell each, without its code
	anchors  map[string]bool // of its headings, as GitHub makes them
}

// section is what stands below a heading of level 2 or 3, or above the first.
type section struct {
	heading string
	blocks  []block
}

type block struct {
	place
	language string
	words    []string // what follows the language
}

// place is a text with the line on which it begins.
type place struct {
	text string
	line int
}

// walk visits every file and folder of the repository, without what a build makes. read returns a file's text.
func walk(t *testing.T, visit func(path string, read func() string)) {
	t.Helper()
	err := filepath.WalkDir(top, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && path != top && (name == "build" || name[0] == '.' && name != ".github" || strings.HasSuffix(name, ".egg-info")) {
			return filepath.SkipDir
		}
		visit(path, func() string {
			source, err := os.ReadFile(path)
			require.NoError(t, err)
			return string(source)
		})
		return nil
	})
	require.NoError(t, err)
}

// readPages parses every Markdown file of the repository.
func readPages(t *testing.T) (pages []page) {
	t.Helper()
	walk(t, func(path string, read func() string) {
		if filepath.Ext(path) == ".md" {
			relative, err := filepath.Rel(top, path)
			require.NoError(t, err)
			pages = append(pages, parse(relative, []byte(read())))
		}
	})
	return pages
}

func parse(path string, source []byte) page {
	p := page{path: path, sections: make([]section, 1), anchors: map[string]bool{}}
	line := func(offset int) int { return 1 + bytes.Count(source[:offset], []byte("\n")) }
	add := func(b block) {
		last := &p.sections[len(p.sections)-1]
		last.blocks = append(last.blocks, b)
	}
	at := 1 // the line of the last block, for what is inside of it
	markdown := goldmark.New(goldmark.WithExtensions(extension.Table)).Parser().Parse(text.NewReader(source))
	_ = ast.Walk(markdown, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		if node.Type() == ast.TypeBlock && node.Lines().Len() > 0 {
			at = line(node.Lines().At(0).Start)
		}
		switch node.Kind() {
		case ast.KindParagraph, ast.KindTextBlock, ast.KindHeading, east.KindTableCell:
			p.prose = append(p.prose, place{prose(node, source), at})
		}
		switch n := node.(type) {
		case *ast.Heading:
			heading := plain(n, source)
			p.anchors[p.anchor(heading)] = true
			if n.Level == 2 || n.Level == 3 {
				p.sections = append(p.sections, section{heading: heading})
			}
		case *ast.FencedCodeBlock:
			b := block{place: place{string(n.Lines().Value(source)), at}}
			if n.Info != nil {
				words := strings.Fields(string(n.Info.Value(source)))
				b.language, b.words = words[0], words[1:]
			}
			add(b)
		case *ast.CodeBlock:
			add(block{place: place{string(n.Lines().Value(source)), at}})
		case *ast.Link:
			p.links = append(p.links, place{string(n.Destination), at})
		case *ast.Image:
			p.links = append(p.links, place{string(n.Destination), at})
		case *ast.AutoLink:
			p.links = append(p.links, place{string(n.URL(source)), at})
		case *ast.CodeSpan:
			p.spans = append(p.spans, place{plain(n, source), at})
		}
		return ast.WalkContinue, nil
	})
	return p
}

// plain is the text of a node without its marks.
func plain(node ast.Node, source []byte) string { return textOf(node, source, true) }

// prose is the same without code.
func prose(node ast.Node, source []byte) string { return textOf(node, source, false) }

func textOf(node ast.Node, source []byte, code bool) string {
	var s strings.Builder
	_ = ast.Walk(node, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !code && n.Kind() == ast.KindCodeSpan {
			return ast.WalkSkipChildren, nil
		}
		if t, ok := n.(*ast.Text); ok && entering {
			s.Write(t.Value(source))
			if t.SoftLineBreak() {
				s.WriteByte(' ')
			}
		}
		return ast.WalkContinue, nil
	})
	return s.String()
}

var notInAnchors = regexp.MustCompile(`[^\p{L}\p{N}\p{M} _-]`)

func (p *page) hasBlocks() bool {
	return slices.ContainsFunc(p.sections, func(s section) bool { return len(s.blocks) > 0 })
}

// anchor is the name by which a link finds a heading.
func (p *page) anchor(heading string) string {
	base := strings.ReplaceAll(notInAnchors.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
	name := base
	for n := 1; p.anchors[name]; n++ {
		name = fmt.Sprintf("%s-%d", base, n)
	}
	return name
}

func (b *block) has(word string) bool { return slices.Contains(b.words, word) }

// file is the name that the block is given, or "".
func (b *block) file() string {
	for _, w := range b.words {
		if name, ok := strings.CutPrefix(w, "file="); ok {
			return name
		}
	}
	return ""
}
