//! Two pods of a node must not claim the same host port.

use crate::model::{ClassId, HostPort, NodeId};
use crate::packing::{Holding, State};

pub(super) fn allows(state: &State, class: ClassId, node: NodeId) -> bool {
    !state.holdings_clash(class, node, |wanted, used| match (wanted, used) {
        (Holding::Port(wanted), Holding::Port(used)) => conflict(wanted, used),
        _ => false,
    })
}

/// Whether two claims exclude each other: the same port and protocol, at addresses that overlap.
fn conflict(one: &HostPort, other: &HostPort) -> bool {
    // Only this address is special to kube-scheduler: `::` is one like any other.
    let everywhere = |address: &str| address.is_empty() || address == "0.0.0.0";
    one.port == other.port
        && protocol(one) == protocol(other)
        && (everywhere(&one.host_ip) || everywhere(&other.host_ip) || one.host_ip == other.host_ip)
}

fn protocol(port: &HostPort) -> &str {
    match port.protocol.as_str() {
        "" => "TCP",
        protocol => protocol,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Cluster, pod};

    fn port(port: u16, protocol: &str, host_ip: &str) -> HostPort {
        HostPort {
            port,
            protocol: protocol.into(),
            host_ip: host_ip.into(),
        }
    }

    #[test]
    fn cases() {
        for (one, other, expected, why) in [
            (port(80, "TCP", ""), port(80, "TCP", ""), true, "the same"),
            (port(80, "TCP", ""), port(81, "TCP", ""), false, "another port"),
            (
                port(80, "TCP", ""),
                port(80, "UDP", ""),
                false,
                "another protocol",
            ),
            (port(80, "", ""), port(80, "TCP", ""), true, "TCP is the default"),
            (
                port(80, "TCP", "10.0.0.1"),
                port(80, "TCP", "10.0.0.2"),
                false,
                "two addresses",
            ),
            (
                port(80, "TCP", "10.0.0.1"),
                port(80, "TCP", "10.0.0.1"),
                true,
                "one address",
            ),
            (
                port(80, "TCP", "10.0.0.1"),
                port(80, "TCP", ""),
                true,
                "one of all addresses",
            ),
            (
                port(80, "TCP", "0.0.0.0"),
                port(80, "TCP", "10.0.0.2"),
                true,
                "all addresses, written out",
            ),
            (
                port(80, "TCP", "0.0.0.0"),
                port(80, "TCP", ""),
                true,
                "all addresses, both ways",
            ),
            (
                port(80, "TCP", "::"),
                port(80, "TCP", "10.0.0.1"),
                false,
                "the unspecified address of IPv6 is an address",
            ),
            (
                port(80, "TCP", "::"),
                port(80, "TCP", "::"),
                true,
                "the same address of IPv6",
            ),
            (
                port(80, "TCP", "::"),
                port(80, "TCP", ""),
                true,
                "all addresses, that of IPv6 included",
            ),
            (
                port(80, "SCTP", ""),
                port(80, "UDP", ""),
                false,
                "two other protocols",
            ),
        ] {
            assert_eq!(conflict(&one, &other), expected, "{why}");
            assert_eq!(conflict(&other, &one), expected, "{why}, the other way round");
        }
    }

    #[test]
    fn a_port_is_taken_by_running_and_by_placed_pods() {
        let claim = |class: &mut crate::model::PodClass| class.host_ports = vec![port(80, "TCP", "")];
        let mut cluster = Cluster::default();
        let (taken, open) = (cluster.node("taken", 4000), cluster.node("open", 4000));
        let class = cluster.class(pod(100).with(claim));
        let other = cluster.class(pod(100));
        cluster.bound(class, taken);
        let mut state = cluster.state();
        assert_eq!(state.fits(class, taken), Err(crate::decision::Cause::HostPorts));
        assert_eq!(state.fits(other, taken), Ok(()));
        assert_eq!(state.try_place(class, open), Ok(()));
        assert_eq!(
            state.try_place(class, open),
            Err(crate::decision::Cause::HostPorts)
        );
    }
}
