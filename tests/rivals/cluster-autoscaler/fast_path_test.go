// The workload of Cluster Autoscaler's bin-packing benchmark with its fast path switched on, which that benchmark
// leaves off as the program does by default. `cargo xtask bench-rivals` puts this file beside it.
package estimator

import (
	"testing"

	"k8s.io/autoscaler/cluster-autoscaler/simulator/clustersnapshot/testsnapshot"
	"k8s.io/autoscaler/cluster-autoscaler/simulator/framework"
	. "k8s.io/autoscaler/cluster-autoscaler/utils/test"
)

func BenchmarkFastPath(b *testing.B) {
	pods := func(cpu, memory int64, count int) PodEquivalenceGroup {
		labels := WithLabels(map[string]string{"app": "estimatee"})
		pod := BuildTestPod("estimatee", cpu, memory, WithNamespace("universe"), labels)
		return makePodEquivalenceGroup(pod, count)
	}
	groups := []PodEquivalenceGroup{pods(50, 100, 50000), pods(95, 190, 1000)}
	for range b.N {
		snapshot := testsnapshot.NewTestSnapshotOrDie(b)
		old := framework.NewTestNodeInfo(makeNode(100, 100, 10, "oldnode", "zone-jupiter"))
		if err := snapshot.AddNodeInfo(old); err != nil {
			b.Fatal(err)
		}
		limiter := NewThresholdBasedEstimationLimiter([]Threshold{NewStaticThreshold(3000, 0)})
		estimator := NewBinpackingNodeEstimator(snapshot, limiter, NewDecreasingPodOrderer(), nil, nil, true)
		template := framework.NewTestNodeInfo(makeNode(1000, 5000, 100, "template", "zone-mars"))
		nodes, placed := estimator.Estimate(groups, template, nil)
		b.ReportMetric(float64(nodes), "nodes")
		b.ReportMetric(float64(51000-len(placed)), "unplaced")
	}
}
