//go:build !windows

package pages

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// firstMessage is the README's section that everybody reads before the one of their language.
const firstMessage = "First message"

var firstLanguages = []string{"Go", "C", "C++", "Python"}

func isNewcomers(heading string) bool {
	return heading == firstMessage || slices.Contains(firstLanguages, heading)
}

// published is the repository's address on the first page.
const published = "https://github.com/inlong-dataproxy/inlong-dataproxy"

// A newcomer who follows the first page to the letter, from its clone on, has a message of their own program acked, and nothing
// of that in what git would commit. make newcomer prints how long each language takes.
func TestNewcomersPath(t *testing.T) {
	mode := os.Getenv("INLONG_TEST_NEWCOMER")
	if mode == "" {
		t.Skip("clones, builds and downloads: make newcomer")
	}
	repository, err := filepath.Abs(top)
	require.NoError(t, err)
	readme, err := exec.CommandContext(t.Context(), "git", "-C", repository, "show", "HEAD:README.md").Output()
	require.NoError(t, err)
	p := parse("README.md", readme)
	for _, language := range firstLanguages {
		t.Run(language, func(t *testing.T) {
			s := startIn(t, t.TempDir())
			// What is cloned is this repository, whatever it is called.
			s.env = append(s.env, "GIT_CONFIG_COUNT=1", "GIT_CONFIG_KEY_0=url."+repository+".insteadOf", "GIT_CONFIG_VALUE_0="+published)
			if mode == "cold" {
				s.env = append(s.env, "GOCACHE="+t.TempDir(), "GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw", "PIP_NO_CACHE_DIR=1")
			}
			began := time.Now()
			s.shell(cloning(p))
			t.Logf("%6.1f s  the clone", time.Since(began).Seconds())
			s.checkout = s.folder // where the page says that each language begins
			for _, heading := range []string{firstMessage, language} {
				at := slices.IndexFunc(p.sections, func(s section) bool { return s.heading == heading })
				require.GreaterOrEqual(t, at, 0, "the README has no section %q", heading)
				for _, b := range p.sections[at].blocks {
					step := time.Now()
					s.follow(&b)
					t.Logf("%6.1f s  line %d: %s", time.Since(step).Seconds(), b.line, b.language)
				}
			}
			t.Logf("%6.1f s  %s, from the clone to the ack", time.Since(began).Seconds(), language)
			strays, err := exec.CommandContext(t.Context(), "git", "-C", s.checkout, "status", "--porcelain").Output()
			require.NoError(t, err)
			require.Empty(t, strings.TrimSpace(string(strays)), "what the page's way leaves in the clone")
		})
	}
}

// cloning is what the page's two commands do before them.
func cloning(p page) string {
	var lines strings.Builder
	for _, section := range p.sections {
		if section.heading == twoCommands {
			for line := range strings.Lines(section.blocks[0].text) {
				if strings.HasPrefix(line, "git clone ") || strings.HasPrefix(line, "cd ") {
					lines.WriteString(line)
				}
			}
		}
	}
	return lines.String()
}

// follow does what a newcomer does with a block: saves it, types it in, or compares it with what they see.
func (s *session) follow(b *block) {
	switch {
	case b.file() != "":
		s.put(b, "")
	case b.has("background"):
		s.background(b.text)
	case b.language == "sh":
		s.shell(s.text(b))
	default:
		s.checkOutput(b)
	}
}
