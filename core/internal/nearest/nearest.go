// Package nearest guesses which known name a wrong one was meant to be. capi/front/nearest.c does the same in C; the two are
// tested with the same list of names, nearest.txt.
package nearest

import (
	"fmt"
	"strings"
)

// Name returns the name that needs the fewest edits to become text, or "" if none is near: at most two of five characters may
// differ. The case of letters, '_', '-' and the "With" of Go's setters do not count.
func Name(text string, names []string) (best string) {
	plainText := plain(text)
	least := 0
	for _, name := range names {
		plainName := plain(name)
		d := edits(plainText, plainName)
		if 5*d <= 2*max(len(plainText), len(plainName)) && (best == "" || d < least) {
			best, least = name, d
		}
	}
	return best
}

// Unknown is the text of an error: there is no such kind of thing, and what may have been meant.
func Unknown(kind, text string, names []string) string {
	unknown := fmt.Sprintf("%s %q: unknown", kind, text)
	if name := Name(text, names); name != "" {
		unknown += fmt.Sprintf("; did you mean %q?", name)
	}
	return unknown
}

var separators = strings.NewReplacer("_", "", "-", "")

func plain(text string) string {
	return separators.Replace(strings.ToLower(strings.TrimPrefix(text, "With")))
}

// edits is the number of characters to insert, remove or replace, or of neighbours to swap, to turn a into b.
func edits(a, b string) int {
	from, to := []rune(a), []rune(b)
	// The last three lines of the table: edits from the part of a so far, and from the parts before it, to each beginning of b.
	row, above, twoAbove := make([]int, len(to)+1), make([]int, len(to)+1), make([]int, len(to)+1)
	for j := range row {
		row[j] = j
	}
	for i, have := range from {
		twoAbove, above, row = above, row, twoAbove
		row[0] = i + 1
		for j, want := range to {
			if have == want {
				row[j+1] = above[j]
				continue
			}
			row[j+1] = 1 + min(above[j], row[j], above[j+1])
			if i > 0 && j > 0 && have == to[j-1] && from[i-1] == want {
				row[j+1] = min(row[j+1], 1+twoAbove[j-1])
			}
		}
	}
	return row[len(to)]
}
