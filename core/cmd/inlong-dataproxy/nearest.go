package main

import (
	"github.com/agnivade/levenshtein"
)

// nearest returns the name that takes the fewest edits to make of text, "" when there are no names.
func nearest(text string, names []string) (best string) {
	least := 0
	for i, name := range names {
		if d := levenshtein.ComputeDistance(text, name); i == 0 || d < least {
			best, least = name, d
		}
	}
	return best
}
