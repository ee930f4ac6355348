//! The whole product on a real control plane: kube-apiserver, kube-scheduler, kube-controller-manager and KWOK,
//! a fake VPSie over HTTP, and the controller as a process under the rights that `deploy/` gives it.

mod crashes;
mod killed;
mod main_path;
mod rollback_runbook;
mod rollbacks;
mod runbooks;
mod swap;
mod trouble;
mod typing;
mod vms;
mod world;
