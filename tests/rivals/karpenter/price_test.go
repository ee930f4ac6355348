//go:build test_performance

// What Karpenter's plan costs. `cargo xtask bench-rivals` puts this file beside Karpenter's own scheduling
// benchmark, whose functions make the pods and the scheduler: that benchmark counts nodes, and a node count says
// little where every node may be of another price.
//
// A claim leaves the choice of the instance type to the cloud; the cheapest one that it allows is what it costs
// at least.
package scheduling_test

import (
	"context"
	"math"
	"os"
	"strconv"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"sigs.k8s.io/karpenter/pkg/controllers/provisioning/scheduling"
	"sigs.k8s.io/karpenter/pkg/operator/injection"
	"sigs.k8s.io/karpenter/pkg/operator/options"
	"sigs.k8s.io/karpenter/pkg/test"
)

func BenchmarkPricedPlan(b *testing.B) {
	size, err := strconv.Atoi(os.Getenv("PRICED_PODS"))
	if err != nil {
		b.Skip("PRICED_PODS is no number")
	}
	if b.N != 1 {
		b.Skip("once: a second plan would build on the first")
	}
	var pods []*corev1.Pod
	opts := []scheduling.Options{scheduling.NumConcurrentReconciles(5)}
	switch os.Getenv("PRICED_KIND") {
	case "diverse":
		pods = makeDiversePods(size)
	case "ignore-preferences":
		opts = append(opts, scheduling.IgnorePreferences)
		fallthrough
	default:
		pods = makePreferencePods(size)
	}
	ctx = options.ToContext(injection.WithControllerName(context.Background(), "provisioner"), test.Options())
	solver, err := setupScheduler(ctx, pods, opts...)
	if err != nil {
		b.Fatal(err)
	}

	b.ResetTimer()
	before := processorTime(b)
	results, err := solver.Solve(ctx, pods)
	spent := processorTime(b) - before
	b.StopTimer()
	if err != nil {
		b.Fatal(err)
	}

	hourly := 0.0
	for _, claim := range results.NewNodeClaims {
		least := math.Inf(1)
		for _, instanceType := range claim.InstanceTypeOptions {
			for _, offering := range instanceType.Offerings.Available().Compatible(claim.Requirements) {
				least = math.Min(least, offering.Price)
			}
		}
		hourly += least
	}
	b.ReportMetric(hourly, "price")
	b.ReportMetric(spent, "cpu-seconds")
	b.ReportMetric(float64(len(results.NewNodeClaims)), "nodes")
	b.ReportMetric(float64(len(results.PodErrors)), "unplaced")
}

// Seconds of all processors that this process has used.
func processorTime(b *testing.B) float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	seconds := func(time syscall.Timeval) float64 {
		return float64(time.Sec) + float64(time.Usec)/1e6
	}
	return seconds(usage.Utime) + seconds(usage.Stime)
}
