package main

import (
	"math/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each line of a quoted field that was too long failed by itself, or was sent as a row.
func TestARowThatIsTooLongIsOneFailureHoweverManyLinesItHas(t *testing.T) {
	text := strings.Repeat("a line of \"\"text\"\", with commas\r\n\n", 100_000)
	input := "a,b,c\n1,x,y\n2,\"" + text + "\",z\n3,\"two\nlines\",y\n"
	for _, way := range []string{"file", "stdin"} {
		t.Run(way, func(t *testing.T) {
			c, args := rowCluster(t, nil)
			args = append(append([]string{"send"}, args...), "--row=csv", "--row-escape", `\`, "--format", "csv", "--option", "ordered=true")
			stdin := input
			if way == "file" {
				args, stdin = append(args, writeFile(t, "a.csv", input)), ""
			}
			status, _, stderr := program(stdin, args...)
			require.Equal(t, exitFailure, status, "%s", stderr)
			require.Contains(t, stderr, "3 lines: 2 acked, 1 failed;")
			require.Contains(t, stderr, " line 3: ")
			require.Contains(t, stderr, "in 200001 lines")
			require.Equal(t, "1|x|y\n3|two\\\nlines|y", payloadLines(c))
		})
	}
}

// A row that is passed over must end where it would if it were held: else the rows after it are cut wrongly.
func TestARowThatIsPassedOverEndsWhereOthersDo(t *testing.T) {
	random := rand.New(rand.NewSource(1))
	for range 200_000 {
		text := make([]byte, 1+random.Intn(16))
		for i := range text {
			text[i] = "\"\",,\n\rab"[random.Intn(8)]
		}
		want, _, _, _ := (&csvSplitter{column: -1}).row(text, false)
		row, cut := &longRow{}, random.Intn(len(text)+1)
		got := row.end(text[:cut])
		if got < 0 {
			if got = row.end(text[cut:]); got > 0 {
				got += cut
			}
		}
		if max(got, 0) != want {
			t.Fatalf("%q: ends at %d, want %d", text, got, want)
		}
	}
}

// What is taken for a quote that was left open costs its line; what is a long text costs its row.
func TestALongTextIsToldFromAQuoteThatIsLeftOpen(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"left open":                       {"a,b\n1,\"x\n2,y\n3,z\n4,yyyyyyyy\n5,zzzzzzzz\n", "bad 2,y 3,z 4,yyyyyyyy 5,zzzzzzzz"},
		"left open, the last line is cut": {"a,b\n1,\"x\n2,y\n3,zzzzzzzzzzzzzzzzzzzzzzzzz", "bad 2,y bad"},
		"text":                            {"a,b\n1,\"x\nand\nso\non\nand on, and on, and on\",\n2,y\n", "bad 2,y"},
		"text with quotes":                {"a,b\n1,\"x\nhe said, \"\"no\"\"\nand so on and so on\"\n2,y\n", "bad 2,y"},
		"text in the first column":        {"a,b\n\"x\nand\nso\non\nand on\nand on, and on\",1\n2,y\n", "bad 2,y"},
		"text in the only column":         {"a\n\"x\nand\nso\non\nand on\nand on and on\"\ny\n", "bad y"},
		"a row without quotes":            {"a,b\n1,xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n2,y\n", "bad 2,y"},
		"without an end":                  {"a,b\n1,\"x\nand\nso\non\nand on\nand on, and on\n2,y\n", "bad"},
		"a fault in a long row":           {"a,b\n1,\"x\nand\nso\non\nand on\nand \"on\", and on\n2,y\n", "bad 2,y"},
	} {
		t.Run(name, func(t *testing.T) {
			f := format{name: "csv", longest: 20, encoding: "utf-8"}
			s, err := f.open(begin{})
			require.NoError(t, err)
			var got []string
			lines, bytes := int64(0), 0
			for at := 0; at <= len(c.text) && bytes < len(c.text); at += 3 {
				end := min(at+30, len(c.text))
				s.of([]byte(c.text[bytes:max(end, bytes)]), end == len(c.text))
				for {
					r, found, err := s.next()
					require.NoError(t, err)
					if !found {
						break
					}
					bytes, lines = bytes+r.used, lines+r.lines
					switch {
					case r.fault != nil:
						got = append(got, "bad")
					case len(r.payload) > 0:
						got = append(got, string(r.payload))
					}
				}
			}
			require.Equal(t, c.want, strings.Join(got, " "))
			require.Equal(t, len(c.text), bytes)
			require.Equal(t, int64(strings.Count(strings.TrimSuffix(c.text, "\n"), "\n")+1), lines)
		})
	}
}
