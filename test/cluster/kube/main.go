// Every program of the cluster in one binary: what they share, which is nearly all of it, is compiled and linked once.
// The name it is called by, through a symbolic link, says which program it is; so does a first argument.
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	_ "github.com/containerd/containerd/v2/cmd/containerd/builtins"
	containerd "github.com/containerd/containerd/v2/cmd/containerd/command"
	ctr "github.com/containerd/containerd/v2/cmd/ctr/app"
	"github.com/coredns/coredns/coremain"
	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	complain "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	metrics "sigs.k8s.io/metrics-server/cmd/metrics-server/app"
)

var programs = map[string]func() error{
	"etcd":                    func() error { etcdmain.Main(os.Args); return nil },
	"kube-apiserver":          func() error { return command(apiserver.NewAPIServerCommand()) },
	"kube-controller-manager": func() error { return command(controllers.NewControllerManagerCommand()) },
	"kube-scheduler":          func() error { return command(scheduler.NewSchedulerCommand()) },
	"kubelet":                 func() error { return command(kubelet.NewKubeletCommand(context.Background())) },
	"kube-proxy":              func() error { return command(proxy.NewProxyCommand()) },
	"metrics-server": func() error {
		return command(metrics.NewMetricsServerCommand(server.SetupSignalHandler()))
	},
	"coredns":    func() error { coremain.Run(); return nil },
	"containerd": func() error { return containerd.App().Run(context.Background(), os.Args) },
	"ctr":        func() error { return ctr.New().Run(context.Background(), os.Args) },
	"kubectl": func() error {
		// It has exit codes of its own, such as 1 of diff and 124 of a wait.
		complain.CheckErr(cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()))
		return nil
	},
}

// command ends the process itself, with the code that the program's authors meant.
func command(c *cobra.Command) error {
	os.Exit(cli.Run(c))
	return nil
}

func main() {
	program := programs[filepath.Base(os.Args[0])]
	if program == nil && len(os.Args) > 1 {
		program = programs[os.Args[1]]
		os.Args = os.Args[1:]
	}
	if program == nil {
		names := slices.Sorted(maps.Keys(programs))
		fmt.Fprintln(os.Stderr, "the first argument, or the name this is called by, is one of", strings.Join(names, ", "))
		os.Exit(2)
	}
	if err := program(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
