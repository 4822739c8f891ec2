package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// A line that loses or gains a byte at its end, or at the edge of what is read at a time, arrives changed and nobody notices.
func TestLinesComeWithoutTheirNewlineAndOtherwiseUntouched(t *testing.T) {
	long := strings.Repeat("x", readSize*5+5)
	edge := strings.Repeat("y", readSize-1)
	for name, c := range map[string]struct {
		input string
		lines []string
	}{
		"none":                   {"", nil},
		"last without a newline": {"a\nb", []string{"a", "b"}},
		"last with a newline":    {"a\nb\n", []string{"a", "b"}},
		"empty lines":            {"\n\na\n\n", []string{"a"}},
		"carriage return stays":  {"a\r\n", []string{"a\r"}},
		"NUL and high bytes":     {"\x00\xff\n\x00", []string{"\x00\xff", "\x00"}},
		"longer than a read":     {long + "\n" + long, []string{long, long}},
		"as long as a read":      {edge + "\n" + "a", []string{edge, "a"}},
	} {
		for _, way := range []string{"file", "stdin"} {
			t.Run(name+" "+way, func(t *testing.T) {
				cluster := dataproxytest.Start(t)
				args := []string{"send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s", "--option", "ordered=true"}
				stdin := c.input
				if way == "file" {
					args, stdin = append(args, writeFile(t, "a.log", c.input)), ""
				}
				if status, _, stderr := program(stdin, args...); status != 0 {
					t.Fatalf("status %d: %s", status, stderr)
				}
				got := cluster.Messages()
				if len(got) != len(c.lines) {
					t.Fatalf("%d lines arrived, want %d", len(got), len(c.lines))
				}
				for i, want := range c.lines {
					if string(got[i]) != want {
						t.Errorf("line %d: %d bytes, want %d", i+1, len(got[i]), len(want))
					}
				}
			})
		}
	}
}

// A file without newlines must not be read into memory whole, and its neighbours must not suffer.
func TestALineThatIsTooLongIsPassedAndTheNextOneIsWhole(t *testing.T) {
	for _, length := range []int{11, readSize, 3*readSize + 7} {
		for _, ending := range []string{"\nafter\n", ""} {
			f := format{name: "lines", longest: 10, encoding: "utf-8"}
			s, err := f.open(begin{})
			if err != nil {
				t.Fatal(err)
			}
			text := []byte("before\n" + strings.Repeat("x", length) + ending)
			var got []string
			passed := 0
			for at := 0; at < len(text); {
				end := min(at+64, len(text))
				s.of(text[at:end], end == len(text))
				for {
					r, found, err := s.next()
					if err != nil {
						t.Fatal(err)
					}
					if !found {
						break
					}
					at += r.used
					switch {
					case r.part:
						passed += r.used
					case r.tooLong:
						got = append(got, "too long")
					default:
						got = append(got, string(r.payload))
					}
				}
			}
			want := "before,too long"
			if ending != "" {
				want += ",after"
			}
			if strings.Join(got, ",") != want {
				t.Errorf("%d bytes: %q, want %q", length, got, want)
			}
			if length > 100 && passed < length-64 {
				t.Errorf("only %d of %d bytes were passed without being held", passed, length)
			}
		}
	}
}

// A disk error in the middle of an input must not look like its end.
func TestReadErrorIsReported(t *testing.T) {
	cluster := dataproxytest.Start(t)
	var out, errs strings.Builder
	input := io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(errors.New("broken disk")))
	status := run([]string{"send", "--url", cluster.URL(), "--group", "test_group", "--stream", "s"}, input, &out, &errs)
	if status != exitInput || !strings.Contains(errs.String(), "broken disk") || !strings.Contains(errs.String(), "1 line: 1 acked") {
		t.Errorf("status %d: %s", status, &errs)
	}
}
