//! What a workload's network settings mean for its sandbox.

use std::net::{IpAddr, Ipv4Addr};

use uc_model::workload::Workload;
use uc_sandbox::PortForward;

use crate::decide::all_containers;

/// The host ports that lead into the sandbox.
pub(crate) fn forwards(workload: &Workload) -> Vec<PortForward> {
    all_containers(workload)
        .flat_map(|container| &container.ports)
        .filter_map(|port| {
            Some(PortForward {
                host_ip: port.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)),
                host_port: port.host_port?,
                container_port: port.container_port,
                protocol: port.protocol,
            })
        })
        .collect()
}
