//! What a workload's network settings mean for its sandbox.

use std::{
    io::ErrorKind,
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
};

use uc_model::{
    Problem, Result, RuntimeKind,
    workload::{Container, Network, Protocol, Workload},
};
use uc_sandbox::PortForward;

use crate::{decide::all_containers, home::Home, record};

/// The host ports that lead into a workload.
pub(crate) fn forwards(workload: &Workload) -> Vec<PortForward> {
    all_containers(workload).flat_map(forwards_to).collect()
}

/// The host ports that lead to its containers of one kind: each sandbox takes those of its own.
pub(crate) fn forwards_of(
    kind: RuntimeKind,
    workload: &Workload,
    runtimes: &[RuntimeKind],
) -> Vec<PortForward> {
    all_containers(workload)
        .zip(runtimes)
        .filter(|(_, runtime)| **runtime == kind)
        .flat_map(|(container, _)| forwards_to(container))
        .collect()
}

fn forwards_to(container: &Container) -> impl Iterator<Item = PortForward> {
    container.ports.iter().filter_map(|port| {
        Some(PortForward {
            host_ip: port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            host_port: port.host_port?,
            container_port: port.container_port,
            protocol: port.protocol,
        })
    })
}

/// Checks that the host ports can be listened on, before anything is made. The program that links the network would find
/// out as well, but only say so in its own words.
///
/// # Errors
/// Host, naming the port and, where another workload of this user has it, that workload.
pub(crate) fn require_free_ports(workload: &Workload, own_id: &str, home: &Home) -> Result<()> {
    if workload.network != Network::User {
        return Ok(());
    }
    for port in forwards(workload) {
        let address = SocketAddr::new(port.host_ip, port.host_port);
        let tried = match port.protocol {
            Protocol::Tcp => TcpListener::bind(address).map(drop),
            Protocol::Udp => UdpSocket::bind(address).map(drop),
        };
        let Err(error) = tried else { continue };
        let transport = match port.protocol {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        };
        let place = format!(
            "hostPort {} ({transport}, {})",
            port.host_port, port.host_ip
        );
        return Err(cannot_listen(error, || record::holder_of(home, own_id, &port)).at(place));
    }
    Ok(())
}

fn cannot_listen(error: std::io::Error, holder: impl FnOnce() -> Option<String>) -> Problem {
    match error.kind() {
        ErrorKind::AddrInUse => {
            let problem = Problem::host("the port of the host is in use");
            match holder() {
                Some(id) => problem.found(format!("workload {id} has it")).remedy(format!(
                    "end that workload (uc stop {id}), or choose another hostPort"
                )),
                None => problem
                    .found("another program listens on it")
                    .remedy("choose another hostPort, or end that program"),
            }
        }
        ErrorKind::PermissionDenied => Problem::host("you may not listen on this port of the host")
            .remedy(
                "choose a hostPort of 1024 or above, or lower sysctl net.ipv4.ip_unprivileged_port_start",
            ),
        ErrorKind::AddrNotAvailable => Problem::host("hostIP is no address of this host")
            .remedy("leave hostIP out for 127.0.0.1, or set it to 0.0.0.0 for all addresses"),
        _ => Problem::host("cannot listen on this port of the host").found(&error),
    }
    .caused_by(error)
}
