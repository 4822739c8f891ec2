package main

import dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"

// codeInfo explains one code, of the client or of a DataProxy.
type codeInfo struct {
	Code      int      `json:"code"`
	Name      string   `json:"name"`
	From      string   `json:"from"` // fromClient or fromServer
	Text      string   `json:"text,omitempty"`
	Retriable bool     `json:"retriable"`
	Persisted []string `json:"persisted,omitempty"`      // of the client's codes: what may have become of the message
	Retries   string   `json:"client_retries,omitempty"` // of the server's: whether the client tries again by itself
	Meaning   string   `json:"meaning"`
	Advice    string   `json:"advice"`
}

const (
	fromClient = "client"
	fromServer = "server"
)

// allCodes returns the client's codes and then the server's.
func allCodes() (all []codeInfo) {
	for _, c := range dataproxy.Codes() {
		var persisted []string
		for _, p := range c.Persisted {
			persisted = append(persisted, p.String())
		}
		all = append(all, codeInfo{Code: int(c.Code), Name: c.Name, From: fromClient, Text: c.Text, Retriable: c.Retriable,
			Persisted: persisted, Meaning: c.Meaning, Advice: c.Advice})
	}
	for _, c := range dataproxy.ServerCodes() {
		retries := "with retry_on_server_error"
		switch {
		case c.Retriable:
			retries = "by default"
		case c.Hopeless:
			retries = "never"
		}
		all = append(all, codeInfo{Code: c.Code, Name: c.Name, From: fromServer, Retriable: c.Retriable, Retries: retries,
			Meaning: c.Meaning, Advice: c.Advice})
	}
	return all
}
