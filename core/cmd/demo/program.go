package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// program ships a file in one language.
type program struct {
	language string
	command  []string
	env      []string
}

// result is the last line that a program prints.
type result struct {
	Lines      int     `json:"lines"`
	Acked      int     `json:"acked"`
	Failed     int     `json:"failed"`
	Seconds    float64 `json:"seconds"`
	CPUSeconds float64 `json:"cpu_seconds"`
}

func choosePrograms(root string, languages []string) ([]program, error) {
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	python := filepath.Join(root, "build/venv/bin/python")
	if _, err := os.Stat(python); err != nil {
		python = "python3"
	}
	all := map[string]program{
		"go": {language: "Go", command: []string{filepath.Join(root, "build/bin/inlong-dataproxy"), "send", "--json"}},
		"c":  {language: "C", command: []string{filepath.Join(root, "build/examples/03_ship_file")}},
		"python": {language: "Python",
			command: []string{python, filepath.Join(root, "bindings/python/examples/03_ship_file.py")},
			env:     []string{"PYTHONPATH=" + filepath.Join(root, "bindings/python")}},
	}
	var chosen []program
	for _, language := range languages {
		p, known := all[strings.ToLower(strings.TrimSpace(language))]
		if !known {
			return nil, fmt.Errorf("--languages: %q is none of go, c, python", language)
		}
		needed := p.command[len(p.command)-1]
		if p.language == "Go" {
			needed = p.command[0]
		}
		if _, err := os.Stat(needed); err != nil {
			return nil, fmt.Errorf("the %s program is not built: %w", p.language, err)
		}
		chosen = append(chosen, p)
	}
	return chosen, nil
}

// stream is the stream that the program sends to.
func (p program) stream() string { return "demo_" + strings.ToLower(p.language) }

// run runs the program to its end. When ctx ends it is told to stop, and killed if it does not within five seconds.
func (p program) run(ctx context.Context, url, path string) (result, error) {
	args := append(p.command[1:len(p.command):len(p.command)],
		"--url", url, "--group", group, "--stream", p.stream(), path)
	cmd := exec.CommandContext(ctx, p.command[0], args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 5 * time.Second
	cmd.Env = append(os.Environ(), p.env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var r result
	text := strings.TrimSpace(stdout.String())
	if jsonErr := json.Unmarshal([]byte(text[strings.LastIndexByte(text, '\n')+1:]), &r); jsonErr != nil {
		err = errors.Join(err, fmt.Errorf("its last line is no result: %w", jsonErr))
	}
	if err != nil {
		err = fmt.Errorf("%w\n%s", err, withoutBars(stderr.String()))
	}
	return r, err
}

// withoutBars drops what a progress bar drew over later.
func withoutBars(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		kept = append(kept, line[strings.LastIndexByte(line, '\r')+1:])
	}
	return strings.TrimSpace(strings.Join(kept, "\n"))
}
