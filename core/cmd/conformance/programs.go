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
	"time"
)

const planTakes = 2 * time.Minute // at the longest

// program carries out plans in one language.
type program struct {
	language string
	// run returns what the program says of each step.
	run func(context.Context, *plan, []byte) ([]line, error)
}

// line is what a program says of the making of its client, of a message, a flush or the close; one line of JSON each.
type line struct {
	Step       string `json:"step"`
	Index      int    `json:"index"` // of the message
	Code       int    `json:"code"`
	ServerCode int    `json:"server_code"`
	Persisted  string `json:"persisted"`
	Attempts   int    `json:"attempts"`
	Text       string `json:"text"`
	Results    int    `json:"results"` // of a flush: the messages that have theirs
	Acked      int    `json:"acked"`   // of the close
	Unsent     int    `json:"unsent"`
}

func choosePrograms(root string, languages []string) (chosen []program, err error) {
	if root, err = filepath.Abs(root); err != nil {
		return nil, err
	}
	for _, language := range languages {
		switch strings.ToLower(strings.TrimSpace(language)) {
		case "go":
			chosen = append(chosen, program{"Go", runGo})
		case "c":
			path := filepath.Join(root, "build/conformance/send_plan")
			if _, err := os.Stat(path); err != nil {
				return nil, fmt.Errorf("the C program is not built, see make build: %w", err)
			}
			chosen = append(chosen, program{"C", runCommand(nil, path)})
		case "python":
			folder := filepath.Join(root, "bindings/python")
			if _, err := os.Stat(filepath.Join(root, "build/lib/libinlong_dataproxy.so")); err != nil {
				return nil, fmt.Errorf("the Python package has no library, see make build: %w", err)
			}
			python := filepath.Join(root, "build/venv/bin/python")
			if _, err := os.Stat(python); err != nil {
				python = "python3"
			}
			chosen = append(chosen, program{"Python", runCommand([]string{"PYTHONPATH=" + folder},
				python, filepath.Join(folder, "conformance/send_plan.py"))})
		default:
			return nil, fmt.Errorf("--languages: %q is none of go, c, python", language)
		}
	}
	return chosen, nil
}

// runCommand carries out a plan by a program that reads plan and payloads from files and prints lines.
func runCommand(env []string, command ...string) func(context.Context, *plan, []byte) ([]line, error) {
	return func(ctx context.Context, p *plan, payloads []byte) (lines []line, err error) {
		folder, err := os.MkdirTemp("", "inlong-conformance-") // for this user's eyes only: a plan may hold a key
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
		var text bytes.Buffer
		if err := p.write(&text); err != nil {
			return nil, err
		}
		planFile, payloadFile := filepath.Join(folder, "plan"), filepath.Join(folder, "payloads")
		if err := errors.Join(os.WriteFile(planFile, text.Bytes(), 0o600), os.WriteFile(payloadFile, payloads, 0o600)); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, planTakes)
		defer cancel()
		cmd := exec.CommandContext(ctx, command[0], append(command[1:len(command):len(command)], planFile, payloadFile)...)
		cmd.Env = append(os.Environ(), env...)
		cmd.WaitDelay = 5 * time.Second
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(stderr.Bytes()))
		}
		for text := range bytes.Lines(stdout.Bytes()) {
			var l line
			if err := json.Unmarshal(text, &l); err != nil {
				return nil, fmt.Errorf("it printed %.100q: %w", text, err)
			}
			lines = append(lines, l)
		}
		return lines, nil
	}
}
