package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// failures counts what was not acked, by the client's code and the server's.
type failures struct {
	mu   sync.Mutex
	list []*failure // guarded by mu
}

// failure is one kind of failure; in this form --json prints it.
type failure struct {
	Code       int    `json:"code"`
	Name       string `json:"name"`
	ServerCode int    `json:"server_code,omitempty"`
	ServerName string `json:"server_name,omitempty"`
	Count      int64  `json:"count"`
	First      string `json:"first"`
}

// add counts one failure and returns its code. where is put before the text of the first one.
func (f *failures) add(err error, where string) dataproxy.Code {
	code, server := dataproxy.CodeUnknown, 0
	var e *dataproxy.Error
	if errors.As(err, &e) {
		code, server = e.Code, e.ServerCode
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, known := range f.list {
		if known.Code == int(code) && known.ServerCode == server {
			known.Count++
			return code
		}
	}
	f.list = append(f.list, &failure{Code: int(code), Name: nameOf(fromClient, int(code)), ServerCode: server,
		ServerName: nameOf(fromServer, server), Count: 1, First: where + err.Error()})
	return code
}

// all returns the kinds, the most frequent first.
func (f *failures) all() []failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]failure, 0, len(f.list)) // an empty list in JSON, not null
	for _, one := range f.list {
		list = append(list, *one)
	}
	slices.SortStableFunc(list, func(a, b failure) int { return int(b.Count - a.Count) })
	return list
}

func printFailures(w io.Writer, what string, list []failure) {
	for _, f := range list {
		code, explain := fmt.Sprintf("%d %s", f.Code, f.Name), f.Code
		if f.ServerCode != 0 {
			code, explain = fmt.Sprintf("%s, server code %d %s", code, f.ServerCode, f.ServerName), f.ServerCode
		}
		fmt.Fprintf(w, "  %s failed with code %s; the first was %s\n      what to do: inlong-dataproxy errors %d\n",
			plural(f.Count, what), code, f.First, explain)
	}
}

// nameOf returns a code's name, "" when it has none.
func nameOf(from string, code int) string {
	for _, c := range allCodes() {
		if c.From == from && c.Code == code {
			return c.Name
		}
	}
	return ""
}
