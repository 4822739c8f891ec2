package dataproxy_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

func guarantees(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("docs/GUARANTEES.md")
	require.NoError(t, err)
	return string(page)
}

// A promise whose test was renamed or deleted is only a claim.
func TestEveryGuaranteeNamesTestsThatExist(t *testing.T) {
	tests := allTests(t)
	promises, rest, found := strings.Cut(guarantees(t), "\n## What can be lost")
	require.True(t, found)
	sections := strings.Split(promises, "\n### ")[1:]
	require.Len(t, sections, 12, "promises")
	shown := regexp.MustCompile(`(?s)\nShown by (.*?)\.\n`)
	named := regexp.MustCompile("`([^`]+)`")
	for _, section := range append(sections, rest) {
		heading, _, _ := strings.Cut(section, "\n")
		list := shown.FindStringSubmatch(section)
		require.NotNil(t, list, "%s: shown by no test", heading)
		languages := map[string]int{}
		for _, name := range named.FindAllStringSubmatch(list[1], -1) {
			if tests[name[1]] == "" {
				t.Errorf("%s: there is no test %q", heading, name[1])
			}
			languages[tests[name[1]]]++
		}
		require.Greater(t, len(languages), 1, "%s: shown in one language only", heading)
	}
}

// The first page has five of the promises in a line each: what it says must be how the page of guarantees begins.
func TestReadmePromisesWhatIsGuaranteed(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	row := regexp.MustCompile(`(?m)^\| ([a-l]\. [^|]+) \| ([^|]+) \|$`)
	section := regexp.MustCompile(`(?m)^### ([a-l]\. .+)\n\n(.+)\n`)
	promised := row.FindAllStringSubmatch(string(readme), -1)
	guaranteed := map[string]string{}
	for _, m := range section.FindAllStringSubmatch(guarantees(t), -1) {
		guaranteed[m[1]] = m[2]
	}
	require.Len(t, promised, 5)
	require.Len(t, guaranteed, 12)
	for _, m := range promised {
		require.True(t, strings.HasPrefix(guaranteed[m[1]]+" ", m[2]+" "), "%s: the first page says %q, the page of guarantees %q", m[1], m[2], guaranteed[m[1]])
	}
}

// allTests returns the name of every test with its language, as GUARANTEES.md writes it.
func allTests(t *testing.T) map[string]string {
	t.Helper()
	goTest := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	suite := regexp.MustCompile(`CHECK_MAIN\("(\w+)"`)
	cTest := regexp.MustCompile(`\{"(\w+)", \w+\}`)
	pythonTest := regexp.MustCompile(`(?m)^(?:async )?def (test_\w+)\(`)
	tests, languages := map[string]string{}, map[string]int{}
	add := func(name, language string) {
		tests[name] = language
		languages[language]++
	}
	for path, source := range repositoryFiles(t, ".go", ".c", ".cc", ".py") {
		text, file := string(source), path[strings.LastIndex(path, "/")+1:]
		switch {
		case strings.HasSuffix(file, "_test.go"):
			for _, m := range goTest.FindAllStringSubmatch(text, -1) {
				add(m[1], "Go")
			}
		case strings.HasPrefix(path, "bindings/c/tests/"):
			for _, s := range suite.FindAllStringSubmatch(text, -1) {
				for _, m := range cTest.FindAllStringSubmatch(text, -1) {
					add(s[1]+"/"+m[1], "C")
				}
			}
		case strings.HasPrefix(path, "bindings/python/tests/"):
			for _, m := range pythonTest.FindAllStringSubmatch(text, -1) {
				add(file+"::"+m[1], "Python")
			}
		}
	}
	for _, language := range []string{"Go", "C", "Python"} {
		require.Greater(t, languages[language], 50, "tests found in %s", language)
	}
	return tests
}

// A number in prose is wrong as soon as the code changes: these are read from it.
//
// To write them anew: go test ./core -run TestNumbersOfTheGuarantees -update
func TestNumbersOfTheGuarantees(t *testing.T) {
	defaults := map[string]string{}
	for _, o := range dataproxy.OptionTable() {
		defaults[o.Key] = o.Default
	}
	var table strings.Builder
	row := func(what, number, option string) {
		if option != "" {
			option = "`" + option + "`"
		}
		fmt.Fprintf(&table, "| %s | %s | %s |\n", what, number, option)
	}
	option := func(what, key string) { row(what, defaults[key], key) }
	table.WriteString("| What | By default | Moved by |\n|---|---|---|\n")
	option("A message has its result after its acceptance, within", "send_timeout")
	option("A connection that owes answers and gives none is given up after", "ack_timeout")
	option("A connection is open and has answered its first heartbeat, within", "conn_timeout")
	row("A batch whose connection was lost is written again: at once, later at the latest after", text(dataproxy.MaxBackOffLost), "")
	row("A batch that was refused is written again after (each time less by up to a half, at random)", defaults["retry_initial_interval"]+", doubling to "+text(dataproxy.MaxBackOff),
		"retry_initial_interval")
	row("The same for a stream that the node does not know (115): it may learn of it late", text(dataproxy.UnknownStreamBackOff)+", doubling to "+text(dataproxy.MaxBackOff), "")
	row("A node that answered \"not now\" (1, 2, 114, 116 to 119) is asked again after, until it takes a batch", defaults["retry_initial_interval"]+", doubling to "+text(dataproxy.MaxBackOffNotNow),
		"retry_initial_interval")
	option("Attempts after the first that may have been written, at most", "max_retries")
	row("A node that failed is avoided, while there are others, for", text(dataproxy.Suspicion), "")
	row("The same for one that answers each heartbeat and then no data, or late", text(dataproxy.Suspicion)+", doubling to "+text(dataproxy.LongestSuspicion), "")
	row("A node that owes an answer, beside others that are much faster, is left after", text(dataproxy.LateAfter), "")
	option("An idle connection sends a heartbeat every", "heartbeat_interval")
	option("The Manager is asked for the nodes every", "update_interval")
	option("A Manager that does not answer is given up after, asked again meanwhile", "manager_timeout")
	row("While all nodes fail and the Manager lists the same ones, it is asked again after (each time less by up to a half, at random)",
		text(2*dataproxy.RefreshPause)+", doubling to "+text(dataproxy.MaxBackOff), "")
	row("A close returns after its deadline, at the latest after", text(dataproxy.CloseGrace), "")
	row("Python's exit closes what is open within", numberIn(t, "bindings/python/inlong_dataproxy/_host/end.py", `EXIT_SECONDS = (\d+)\.0\n`)+"s", "")
	row("C's exit waits for callbacks that run, at most", numberIn(t, "capi/front/gate.c", `EXIT_WAIT_MS = (\d+)000 `)+"s", "")
	option("Messages without a result, a worker", "max_pending_messages")
	option("Lanes", "worker_num")
	option("Bytes of messages without a result", "max_pending_bytes")
	option("Longest frame, and so longest message", "max_frame_size")
	row("Streams kept before idle ones are swept out", fmt.Sprint(dataproxy.KeptStreams), "")
	row("Results in a C completion queue", numberIn(t, "capi/front/queue.c", `QUEUE_BOUND = (\d+)`), "")
	generated(t, "docs/GUARANTEES.md", "numbers", table.String())
}

func text(d time.Duration) string { return strings.Replace(d.String(), "m0s", "m", 1) }

// numberIn returns what the pattern's group finds in a file of another language.
func numberIn(t *testing.T, path, pattern string) string {
	t.Helper()
	source, err := os.ReadFile("../" + path)
	require.NoError(t, err)
	found := regexp.MustCompile(pattern).FindSubmatch(source)
	require.NotNil(t, found, "%s: %s", path, pattern)
	return string(found[1])
}

// generated compares the part of a page between its marks with what the code says, and writes it anew when asked to.
func generated(t *testing.T, path, name, want string) {
	t.Helper()
	page, err := os.ReadFile(path)
	require.NoError(t, err)
	part := regexp.MustCompile(`(?s)(<!-- ` + name + `: [^\n]* -->\n)(.*?)(<!-- end -->)`)
	found := part.FindStringSubmatch(string(page))
	require.NotNil(t, found, "%s: no part %q", path, name)
	if *update {
		anew := part.ReplaceAllLiteralString(string(page), found[1]+want+found[3])
		require.NoError(t, os.WriteFile(path, []byte(anew), 0o644))
		return
	}
	require.Equal(t, want, found[2], "%s is stale: go test ./core -run %s -update", path, t.Name())
}
