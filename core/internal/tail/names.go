package tail

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Names never say what a file is. They say where to look first, and which files that nobody has met yet were once the one that
// is followed.

var (
	packedEnding = regexp.MustCompile(`\.(gz|zst|bz2|xz|lz4|zip|Z)$`)
	// asideMark is what rotation adds to a name: numbers and dates, after a separator, and some words.
	asideMark = regexp.MustCompile(`^([-._][0-9][0-9TZ:+._-]*|[-._](old|bak|prev|orig|save|backup|rotated|[0-9]+)|~)+$`)
	digits    = regexp.MustCompile(`[0-9]+`)
)

// putAside reports whether a name is what rotation makes of base: app.log.1, app-2026-11-28T23-00-00.000.log, app.1.log.gz, app.log.old.
func putAside(name, base string) bool {
	ending := filepath.Ext(base)
	stem := strings.TrimSuffix(base, ending)
	if !strings.HasPrefix(name, stem) || name == base { // nearly always, in a folder of many
		return false
	}
	plain := packedEnding.ReplaceAllString(name, "")
	if plain == base {
		return true
	}
	rest := plain[min(len(stem), len(plain)):]
	if stem == "" {
		return false
	}
	if ending != "" {
		rest = strings.Replace(rest, ending, "", 1)
	}
	return asideMark.MatchString(rest)
}

// isBetween reports whether a name is one that came between two others where each file has a name of its own: they differ in their numbers
// only, as app-20261127.log and app-20261128.log. Those before the first one that differs are the program's own: worker-1 is not worker-2.
func isBetween(name, before, after string) bool {
	name, before, after = packedEnding.ReplaceAllString(name, ""), packedEnding.ReplaceAllString(before, ""), packedEnding.ReplaceAllString(after, "")
	if name == before || !sameForm(name, before) {
		return false
	}
	is, was := digits.FindAllString(name, -1), digits.FindAllString(before, -1)
	own := len(was) - 1
	if after != before && sameForm(after, before) {
		for i, number := range digits.FindAllString(after, -1) {
			if number != was[i] {
				own = i
				break
			}
		}
	}
	return slices.Equal(is[:own], was[:own])
}

func sameForm(a, b string) bool {
	return digits.MatchString(a) && digits.ReplaceAllString(a, "#") == digits.ReplaceAllString(b, "#")
}
