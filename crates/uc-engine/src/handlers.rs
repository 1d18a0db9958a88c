//! WebAssembly components that handle HTTP requests: where they are served, and at which port.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use uc_model::{
    Problem, Result,
    workload::{Container, Network, Port, Protocol, Workload},
};
use uc_sandbox::HandlerPort;

use crate::{
    decide::all_containers,
    resolve::{Content, ResolvedContainer},
};

/// Where a handler answers: at the first port that its container names for TCP.
pub(crate) fn port(container: &Container, network: Network) -> Option<HandlerPort> {
    let port = first(container)?;
    let host_port = match network {
        Network::None | Network::Http => None,
        Network::User => port.host_port,
        Network::Host => Some(port.container_port),
    };
    let host_ip = port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    Some(HandlerPort {
        container_port: port.container_port,
        host: host_port.map(|port| SocketAddr::new(host_ip, port)),
    })
}

/// The address of this host at which a container answers HTTP requests, if it does.
pub(crate) fn address(
    workload: &Workload,
    container: &Container,
    content: &ResolvedContainer,
) -> Option<SocketAddr> {
    port(container, workload.network)
        .filter(|_| is_handler(content))
        .and_then(|port| port.host)
}

fn first(container: &Container) -> Option<&Port> {
    let mut ports = container.ports.iter();
    ports.find(|port| port.protocol == Protocol::Tcp)
}

fn is_handler(content: &ResolvedContainer) -> bool {
    matches!(&content.content, Content::Wasm { facts, .. } if facts.handles_http())
}

/// Whether a container is a handler to which a port of the host leads, and which could reach nothing itself but by HTTP. That is
/// denied in a network of its own.
pub(crate) fn only_answers(container: &Container, content: &ResolvedContainer) -> bool {
    let Content::Wasm { facts, .. } = &content.content else {
        return false;
    };
    let mut imports = facts.imports.iter();
    facts.handles_http()
        && first(container).is_some_and(|port| port.host_port.is_some())
        && !imports.any(|name| name.starts_with("wasi:sockets/"))
}

/// Refuses handlers that nobody could reach, or that would be in each other's way.
///
/// # Errors
/// Refused, with what is missing.
pub(crate) fn check(workload: &Workload, contents: &[ResolvedContainer]) -> Result<()> {
    let mut taken = HashSet::new();
    let init_containers = workload.init_containers.len();
    for (index, (container, content)) in all_containers(workload).zip(contents).enumerate() {
        if is_handler(content) {
            check_one(workload.network, first(container), &mut taken)
                .and_then(|()| check_place(index < init_containers))
                .map_err(|problem| problem.at(format!("container {}", container.name)))?;
        }
    }
    Ok(())
}

fn check_place(is_init: bool) -> Result<()> {
    match is_init {
        false => Ok(()),
        true => Err(Problem::refused(
            "the component handles HTTP requests and does not end, so no container after it would start",
        )
        .remedy("list it under containers instead of initContainers")),
    }
}

fn check_one(network: Network, port: Option<&Port>, taken: &mut HashSet<u16>) -> Result<()> {
    const REMEDY: &str = "name a containerPort: ports: [{containerPort: 8080, hostPort: 8080}]";
    if network < Network::User {
        let unreachable =
            Problem::refused("the component handles HTTP requests, and has no network");
        return Err(unreachable.found(format!("network {network}")).remedy(
            "give it a hostPort (ports: [{containerPort: 8080, hostPort: 8080}]), with the annotation \
             undercurrent.dev/network: user or none of it",
        ));
    }
    let Some(port) = port else {
        let portless = Problem::refused("the component handles HTTP requests, and has no port");
        return Err(portless.remedy(REMEDY));
    };
    if !taken.insert(port.container_port) {
        let shared = Problem::refused("two containers of a Pod handle HTTP requests at one port");
        return Err(shared
            .found(format!("containerPort {}", port.container_port))
            .remedy("give each its own: containers of a Pod share a network"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_needs_a_network_and_a_port_of_its_own() {
        let port = Port {
            name: None,
            container_port: 8080,
            host_port: None,
            host_ip: None,
            protocol: Protocol::Tcp,
        };
        let remedy = |network, port| {
            let checked = check_one(network, port, &mut HashSet::new());
            checked
                .err()
                .map(|problem| problem.remedy_text().unwrap_or_default().to_owned())
        };
        for network in [Network::User, Network::Host] {
            assert_eq!(remedy(network, Some(&port)), None);
            let told = remedy(network, None).unwrap_or_default();
            assert!(told.contains("name a containerPort"), "{told}");
        }
        for network in [Network::None, Network::Http] {
            let told = remedy(network, Some(&port)).unwrap_or_default();
            assert!(told.contains("hostPort"), "{told}");
        }
        let mut taken = HashSet::from([8080]);
        let shared = check_one(Network::User, Some(&port), &mut taken).expect_err("taken");
        assert!(shared.to_string().contains("at one port"), "{shared}");
    }
}
