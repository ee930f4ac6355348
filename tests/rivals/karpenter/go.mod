// Pins the Karpenter whose own benchmark `cargo xtask bench-rivals` runs; nothing of it is kept here.
module vpsie-autoscaler/tests/rivals/karpenter

go 1.26.0

require sigs.k8s.io/karpenter v1.14.1
