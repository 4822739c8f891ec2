package dataproxy_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// A far-fetched suggestion sends people the wrong way; one that is missing leaves them alone with a typo.
func TestOnlyANearOptionIsSuggested(t *testing.T) {
	list, err := os.ReadFile("internal/nearest/nearest.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		wrong, meant, near := strings.Cut(strings.TrimSpace(line), " ")
		want := fmt.Sprintf("option %q: unknown", wrong)
		if near {
			want += fmt.Sprintf("; did you mean %q?", meant)
		}
		if err := dataproxy.ParseOption(wrong, "5"); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
