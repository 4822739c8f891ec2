package dataproxytest

import (
	"reflect"
	"strings"
	"testing"
)

// A user of the mock in C read that `mock --help` lists what it takes: it listed 2 of 22 kinds of faults and no op.
func TestControlHelpListsEveryOpKindAndField(t *testing.T) {
	var want []string
	for name := range ops {
		want = append(want, name)
	}
	for _, rule := range kindRules {
		want = append(want, string(rule.kind))
	}
	for _, of := range []reflect.Type{reflect.TypeFor[Command](), reflect.TypeFor[faultJSON]()} {
		for i := range of.NumField() {
			name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
			if name != "op" && name != "kind" {
				want = append(want, name)
			}
		}
	}
	words := strings.FieldsFunc(ControlHelp(), func(r rune) bool { return strings.ContainsRune(" ,[]\n", r) })
	said := map[string]bool{}
	for _, word := range words {
		said[word] = true
	}
	for _, name := range want {
		if !said[name] {
			t.Errorf("no word of %q", name)
		}
	}
}
