// Command kwok plays the kubelets of nodes that do not exist, pinned by this module's go.sum.
//
// Besides kwok itself it has one command of its own, `kwok print-stages`: the life-cycle rules that kwok
// publishes for nodes and pods which get ready at once. They travel in the binary, so that what the tests
// run is one pinned set of files.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	node "sigs.k8s.io/kwok/kustomize/stage/node/fast"
	pod "sigs.k8s.io/kwok/kustomize/stage/pod/fast"
	"sigs.k8s.io/kwok/pkg/config"
	"sigs.k8s.io/kwok/pkg/kwok/cmd"
	"sigs.k8s.io/kwok/pkg/log"
	"sigs.k8s.io/kwok/pkg/utils/signals"
)

var stages = []string{node.DefaultNodeInit, pod.DefaultPodReady, pod.DefaultPodComplete, pod.DefaultPodDelete}

func run() error {
	// kwok reads its configuration files before it knows its commands, so this first set of flags has to
	// let the flags of the commands pass.
	flags := pflag.NewFlagSet("configuration", pflag.ContinueOnError)
	flags.ParseErrorsAllowlist.UnknownFlags = true
	flags.Usage = func() {}

	ctx, _ := log.InitFlags(signals.SetupSignalContext(), flags)
	ctx, err := config.InitFlags(ctx, flags)
	if err != nil {
		return err
	}
	command := cmd.NewCommand(ctx)
	command.PersistentFlags().AddFlagSet(flags)
	return command.ExecuteContext(ctx)
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == "print-stages" {
		fmt.Println(strings.Join(stages, "\n---\n"))
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "kwok:", err)
		os.Exit(1)
	}
}
