package pages

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// twoCommands is the README's section that make test-fresh plays in new Debian roots.
const twoCommands = "Two commands"

// A new user typed in the page's line of packages, and the build or a test wanted another one. What .ci/tools asks for, and leaves
// out nothing without, must be in that line, and nothing else.
func TestPrerequisitesOfTheFirstPageAreThoseThatTheBuildAsksFor(t *testing.T) {
	var asked, named []string
	tools, err := os.ReadFile(filepath.Join(top, ".ci/tools"))
	require.NoError(t, err)
	_, list, _ := strings.Cut(string(tools), "\nlist='\n")
	list, _, closed := strings.Cut(list, "\n'\n")
	require.True(t, closed, "the list of tools")
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); len(fields) == 2 {
			asked = append(asked, fields[1])
		}
	}
	for _, p := range readPages(t) {
		for _, section := range p.sections {
			if p.path == "README.md" && section.heading == twoCommands {
				require.Len(t, section.blocks, 1)
				line, _, _ := strings.Cut(section.blocks[0].text, "\n")
				named = strings.Fields(strings.TrimPrefix(line, "apt-get install "))
			}
		}
	}
	slices.Sort(asked)
	slices.Sort(named)
	require.NotEmpty(t, named)
	require.Equal(t, asked, named)
}
