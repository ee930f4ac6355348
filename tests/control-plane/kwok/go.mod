// A module of its own: kwok requires other versions of the k8s.io modules than the control plane.
module vpsie-autoscaler/tests/control-plane/kwok

go 1.26.0

require sigs.k8s.io/kwok v0.8.0
