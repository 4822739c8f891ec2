//go:build !windows

package discovery

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

var sample = List{Nodes: []string{"[::1]:46801", "a:1", "b:2"}, MaxPacketLength: 65536}

func TestCacheGivesBackWhatWasStored(t *testing.T) {
	m, folder := managerAt(t, "http://h:8083"), t.TempDir()
	c := Cache{Path: filepath.Join(folder, "nodes.json")}
	require.NoError(t, c.Store(m, List{Nodes: []string{"old:1"}}))
	require.NoError(t, c.Store(m, sample))
	list, err := c.Load(m)
	require.NoError(t, err)
	require.Equal(t, sample, list)
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 1, "a temporary file is left over")
	list, err = c.Load(managerAt(t, "http://h:8083/inlong/manager/"))
	require.NoError(t, err, "the same Manager, written in another way")
	require.Equal(t, sample, list)
}

// Nodes of another group's cluster would take the data and refuse or misroute it.
// Adding an address of the Manager, or taking one away, must not make the cache worthless.
func TestCacheIsKeptWhileAnAddressIsTheSame(t *testing.T) {
	c := Cache{Path: filepath.Join(t.TempDir(), "nodes.json")}
	of := func(hosts ...string) *Manager {
		m := &Manager{Group: "test_group"}
		for _, h := range hosts {
			m.ListURLs = append(m.ListURLs, "http://"+h)
		}
		return m
	}
	require.NoError(t, c.Store(of("a", "b"), List{Nodes: []string{"h:1"}}))
	for _, m := range []*Manager{of("a"), of("b"), of("c", "b")} {
		_, err := c.Load(m)
		require.NoError(t, err)
	}
	_, err := c.Load(of("c", "d"))
	require.ErrorContains(t, err, "belongs to another Manager")
}

// A node that a file lists twice was counted as two of which one never fails: the Manager was not asked soon when all had failed.
func TestCacheThatListsANodeTwiceGivesItOnce(t *testing.T) {
	m := managerAt(t, "http://h:8083")
	c := Cache{Path: filepath.Join(t.TempDir(), "nodes.json")}
	require.NoError(t, c.Store(m, List{Nodes: []string{"b:2", "a:1", "b:2"}}))
	list, err := c.Load(m)
	require.NoError(t, err)
	require.Equal(t, []string{"a:1", "b:2"}, list.Nodes)
}

func TestCacheOfAnotherManagerOrGroupIsNotUsed(t *testing.T) {
	m := managerAt(t, "http://h:8083")
	c := Cache{Path: filepath.Join(t.TempDir(), "nodes.json")}
	require.NoError(t, c.Store(m, sample))
	_, err := c.Load(managerAt(t, "http://other:8083"))
	require.ErrorContains(t, err, "another Manager or group")
	m.Group = "other_group"
	_, err = c.Load(m)
	require.ErrorContains(t, err, "another Manager or group")
}

func TestUnusableCacheIsRefusedWithItsFault(t *testing.T) {
	m := managerAt(t, "http://h:8083")
	const head = `{"version":1,"list_url":"http://h:8083/inlong/manager/openapi/dataproxy/getIpList","group":"test_group",`
	for text, part := range map[string]string{
		"":                                 "corrupt",
		"\x00\x00":                         "corrupt",
		head[:40]:                          "corrupt",
		"[]":                               "corrupt",
		`{"version":"1"}`:                  "corrupt",
		"{}":                               "has version 0: it must be 1",
		`{"version":2}`:                    "has version 2: it must be 1",
		head + `"nodes":null}`:             "lists no node",
		head + `"nodes":[]}`:               "lists no node",
		head + `"nodes":["x"]}`:            `corrupt: node "x": it must be host:port`,
		head + `"nodes":[1]}`:              "corrupt",
		head + `"nodes":["a:1","b:0"]}`:    `corrupt: node "b:0"`,
		head + `"nodes":["a:1"]} trailing`: "corrupt",
		head + `"nodes":["a:1"],"max_packet_length":"x"}`:                      "corrupt",
		strings.Replace(head, "h:8083", "u:pw@h:8083", 1) + `"nodes":["a:1"]}`: "another Manager",
	} {
		_, err := parseCache([]byte(text), m)
		require.ErrorContains(t, err, part, text)
	}
	list, err := parseCache([]byte(head+`"nodes":["a:1"],"max_packet_length":-5}`), m)
	require.NoError(t, err)
	require.Zero(t, list.MaxPacketLength)
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		_, err := Cache{Path: path}.Load(m)
		require.ErrorContains(t, err, path)
	}
}

// A pipe as the cache would hold up the start until somebody writes to it, a device might never end, and a rename over one would
// break the machine.
func TestNodeCacheMustBeARegularFile(t *testing.T) {
	m, folder := managerAt(t, "http://h:8083"), t.TempDir()
	pipe, link := filepath.Join(folder, "pipe"), filepath.Join(folder, "link")
	require.NoError(t, syscall.Mkfifo(pipe, 0o600))
	require.NoError(t, os.Symlink("/dev/zero", link))
	for path, kind := range map[string]string{pipe: "a pipe", folder: "a directory", "/dev/zero": "a device or socket", link: "a device or socket"} {
		want := fmt.Sprintf("the node cache %s is %s: it must be a regular file", path, kind)
		_, err := Cache{Path: path}.Load(m)
		require.EqualError(t, err, want)
		require.EqualError(t, Cache{Path: path}.Store(m, sample), want)
	}
	info, err := os.Lstat(pipe)
	require.NoError(t, err)
	require.Equal(t, os.ModeNamedPipe, info.Mode().Type())
}

// Somebody else's file may be of any size.
func TestNodeCacheIsReadUpToABound(t *testing.T) {
	path := filepath.Join(t.TempDir(), "huge")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	require.NoError(t, os.Truncate(path, 1<<40))
	_, err := Cache{Path: path}.Load(managerAt(t, "http://h:8083"))
	require.EqualError(t, err, fmt.Sprintf("the node cache %s has more than %d bytes", path, 16<<20))
}

func TestStoreReportsThatItCannotWrite(t *testing.T) {
	m, folder := managerAt(t, "http://h:8083"), t.TempDir()
	require.Error(t, Cache{Path: filepath.Join(folder, "no", "such", "folder")}.Store(m, sample))
	require.NoError(t, os.Mkdir(filepath.Join(folder, "taken"), 0o700))
	require.Error(t, Cache{Path: filepath.Join(folder, "taken")}.Store(m, sample))
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, entries, 1, "a temporary file is left over")
}

// The password of a url must not lie on the disk.
func TestCacheHoldsNoSecret(t *testing.T) {
	m := managerAt(t, "http://someone:pa55word@h:8083")
	c := Cache{Path: filepath.Join(t.TempDir(), "nodes.json")}
	require.NoError(t, c.Store(m, sample))
	data, err := os.ReadFile(c.Path)
	require.NoError(t, err)
	require.NotContains(t, string(data), "pa55word")
	require.NotContains(t, string(data), "someone")
	list, err := c.Load(m)
	require.NoError(t, err)
	require.Equal(t, sample, list)
}

// Several clients and processes may share the file: a reader sees one whole list or another.
func TestConcurrentStoresNeverShowHalfAFile(t *testing.T) {
	m := managerAt(t, "http://h:8083")
	c := Cache{Path: filepath.Join(t.TempDir(), "nodes.json")}
	require.NoError(t, c.Store(m, sample))
	var long List
	for i := range 2000 {
		long.Nodes = append(long.Nodes, fmt.Sprintf("host%04d:1", i))
	}
	var writers sync.WaitGroup
	done := make(chan struct{})
	for _, list := range []List{sample, long} {
		writers.Go(func() {
			for range 100 {
				if err := c.Store(m, list); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() {
		writers.Wait()
		close(done)
	}()
	for reading := true; reading; {
		select {
		case <-done:
			reading = false
		default:
		}
		list, err := c.Load(m)
		require.NoError(t, err)
		if n := len(list.Nodes); n != len(sample.Nodes) && n != len(long.Nodes) {
			t.Fatalf("%d nodes", n)
		}
	}
}
