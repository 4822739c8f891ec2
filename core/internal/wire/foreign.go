package wire

import (
	"bytes"
	"fmt"
)

// Foreign says what data that is no answer of a DataProxy looks like, as text to add to an error; "" if it looks like nothing
// known.
func Foreign(data []byte) string {
	data = data[:min(len(data), 48)]
	if line, _, found := bytes.Cut(data, []byte("\n")); found {
		data = bytes.TrimRight(line, "\r")
	}
	switch {
	case bytes.HasPrefix(data, []byte("HTTP/")):
		return fmt.Sprintf(": an HTTP server answers here: %q", data)
	case bytes.HasPrefix(data, []byte("SSH-")):
		return fmt.Sprintf(": an SSH server answers here: %q", data)
	case len(data) > 2 && data[0] >= 20 && data[0] <= 23 && data[1] == 3:
		return ": a TLS server answers here"
	case len(data) > 3 && printable(data):
		return fmt.Sprintf(": no DataProxy answers here: %q", data)
	}
	return ""
}

func printable(data []byte) bool {
	for _, c := range data {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}
