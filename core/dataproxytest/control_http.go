package dataproxytest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// maxCommand bounds the body of a control request.
const maxCommand = 4 << 20

// ControlHandler serves Control over HTTP:
//
//	GET    /stats
//	GET    /messages?offset=0&limit=1000
//	POST   /reset
//	POST   /nodes                        add a node
//	DELETE /nodes/{node}                 take it off the list
//	POST   /nodes/{node}/list            put it back
//	POST   /nodes/{node}/kill | revive | stop | pause | resume | reset_connections
//	POST   /nodes/{node}/fault?standing=true&times=3   body: the fault
//	DELETE /nodes/{node}/fault           end all of its faults
//	POST   /manager/fault?standing=true&times=3        body: the fault
//	DELETE /manager/fault
//	POST   /control                      body: a Command
//
// A wrong command gets status 400 and {"error": text}.
func (c *Cluster) ControlHandler() http.Handler {
	mux := http.NewServeMux()
	for pattern, op := range map[string]string{
		"GET /stats":                "stats",
		"GET /messages":             "messages",
		"POST /reset":               "reset",
		"POST /nodes":               "add_node",
		"DELETE /nodes/{node}":      "remove_node",
		"POST /nodes/{node}/list":   "list_node",
		"POST /nodes/{node}/kill":   "kill",
		"POST /nodes/{node}/revive": "revive",
		"POST /nodes/{node}/stop":   "stop",
		"POST /nodes/{node}/pause":  "pause",
		"POST /nodes/{node}/resume": "resume",
		"POST /nodes/{node}/fault":  "fault",

		"POST /nodes/{node}/reset_connections": "reset_connections",

		"DELETE /nodes/{node}/fault": "clear_faults",
		"POST /manager/fault":        "manager_fault",
		"DELETE /manager/fault":      "manager_clear_faults",
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			command, err := commandOf(op, r)
			c.reply(w, command, err)
		})
	}
	mux.HandleFunc("POST /control", func(w http.ResponseWriter, r *http.Request) {
		command, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxCommand))
		c.reply(w, command, err)
	})
	return mux
}

// commandOf builds the command that a request stands for.
func commandOf(op string, r *http.Request) ([]byte, error) {
	cmd := Command{Op: op}
	query := r.URL.Query()
	for _, field := range []struct {
		name, text string
		into       func(int)
	}{
		{"node", r.PathValue("node"), func(n int) { cmd.Node = &n }},
		{"offset", query.Get("offset"), func(n int) { cmd.Offset = n }},
		{"limit", query.Get("limit"), func(n int) { cmd.Limit = n }},
		{"times", query.Get("times"), func(n int) { cmd.Times = n }},
	} {
		if field.text == "" {
			continue
		}
		n, err := strconv.Atoi(field.text)
		if errors.Is(err, strconv.ErrRange) {
			return nil, fmt.Errorf("control: %s: %q is too large a number", field.name, field.text)
		}
		if err != nil {
			return nil, fmt.Errorf("control: %s: %q is not a number", field.name, field.text)
		}
		field.into(n)
	}
	if text := query.Get("standing"); text != "" {
		standing, err := strconv.ParseBool(text)
		if err != nil {
			return nil, fmt.Errorf("control: standing: %q is neither true nor false", text)
		}
		cmd.Standing = standing
	}
	if op == "fault" || op == "manager_fault" {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxCommand))
		if err != nil {
			return nil, fmt.Errorf("control: fault: %w", err)
		}
		if !json.Valid(body) {
			return nil, fmt.Errorf("control: fault: %.100q is not JSON", body)
		}
		cmd.Fault = body
	}
	return json.Marshal(cmd)
}

func (c *Cluster) reply(w http.ResponseWriter, command []byte, err error) {
	var answer []byte
	if err == nil {
		answer, err = c.Control(command)
	}
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		answer, _ = json.Marshal(map[string]string{"error": err.Error()})
	}
	_, _ = w.Write(answer)
}
