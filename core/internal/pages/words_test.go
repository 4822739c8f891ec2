package pages

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// unclear are phrases that readers stumbled over, each with what to write in its place.
var unclear = map[string]string{
	`whoever`:                             "the caller, the program, anybody who",
	`in its turn|in their turn`:           "in order",
	`of that hour|of that day`:            "at the same time, on the same machine",
	`(gets|get|got|goes|go|gone|went) on`: "continues, resumes",
	`is through`:                          "has ended",
	`behind the last`:                     "after, later than",
	`mend(s|ed|ing)?`:                     "fix, repair",
	`save (where|for|that|one|what|in|the|while|when|a|by)`: "except",
	`none the less|all the same for`:                        "still",
	`to be had|can be had`:                                  "available",
	`for so long`:                                           "for this time",
	`useless`:                                               "no",
	`of no use`:                                             "does not help, cannot be used",
	`for want of`:                                           "for lack of",
	`one behind the other`:                                  "one after the other",
	`in vain`:                                               "without success, for ever",
	`(has|have|had) (its|their) end`:                        "has ended",
	`as its twin`:                                           "as the other form",
	`told once`:                                             "logged once",
	`(can|cannot|could|may|not) double`:                     "duplicate",
	`doubles (are|can|could|of)`:                            "duplicates",
}

// unclearOnPages are more of them, which sources use in another sense too.
var unclearOnPages = map[string]string{
	`all the same`: "still, anyway",
	`save`:         "except",
	`told of`:      "reported",
	`looked at`:    "checked, considered",
	`doubled`:      "duplicated",
	`behind that`:  "after that",
	`is to be set`: "set",
	`behind (a|the) (ack|close|crash|restart|start|write|503)`: "after",
}

// A dense English of its own kept readers of other languages out. The pages use the words of the field.
func TestPagesUseThePlainWord(t *testing.T) {
	words := 0
	phrases := maps.Clone(unclear)
	maps.Copy(phrases, unclearOnPages)
	for phrase, instead := range phrases {
		pattern := regexp.MustCompile(`(?i)\b(` + phrase + `)\b`)
		for _, p := range readPages(t) {
			for _, text := range p.prose {
				words++
				if found := pattern.FindString(text.text); found != "" {
					t.Errorf("%s:%d: %q: write %s", p.path, text.line, found, instead)
				}
			}
		}
	}
	require.Greater(t, words, 1000, "pieces of prose")
}

// unclearInComments are more of them, which code uses as names.
var unclearInComments = []string{
	`behind (it|them|that|all|what|those|others|errors)`, `(is|are|was|were) told of`, `all the same`, `hand(s|ed)? (on|over)`,
	`looked at`, `done with`, `what becomes of`, `beside (it|them|that|this one)`, `a glance`, `under way`, `for who`, `where (there|nobody|none|nothing) (is|are|was)`,
}

// plainFolders are the folders of the sources whose comments have none of those.
var plainFolders = []string{"core", "core/dataproxytest", "core/internal/access", "core/internal/connections", "core/internal/discovery",
	"core/internal/fifo", "core/internal/nearest", "core/internal/spool", "core/internal/transport", "core/internal/wire",
	"core/internal/tail", "core/internal/pages", "core/internal/cputime", "core/row", "core/logsink", "core/inlongmsg", "core/operating",
	"core/cmd/bench", "core/cmd/chaos", "core/cmd/crash", "core/cmd/conformance", "core/cmd/demo", "core/cmd/inlong-dataproxy", "core/cmd/internal/loglines",
	"capi", "capi/front", "include", "bindings/c/examples", "bindings/python", "bindings/python/inlong_dataproxy"}

// isPlain reports whether folder is one of them, or one of a package's in Python.
func isPlain(folder string) bool {
	return slices.Contains(plainFolders, folder) || strings.HasPrefix(folder, "bindings/python/inlong_dataproxy/") || strings.HasPrefix(folder, "include/")
}

// Comments, docstrings, log lines and error texts are read as often as a page, and had words of their own.
func TestSourcesUseThePlainWord(t *testing.T) {
	var phrases []string
	for phrase := range unclear {
		phrases = append(phrases, phrase)
	}
	pattern := regexp.MustCompile(`(?i)\b(` + strings.Join(phrases, "|") + `)\b`)
	dense := `\b(` + strings.Join(unclearInComments, "|") + `)\b`
	denseAnywhere, denseComment := regexp.MustCompile(`(?i)`+dense), regexp.MustCompile(`(?i)(^|\s)(//|/\*|\*|#) .*`+dense)
	sources := 0
	walk(t, func(path string, read func() string) {
		switch filepath.Ext(path) {
		case ".go", ".c", ".cc", ".cpp", ".h", ".hpp", ".py":
		default:
			return
		}
		if filepath.Base(path) == "words_test.go" {
			return
		}
		sources++
		folder, err := filepath.Rel(top, filepath.Dir(path))
		require.NoError(t, err)
		plain := isPlain(filepath.ToSlash(folder)) && !strings.HasSuffix(path, "_test.go")
		for i, line := range strings.Split(read(), "\n") {
			if found := pattern.FindString(line); found != "" {
				t.Errorf("%s:%d: %q, see unclear for what to write", path, i+1, found)
			}
			in := denseComment
			if filepath.Ext(path) == ".py" { // the lines of a docstring have no mark
				in = denseAnywhere
			}
			if found := in.FindString(line); plain && found != "" {
				t.Errorf("%s:%d: %q: say it in plain words", path, i+1, strings.TrimSpace(found))
			}
		}
	})
	require.Greater(t, sources, 500, "sources")
}
