package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"testing"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

// A code or option changed in the core would be told wrongly by the C front, which keeps a copy of the tables.
func TestTablesAreThoseOfTheCore(t *testing.T) {
	committed, err := os.ReadFile("../front/tables.c")
	if err != nil {
		t.Fatal(err)
	}
	var now bytes.Buffer
	write(&now)
	if !bytes.Equal(committed, now.Bytes()) {
		t.Fatal("capi/front/tables.c is out of date: make c-tables")
	}
}

// The header spells the codes out by hand: each must be there with its number.
func TestHeaderHasEveryCode(t *testing.T) {
	header, err := os.ReadFile("../../include/inlong_dataproxy.h")
	if err != nil {
		t.Fatal(err)
	}
	check := func(name string, code int) {
		constant := "INLONG_ERR_" + string(bytes.ToUpper([]byte(name)))
		if name == "ok" {
			constant = "INLONG_OK"
		}
		if !regexp.MustCompile(fmt.Sprintf(`(?m)^\s+%s = %d\b`, constant, code)).Match(header) {
			t.Errorf("the header has no %s = %d", constant, code)
		}
	}
	for _, c := range dataproxy.Codes() {
		check(c.Name, int(c.Code))
	}
	for _, c := range callFaults {
		check(c.name, c.code)
	}
}
