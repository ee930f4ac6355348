//! Whether a node is a worker, read from whatever its row tells and never guessed: a control-plane machine that
//! is taken for a worker could be removed.

use crate::model::NodeRole;
use crate::settings::RoleSettings;

/// The role of a node. `word` is the row's own, `of_array` that of the list it was found in, `kind` its
/// `node_type`. A row whose word and name contradict each other is of no known role, and is left alone.
pub(crate) fn role(
    word: Option<&str>,
    of_array: Option<NodeRole>,
    kind: Option<&str>,
    hostname: &str,
    settings: &RoleSettings,
) -> NodeRole {
    let told = word
        .and_then(role_word)
        .or(of_array)
        .or_else(|| kind.and_then(|kind| role_of_type(kind, settings)));
    match (told, role_of_name(hostname, settings)) {
        (Some(told), Some(named)) if told != named => NodeRole::Unknown,
        (told, named) => told.or(named).unwrap_or(NodeRole::Unknown),
    }
}

fn role_word(word: &str) -> Option<NodeRole> {
    match word.to_lowercase().as_str() {
        "worker" | "slave" | "node" => Some(NodeRole::Worker),
        "master" | "control-plane" | "control_plane" | "controlplane" => Some(NodeRole::ControlPlane),
        _ => None,
    }
}

fn role_of_type(kind: &str, roles: &RoleSettings) -> Option<NodeRole> {
    let number: Option<i64> = kind.parse().ok();
    match number {
        Some(_) if number == roles.worker_type => Some(NodeRole::Worker),
        Some(_) if number == roles.control_plane_type => Some(NodeRole::ControlPlane),
        Some(_) => None,
        None => role_word(kind),
    }
}

/// The part nearest the end decides: a cluster's own name, which comes first, may hold anything.
fn role_of_name(hostname: &str, roles: &RoleSettings) -> Option<NodeRole> {
    let name = hostname.to_lowercase();
    let place = |infix: &str| {
        (!infix.is_empty())
            .then(|| name.rfind(&infix.to_lowercase()))
            .flatten()
    };
    match (place(&roles.worker_infix), place(&roles.control_plane_infix)) {
        (None, None) => None,
        (worker, control_plane) if worker > control_plane => Some(NodeRole::Worker),
        _ => Some(NodeRole::ControlPlane),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_is_read_from_every_shape_and_never_guessed() {
        use NodeRole::{ControlPlane, Unknown, Worker};
        let settings = RoleSettings {
            worker_type: Some(2),
            control_plane_type: Some(1),
            ..RoleSettings::default()
        };
        for (hostname, word, of_array, kind, expected) in [
            ("HEL-Kubernetes-49ab-SLAVE-11cc", None, None, None, Worker),
            ("HEL-Kubernetes-49ab-master-main", None, None, None, ControlPlane),
            ("a-master-b-slave-1", None, None, None, Worker),
            ("node-7", None, None, None, Unknown),
            ("node-7", Some("Worker"), None, None, Worker),
            ("node-7", Some("queen"), None, None, Unknown),
            ("node-7", None, None, Some("2"), Worker),
            ("node-7", None, None, Some("1"), ControlPlane),
            ("node-7", None, None, Some("9"), Unknown),
            ("node-7", None, None, Some("slave"), Worker),
            ("node-7", None, Some(Worker), None, Worker),
            ("node-7", None, Some(ControlPlane), Some("2"), ControlPlane),
            ("x-master-main", Some("worker"), None, None, Unknown),
            ("x-master-main", None, None, Some("2"), Unknown),
        ] {
            assert_eq!(
                role(word, of_array, kind, hostname, &settings),
                expected,
                "{hostname} {word:?} {kind:?}"
            );
        }
        let unset = RoleSettings::default();
        assert_eq!(
            role(None, None, Some("1"), "node-7", &unset),
            Unknown,
            "an undocumented number tells nothing"
        );
    }
}
