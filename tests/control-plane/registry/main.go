// Command registry is the CNCF's container registry, pinned by this module's go.sum: with a folder for its storage,
// and passwords in a file.
package main

import (
	"os"

	"github.com/distribution/distribution/v3/registry"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem"
)

func main() {
	// Else it looks for a collector of traces, and complains that there is none.
	os.Setenv("OTEL_TRACES_EXPORTER", "none")
	if registry.RootCmd.Execute() != nil {
		os.Exit(1)
	}
}
