// Command thirdparty tells what the libraries and programs of this module have linked into them.
//
//	thirdparty licences              writes the licence texts: core/THIRD_PARTY_LICENSES.txt
//	thirdparty sbom NAME FILE...     writes a CycloneDX bill of materials of built files
//
// The texts come from the modules' sources, for every platform that is shipped; a test compares the file. The bill is read from
// what the linker wrote into the files themselves, so it is that of the files and not of a plan.
package main

import (
	"fmt"
	"io"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "thirdparty: "+err.Error())
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "licences":
		return writeLicences(out)
	case len(args) >= 3 && args[0] == "sbom":
		return writeBill(out, args[1], args[2:])
	}
	return fmt.Errorf("want `licences` or `sbom NAME FILE...`")
}
