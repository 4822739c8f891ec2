package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// An option that exists and is not listed is never found by its user.
func TestOptionsListsAllAndExplainsEach(t *testing.T) {
	status, list, stderr := program("", "options")
	if status != 0 {
		t.Fatalf("status %d: %s", status, stderr)
	}
	for _, o := range dataproxy.OptionTable() {
		if !strings.Contains(list, "\n"+o.Key+" ") || !strings.Contains(list, o.Doc) {
			t.Errorf("the list lacks %s", o.Key)
		}
		status, detail, _ := program("", "options", o.Key)
		if status != 0 || !strings.Contains(detail, o.Doc) || !strings.Contains(detail, "INLONG_"+strings.ToUpper(o.Key)+"=") {
			t.Errorf("%s: status %d, %q", o.Key, status, detail)
		}
	}
	_, text, _ := program("", "options", "--json")
	var table []dataproxy.OptionInfo
	if err := json.Unmarshal([]byte(text), &table); err != nil || len(table) != len(dataproxy.OptionTable()) {
		t.Errorf("%d rows of JSON, error %v", len(table), err)
	}
	_, text, _ = program("", "options", "WithSendTimeout", "--json")
	var one dataproxy.OptionInfo
	if err := json.Unmarshal([]byte(text), &one); err != nil || one.Key != "send_timeout" || one.Default != "30s" {
		t.Errorf("%q, error %v", text, err)
	}
}

// A code without advice leaves the reader where the error left him, and a new code of the library comes without any.
func TestErrorsExplainsEveryCode(t *testing.T) {
	_, list, _ := program("", "errors")
	seen := map[int]bool{}
	for _, c := range allCodes() {
		if c.Meaning == "" || c.Advice == "" || seen[c.Code] {
			t.Errorf("code %d: meaning %q, advice %q, twice: %v", c.Code, c.Meaning, c.Advice, seen[c.Code])
		}
		seen[c.Code] = true
		if !strings.Contains(list, c.Name) {
			t.Errorf("the list lacks %s", c.Name)
		}
		if got, found := findCode(strings.ToLower(c.Name)); !found || got.Code != c.Code {
			t.Errorf("%s finds %v", c.Name, got)
		}
	}
	for _, arg := range []string{"115", "topic_is_blank"} {
		status, text, _ := program("", "errors", arg)
		if status != 0 || !strings.Contains(text, "TOPIC_IS_BLANK") || !strings.Contains(text, "spelling of group and stream") {
			t.Errorf("errors %s: status %d, %q", arg, status, text)
		}
	}
	for _, name := range []string{"queue_full", "QUEUE-FULL", "producer send queue is full", "producer send queue is full: the bound of max_pending_messages"} {
		if status, text, _ := program("", "errors", name); status != 0 || !strings.Contains(text, "10004") {
			t.Errorf("errors %s: status %d, %q", name, status, text)
		}
	}
	_, text, _ := program("", "errors", "10004", "--json")
	var one codeInfo
	if err := json.Unmarshal([]byte(text), &one); err != nil || one.Name != "queue_full" || !one.Retriable ||
		!slices.Equal(one.Persisted, []string{"not_written"}) {
		t.Errorf("%q, error %v", text, err)
	}
	for code, lines := range map[string][]string{
		"10011": {"send again  see code", "persisted   not_written or maybe_written"},
		"109":   {"send again          no", "the client retries  never"},
		"114":   {"send again          yes", "the client retries  by default"},
		"10014": {"send again  -"},
	} {
		if _, text, _ := program("", "errors", code); !containsAll(text, lines) {
			t.Errorf("errors %s: %q lacks one of %q", code, text, lines)
		}
	}
}

// A mistyped name must lead to the right one.
func TestUnknownNamesGetTheNearest(t *testing.T) {
	for _, c := range []struct{ command, name, says string }{
		{"options", "send_timeot", `did you mean "send_timeout"?`},
		{"errors", "que_full", `did you mean "queue_full"?`},
		{"errors", "4711", "code 4711: unknown"},
	} {
		if status, _, stderr := program("", c.command, c.name); status != exitUsage || !strings.Contains(stderr, c.says) {
			t.Errorf("%s %s: status %d, %q", c.command, c.name, status, stderr)
		}
	}
}

// A shell that sources nothing completes nothing.
func TestCompletionPrintsAScript(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if status, script, _ := program("", "completion", shell); status != 0 || !strings.Contains(script, "inlong-dataproxy") {
			t.Errorf("%s: status %d, %d bytes", shell, status, len(script))
		}
	}
	if _, out, _ := program("", "__complete", "options", ""); !strings.Contains(out, "send_timeout") {
		t.Errorf("completing options: %q", out)
	}
}

func containsAll(text string, parts []string) bool {
	return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(text, part) })
}
