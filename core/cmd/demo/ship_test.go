package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
	"github.com/inlong-dataproxy/inlong-dataproxy/core/dataproxytest"
)

const behaviour = "INLONG_TEST_BEHAVIOUR"

// TestMain lets the demo run this test as one of its programs.
func TestMain(m *testing.M) {
	if os.Getenv(behaviour) != "" {
		os.Exit(shipAsProgram(os.Getenv(behaviour), os.Args[1:]))
	}
	os.Exit(m.Run())
}

// shipAsProgram takes --url URL --group GROUP --stream STREAM FILE.
func shipAsProgram(how string, args []string) int {
	if how == "hang" {
		select {}
	}
	data, err := os.ReadFile(args[6])
	if err != nil {
		panic(err)
	}
	client, err := dataproxy.NewClient(dataproxy.WithURL(args[1]), dataproxy.WithGroupID(args[3]), dataproxy.WithBlockIfQueueIsFull(true))
	if err != nil {
		panic(err)
	}
	var acked atomic.Int64
	lines := bytes.Split(bytes.TrimSuffix(data, []byte("\n")), []byte("\n"))
	for i, line := range lines {
		if how == "lose" && i == len(lines)/3 {
			acked.Add(1)
			continue
		}
		client.SendAsync(context.Background(), dataproxy.Message{StreamID: args[5], Payload: line}, func(_ dataproxy.Message, err error) {
			if err == nil {
				acked.Add(1)
			}
		})
	}
	client.Close()
	if how == "crash" {
		fmt.Fprintln(os.Stderr, "out of luck")
		return 3
	}
	if err := json.NewEncoder(os.Stdout).Encode(result{Lines: len(lines), Acked: int(acked.Load()), Seconds: 1}); err != nil {
		panic(err)
	}
	return 0
}

// The demo is a proof only if a run in which a node dies is told apart from one that loses a line, crashes or lies.
func TestShipTellsGoodRunsFromBadOnes(t *testing.T) {
	cluster := dataproxytest.Start(t, dataproxytest.WithTopics(group))
	src := testSource(t, 200_000)
	for how, says := range map[string]string{
		"deliver": "",
		"lose":    "1 lines did not arrive",
		"crash":   "out of luck",
	} {
		o := ship(t.Context(), cluster, testProgram(how), src)
		if got := o.fault(); says == "" && got != "" || !strings.Contains(got, says) {
			t.Errorf("%s: fault %q, want %q; %s", how, got, says, o.events)
		}
		if !strings.Contains(o.events, " killed at ") {
			t.Errorf("%s: events %q", how, o.events)
		}
		for _, node := range cluster.Nodes() {
			if !node.Running() {
				t.Errorf("%s: node %d was left dead", how, node.Index())
			}
		}
	}
}

// Ctrl-C must end the program that is being waited for, or the demo hangs and leaves it behind.
func TestInterruptedShipmentEndsItsProgram(t *testing.T) {
	cluster := dataproxytest.Start(t)
	src := testSource(t, 10)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	done := make(chan *outcome, 1)
	go func() { done <- ship(ctx, cluster, testProgram("hang"), src) }()
	select {
	case o := <-done:
		if o.err == nil {
			t.Error("a run that was interrupted reports no error")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the program outlives the interruption")
	}
}

func testProgram(how string) program {
	return program{language: "Test", command: []string{os.Args[0]}, env: []string{behaviour + "=" + how}}
}

func testSource(t *testing.T, lines int) *source {
	t.Helper()
	var text strings.Builder
	for i := range lines {
		fmt.Fprintf(&text, "2026-01-02 03:04:05 line number %d of a log\n", i)
	}
	path := filepath.Join(t.TempDir(), "a.log")
	if err := os.WriteFile(path, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := prepareSource(path, 1, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return src
}
