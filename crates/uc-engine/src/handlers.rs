//! WebAssembly components that handle HTTP requests: where they are served, and at which port.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr, SocketAddr},
};

use uc_model::{
    Problem, Result,
    workload::{Container, Network, Origin, Port, Protocol, Workload},
};
use uc_sandbox::HandlerPort;

use crate::{
    decide::all_containers,
    resolve::{Content, ResolvedContainer},
};

/// Where a handler answers: at the first port that its container names for TCP.
fn port(container: &Container, network: Network) -> Option<HandlerPort> {
    let port = first(&container.ports)?;
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

/// Where a container answers HTTP requests, if it does.
pub(crate) fn served_port(
    container: &Container,
    content: &ResolvedContainer,
    network: Network,
) -> Option<HandlerPort> {
    is_handler(content)
        .then(|| port(container, network))
        .flatten()
}

/// The address of this host at which a container answers HTTP requests, if it does.
pub(crate) fn address(
    workload: &Workload,
    container: &Container,
    content: &ResolvedContainer,
) -> Option<SocketAddr> {
    served_port(container, content, workload.network).and_then(|port| port.host)
}

fn first(ports: &[Port]) -> Option<&Port> {
    ports.iter().find(|port| port.protocol == Protocol::Tcp)
}

fn name(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    }
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
        && first(&container.ports).is_some_and(|port| port.host_port.is_some())
        && !imports.any(|name| name.starts_with("wasi:sockets/"))
}

/// What helps a component that was named without a Pod, and so has no port.
const NEEDS_POD: &str = "write a Pod that gives it a port, and run that: kind: Pod, with containers: [{name: web, image: \
                         ./handler.wasm, ports: [{containerPort: 8080, hostPort: 8080}]}] (docs/handlers.md)";

/// Refuses handlers that nobody could reach, or that would be in each other's way.
///
/// # Errors
/// Refused, with what is missing.
pub(crate) fn check(workload: &Workload, contents: &[ResolvedContainer]) -> Result<()> {
    let mut taken = HashSet::new();
    let init_containers = workload.init_containers.len();
    for (index, (container, content)) in all_containers(workload).zip(contents).enumerate() {
        if is_handler(content) {
            check_one(
                &workload.origin,
                workload.network,
                &container.ports,
                &mut taken,
            )
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

fn check_one(
    origin: &Origin,
    network: Network,
    ports: &[Port],
    taken: &mut HashSet<u16>,
) -> Result<()> {
    const REMEDY: &str = "name a containerPort: ports: [{containerPort: 8080, hostPort: 8080}]";
    if network < Network::User {
        let unreachable =
            Problem::refused("the component handles HTTP requests, and has no network");
        let unreachable = unreachable.found(format!("network {network}"));
        return Err(unreachable.remedy(match origin {
            Origin::CommandLine => NEEDS_POD,
            Origin::Manifest { .. } => {
                "give it a hostPort (ports: [{containerPort: 8080, hostPort: 8080}]), with the annotation \
                 undercurrent.dev/network: user or none of it"
            }
        }));
    }
    let Some(port) = first(ports) else {
        let portless = Problem::refused("the component handles HTTP requests, and has no TCP port");
        let portless = match ports.first() {
            Some(other) => {
                portless.found(format!("{}/{}", other.container_port, name(other.protocol)))
            }
            None => portless,
        };
        return Err(portless.remedy(match origin {
            Origin::CommandLine => NEEDS_POD,
            Origin::Manifest { .. } => REMEDY,
        }));
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
    #![allow(
        clippy::expect_used,
        reason = "a failed expectation is how a test speaks"
    )]

    use super::*;

    fn port(protocol: Protocol) -> Port {
        Port {
            name: None,
            container_port: 8080,
            host_port: None,
            host_ip: None,
            protocol,
        }
    }

    /// What is wrong, and what helps.
    fn told(origin: &Origin, network: Network, ports: &[Port]) -> Option<(String, String)> {
        let checked = check_one(origin, network, ports, &mut HashSet::new());
        checked.err().map(|problem| {
            let remedy = problem.remedy_text().unwrap_or_default().to_owned();
            (problem.to_string(), remedy)
        })
    }

    fn manifest() -> Origin {
        let file = "pod.yaml".to_owned();
        Origin::Manifest { file }
    }

    #[test]
    fn a_handler_needs_a_network_and_a_port_of_its_own() {
        let tcp = [port(Protocol::Tcp)];
        for network in [Network::User, Network::Host] {
            assert_eq!(told(&manifest(), network, &tcp), None);
            let (_, remedy) = told(&manifest(), network, &[]).expect("refused");
            assert!(remedy.contains("name a containerPort"), "{remedy}");
        }
        for network in [Network::None, Network::Http] {
            let (_, remedy) = told(&manifest(), network, &tcp).expect("refused");
            assert!(remedy.contains("hostPort"), "{remedy}");
        }
        let mut taken = HashSet::from([8080]);
        let shared = check_one(&manifest(), Network::User, &tcp, &mut taken).expect_err("taken");
        assert!(shared.to_string().contains("at one port"), "{shared}");
    }

    #[test]
    fn a_port_for_datagrams_is_named_as_what_it_is() {
        let udp = port(Protocol::Udp);
        let (problem, _) =
            told(&manifest(), Network::User, std::slice::from_ref(&udp)).expect("refused");
        for words in ["no TCP port", "8080/UDP"] {
            assert!(problem.contains(words), "{problem}");
        }
        let both = [udp, port(Protocol::Tcp)];
        assert_eq!(told(&manifest(), Network::User, &both), None);
    }

    #[test]
    fn a_component_without_a_pod_is_told_to_have_one() {
        for network in [Network::None, Network::Http, Network::User, Network::Host] {
            let (problem, remedy) = told(&Origin::CommandLine, network, &[]).expect("refused");
            assert!(remedy.contains("kind: Pod"), "{problem} {remedy}");
        }
    }
}
