package pages

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// firstMessage is the README's section that everybody reads before the one of their language.
const firstMessage = "60 seconds to the first message"

// A newcomer who follows the first page to the letter, on a clone that nobody prepared, has a message of their own program acked.
// make newcomer prints how long each language takes.
func TestNewcomersPath(t *testing.T) {
	mode := os.Getenv("INLONG_TEST_NEWCOMER")
	if mode == "" {
		t.Skip("clones, builds and downloads: make newcomer")
	}
	repository, err := filepath.Abs(top)
	require.NoError(t, err)
	for _, language := range []string{"Go", "C", "Python"} {
		t.Run(language, func(t *testing.T) {
			checkout := filepath.Join(t.TempDir(), "inlong-dataproxy")
			s := startIn(t, checkout)
			if mode == "cold" {
				s.env = append(s.env, "GOCACHE="+t.TempDir(), "GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw", "PIP_NO_CACHE_DIR=1")
			}
			began := time.Now()
			out, err := exec.CommandContext(t.Context(), "git", "clone", "--quiet", repository, checkout).CombinedOutput()
			require.NoError(t, err, string(out))
			t.Logf("%6.1f s  git clone", time.Since(began).Seconds())
			readme, err := os.ReadFile(filepath.Join(checkout, "README.md"))
			require.NoError(t, err)
			for _, heading := range []string{firstMessage, language} {
				p := parse("README.md", readme)
				at := slices.IndexFunc(p.sections, func(s section) bool { return s.heading == heading })
				require.GreaterOrEqual(t, at, 0, "the README has no section %q", heading)
				s.folder = s.checkout
				for _, b := range p.sections[at].blocks {
					step := time.Now()
					s.follow(&b)
					t.Logf("%6.1f s  line %d: %s", time.Since(step).Seconds(), b.line, b.language)
				}
			}
			t.Logf("%6.1f s  %s, from the clone to the ack", time.Since(began).Seconds(), language)
		})
	}
}

// follow does what a newcomer does with a block: saves it, types it in, or compares it with what they see.
func (s *session) follow(b *block) {
	switch {
	case b.file() != "":
		s.put(b, "")
	case b.has("background"):
		s.background(s.text(b))
	case b.language == "sh":
		s.shell(s.text(b))
	default:
		s.checkOutput(b)
	}
}
