package dataproxy_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// The C++ and the Python shim read one kind of file: a key that only one of them knows, or that the page leaves out, surprises.
func TestShimsReadTheSameKeys(t *testing.T) {
	read := func(path, pattern string) map[string]bool {
		source, err := os.ReadFile(path)
		require.NoError(t, err)
		keys := map[string]bool{}
		for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(source), -1) {
			keys[m[1]] = true
		}
		return keys
	}
	cpp := read("../include/inlong_dataproxy/compat/compat_config.h", `(?:has\(|text\(|flag\(|number\(|put\("\w+", )"(\w+)"`)
	python := read("../bindings/python/inlong_dataproxy/inlong_api.py", `(?:_text\(|_flag\(|_number\(|\("\w+", )"(\w+)"`)
	require.Greater(t, len(cpp), 10)
	require.Equal(t, cpp, python)

	page, err := os.ReadFile("docs/MIGRATING.md")
	require.NoError(t, err)
	table := regexp.MustCompile(`(?s)TestShimsReadTheSameKeys -->\n(.*?)\n\n`).FindSubmatch(page)
	require.NotNil(t, table)
	options := map[string]bool{}
	for _, o := range dataproxy.OptionTable() {
		options[o.Key] = true
	}
	explained, word := map[string]bool{}, regexp.MustCompile("`(\\w+)`")
	for _, row := range regexp.MustCompile(`(?m)^\| (.*?) \| (.*?)\|`).FindAllSubmatch(table[1], -1) {
		for _, key := range word.FindAllSubmatch(row[1], -1) {
			explained[string(key[1])] = true
		}
		for _, option := range word.FindAllSubmatch(row[2], -1) {
			require.True(t, options[string(option[1])], "there is no option %s", option[1])
		}
	}
	require.Equal(t, cpp, explained)
}
