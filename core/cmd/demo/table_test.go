package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func good() *outcome {
	return &outcome{
		program: program{language: "Go"}, wanted: 1000,
		result: result{Lines: 1000, Acked: 1000, Seconds: 0.5, CPUSeconds: 0.001},
	}
}

// A table that says "all lines arrived" of a run that lost, refused or invented a line is worse than none.
func TestTableNamesEveryFault(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*outcome)
		says  string
	}{
		"fine":     {func(*outcome) {}, ""},
		"extra":    {func(o *outcome) { o.diff.extra = 50 }, ""},
		"missing":  {func(o *outcome) { o.diff.missing = 1 }, "1 lines did not arrive"},
		"foreign":  {func(o *outcome) { o.diff.foreign = 2 }, "2 lines arrived that are not in the file"},
		"failed":   {func(o *outcome) { o.result.Failed, o.result.Acked = 1, 999 }, "999 of 1,000 lines were acked"},
		"too few":  {func(o *outcome) { o.result.Lines = 900 }, "it sent 900 of 1,000 lines"},
		"crash":    {func(o *outcome) { o.err = errors.New("exit status 2") }, "exit status 2"},
		"no death": {func(o *outcome) { o.spared = true }, "no node was killed"},
	} {
		o := good()
		c.spoil(o)
		var out bytes.Buffer
		err := printTable(&out, []*outcome{o})
		switch {
		case c.says == "" && (err != nil || !strings.Contains(out.String(), "Go: all lines arrived")):
			t.Errorf("%s: error %v\n%s", name, err, &out)
		case c.says != "" && (err == nil || !strings.Contains(out.String(), c.says) || strings.Contains(out.String(), "all lines arrived")):
			t.Errorf("%s: error %v\n%s", name, err, &out)
		}
	}
}

// The numbers are what a reader compares the languages by.
func TestTableShowsRateAndCPU(t *testing.T) {
	var out bytes.Buffer
	if err := printTable(&out, []*outcome{good()}); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"2,000", "1µs"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("%q is not in\n%s", part, &out)
		}
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %s", n, got)
		}
	}
}
