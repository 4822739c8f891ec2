package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

// pageReader builds the program of the page on Go that reads a topic.
func pageReader(t *testing.T) (program string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/GO.md")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	program = filepath.Join(folder, "reader")
	for _, rest := range strings.Split(string(page), "\n```go compile\n")[1:] {
		source, _, _ := strings.Cut(rest, "\n```\n")
		if !strings.Contains(source, "kgo.NewClient(") {
			continue
		}
		path := filepath.Join(folder, "main.go")
		if err := os.WriteFile(path, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("go", "build", "-o", program, path).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return program
	}
	t.Fatal("the page has no program that reads a topic")
	return ""
}

// The page's program compiled, and nobody had seen it read a topic: one that prints a batch twice, or stops at the first record that is not a
// DataProxy's, would have stood there.
func printsEachMessageOnce(t *testing.T, brokers string) {
	raw, err := os.ReadFile("../../internal/wire/testdata/kafka.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Records []struct {
			Value string
			Items []string
		}
	}
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	writer := newTopic(t, brokers, "page", 1)
	want := 0
	write := func(value []byte, items int) {
		if err := writer.ProduceSync(t.Context(), &kgo.Record{Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		want += items
	}
	own := func(mid string) []byte {
		return valueOf(dataproxytest.Record{RawAttr: "groupId=g&streamId=s&mid=" + mid, At: time.Now()}, [][]byte{[]byte("own " + mid)})
	}
	for _, r := range file.Records {
		value, err := hex.DecodeString(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		write(value, len(r.Items))
	}
	write(own("once"), 1)
	write([]byte("something else"), 0)
	write(own("once"), 0)
	write(own("last"), 1)

	var faults bytes.Buffer
	reader := exec.CommandContext(t.Context(), pageReader(t), brokers, "page")
	reader.Stderr = &faults
	out, err := reader.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := reader.Start(); err != nil {
		t.Fatal(err)
	}
	given := time.AfterFunc(2*time.Minute, func() { _ = reader.Process.Kill() })
	defer given.Stop()
	var lines []string
	for each := bufio.NewScanner(out); each.Scan(); {
		lines = append(lines, each.Text())
		if strings.HasPrefix(each.Text(), "s last ") {
			_ = reader.Process.Kill() // it reads on
		}
	}
	_ = reader.Wait()
	if len(lines) != want {
		t.Fatalf("%d lines, want %d\n%s\n%s", len(lines), want, strings.Join(lines, "\n"), faults.String())
	}
	if got := strings.Join(lines[want-2:], "\n"); got != "s once 0: \"own once\"\ns last 0: \"own last\"" {
		t.Error(got)
	}
	if fault := fmt.Sprintf("partition 0, offset %d: ", len(file.Records)+1); strings.Count(faults.String(), "\n") != 1 || !strings.Contains(faults.String(), fault) {
		t.Errorf("%q, want one line with %q", faults.String(), fault)
	}
}
