package main

import (
	"fmt"
	"os"
)

func main() {
	var err error
	switch {
	case len(os.Args) > 1 && os.Args[1] == serverCommand:
		err = serve()
	case len(os.Args) > 2 && os.Args[1] == clientCommand:
		err = runJob(os.Args[2])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
