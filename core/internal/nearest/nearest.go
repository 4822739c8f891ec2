// Package nearest guesses which known name a wrong one was meant to be. capi/front/nearest.c does the same in C; the two are
// tested with the same list of names, nearest.txt.
package nearest

import (
	"fmt"
	"strings"
)

// Name returns the one of names that takes the fewest edits to make of text, or "" when none is near: at most two of five
// characters may differ. Letters' case, '_', '-' and the "With" of Go's setters do not count.
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

// Unknown is the text of an error: that there is no such kind of thing, and what may have been meant.
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

// edits is the number of characters to insert, remove or replace that make b of a.
func edits(a, b string) int {
	from, to := []rune(a), []rune(b)
	row := make([]int, len(to)+1) // of the last line of the table: edits from the part of a so far to each beginning of b
	for j := range row {
		row[j] = j
	}
	for i, have := range from {
		diagonal := row[0]
		row[0] = i + 1
		for j, want := range to {
			above := row[j+1]
			row[j+1] = 1 + min(diagonal, row[j], above)
			if have == want {
				row[j+1] = diagonal
			}
			diagonal = above
		}
	}
	return row[len(to)]
}
