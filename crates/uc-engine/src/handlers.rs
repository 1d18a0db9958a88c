//! WebAssembly components that handle HTTP requests: where they are served, and at which port.

use uc_model::{
    Problem, Result, RuntimeKind,
    workload::{Container, Network, Protocol, Workload},
};

use crate::{
    decide::all_containers,
    resolve::{Content, ResolvedContainer},
};

/// The port at which a handler answers: the first that its container names for TCP.
pub(crate) fn port(container: &Container) -> Option<u16> {
    let mut ports = container.ports.iter();
    let first = ports.find(|port| port.protocol == Protocol::Tcp)?;
    Some(first.container_port)
}

/// Refuses handlers that nobody could reach.
///
/// # Errors
/// Refused, with what is missing.
pub(crate) fn check(
    workload: &Workload,
    contents: &[ResolvedContainer],
    kinds: &[RuntimeKind],
) -> Result<()> {
    for ((container, content), kind) in all_containers(workload).zip(contents).zip(kinds) {
        if matches!(&content.content, Content::Wasm { facts, .. } if facts.handles_http()) {
            check_one(workload.network, port(container), *kind)
                .map_err(|problem| problem.at(format!("container {}", container.name)))?;
        }
    }
    Ok(())
}

fn check_one(network: Network, port: Option<u16>, kind: RuntimeKind) -> Result<()> {
    if kind == RuntimeKind::Wasm {
        return Err(Problem::refused(
            "the component handles HTTP requests, which the runtime wasm does not serve",
        )
        .limit("wasm: commands (wasi:cli/run)")
        .remedy(
            "run it with --runtime fused, a containerPort and the annotation \
             undercurrent.dev/network: user",
        ));
    }
    if network < Network::User {
        return Err(
            Problem::refused("the component handles HTTP requests, and has no network")
                .found(format!("network {network}"))
                .remedy("grant one: annotation undercurrent.dev/network: user"),
        );
    }
    if port.is_none() {
        return Err(
            Problem::refused("the component handles HTTP requests, and has no port")
                .remedy("name a containerPort: ports: [{containerPort: 8080, hostPort: 8080}]"),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_needs_a_machine_a_network_and_a_port() {
        let remedy = |network, port, kind| {
            let checked = check_one(network, port, kind);
            checked
                .err()
                .map(|problem| problem.remedy_text().unwrap_or_default().to_owned())
        };
        let (user, port, fused) = (Network::User, Some(8080), RuntimeKind::Fused);
        assert_eq!(remedy(user, port, fused), None);
        for (told, words) in [
            (remedy(user, port, RuntimeKind::Wasm), "--runtime fused"),
            (
                remedy(Network::None, port, fused),
                "undercurrent.dev/network: user",
            ),
            (
                remedy(Network::Http, port, fused),
                "undercurrent.dev/network: user",
            ),
            (remedy(user, None, fused), "name a containerPort"),
        ] {
            let told = told.unwrap_or_default();
            assert!(told.contains(words), "{told}");
        }
    }
}
