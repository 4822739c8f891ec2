package main

import (
	"io"
	"os"
)

// input is one file whose lines are sent.
type input struct {
	name string
	file io.ReadCloser
	size int64 // bytes, -1 when it cannot be known beforehand
}

// openInputs opens all files before the first line is sent, so that a wrong name sends nothing.
func openInputs(names []string, stdin io.Reader) (inputs []*input, err error) {
	if len(names) == 0 {
		names = []string{"-"}
	}
	for _, name := range names {
		in, err := openInput(name, stdin)
		if err != nil {
			closeInputs(inputs)
			return nil, err
		}
		inputs = append(inputs, in)
	}
	return inputs, nil
}

func openInput(name string, stdin io.Reader) (*input, error) {
	if name == "-" {
		return &input{name: "standard input", file: io.NopCloser(stdin), size: -1}, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	in := &input{name: name, file: file, size: -1}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		in.size = info.Size()
	}
	return in, nil
}

func closeInputs(inputs []*input) {
	for _, in := range inputs {
		in.file.Close()
	}
}

// totalSize returns the bytes of all inputs, or -1 when one's are not known.
func totalSize(inputs []*input) (total int64) {
	for _, in := range inputs {
		if in.size < 0 {
			return -1
		}
		total += in.size
	}
	return total
}
