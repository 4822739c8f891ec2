package tail

import "testing"

// What rotation had made of worker-1.log was taken for a file of worker-2.log: it came twice, or came though nobody had asked for it.
func TestNamesOfAnotherProgramAreNotBetween(t *testing.T) {
	for _, c := range []struct {
		name, before, after string
		want                bool
	}{
		{"app-20261128.log", "app-20261127.log", "app-20261129.log", true},
		{"app-20261128.log.gz", "app-20261127.log", "app-20261129.log", true},
		{"app-2026-12-01.log", "app-2026-11-30.log", "app-2026-12-02.log", true},
		{"app-2026-12-01-05.log", "app-2026-11-30-23.log", "app-2026-12-01-23.log", true},
		{"app-20261128.log", "app-20261127.log", "app-20261127.log", true},
		{"worker-1.0042", "worker-1.0041", "worker-1.0043", true},
		{"worker-2.0042", "worker-1.0041", "worker-1.0043", false},
		{"worker-2.0042", "worker-1.0041", "worker-1.0041", false},
		{"worker-1.0041", "worker-1.0041", "worker-1.0043", false},
		{"other-20261128.log", "app-20261127.log", "app-20261129.log", false},
		{"app.log", "app.log", "app.log", false},
	} {
		if got := isBetween(c.name, c.before, c.after); got != c.want {
			t.Errorf("%s between %s and %s: %v, want %v", c.name, c.before, c.after, got, c.want)
		}
	}
}
