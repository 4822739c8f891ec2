package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	dataproxy "github.com/inlong-dataproxy/inlong-dataproxy/core"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "inlong-dataproxy %s (%s %s/%s)\n",
				dataproxy.Version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
