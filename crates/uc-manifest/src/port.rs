//! `ports`: what a container listens on, and what is forwarded to it.

use std::{collections::HashSet, net::IpAddr};

use uc_model::{
    Problem, Result,
    workload::{Network, Port, Protocol},
};

use crate::{name::shortened, view::View};

/// Reads the ports of a container.
pub(crate) fn read(container: &View<'_>, network: Network) -> Result<Vec<Port>> {
    let mut names = HashSet::new();
    let mut ports = Vec::new();
    for view in container.objects("ports") {
        let port = read_one(&view, network)?;
        if let Some(name) = &port.name
            && !names.insert(name.clone())
        {
            let problem = Problem::invalid("two ports have the same name");
            return Err(view.blame("name", problem.found(name)));
        }
        ports.push(port);
    }
    Ok(ports)
}

fn read_one(view: &View<'_>, network: Network) -> Result<Port> {
    let container_port = port_number(view, "containerPort", 1)?
        .ok_or_else(|| view.blame("containerPort", Problem::invalid("the field is required")))?;
    let host_port = port_number(view, "hostPort", 0)?.filter(|port| *port != 0);
    let host_ip = host_ip(view)?;
    if host_port.is_some() && host_ip.is_none() && network != Network::Host {
        view.note(
            "hostPort",
            "is open on 127.0.0.1 only; set hostIP: 0.0.0.0 to open it to others",
        );
    }
    if network == Network::Host && host_port.is_some_and(|port| port != container_port) {
        let problem = Problem::invalid("with hostNetwork a hostPort is the containerPort")
            .limit(container_port)
            .found(host_port.unwrap_or_default());
        return Err(view.blame("hostPort", problem));
    }
    Ok(Port {
        name: port_name(view)?,
        container_port,
        // On the host's own network nothing is forwarded.
        host_port: host_port.filter(|_| network != Network::Host),
        host_ip,
        protocol: protocol(view)?,
    })
}

fn port_number(view: &View<'_>, field: &str, least: u32) -> Result<Option<u16>> {
    let number = view.unsigned(field, least..=u32::from(u16::MAX))?;
    Ok(number.and_then(|port| u16::try_from(port).ok()))
}

fn host_ip(view: &View<'_>) -> Result<Option<IpAddr>> {
    let Some(text) = view.text("hostIP").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        let problem = Problem::invalid("not an IP address").found(shortened(text));
        view.blame("hostIP", problem)
    })
}

fn protocol(view: &View<'_>) -> Result<Protocol> {
    if view.text("protocol") == Some("SCTP") {
        return Err(view.refuse("protocol", "ports are TCP or UDP", "use TCP"));
    }
    let choices = [("TCP", Protocol::Tcp), ("UDP", Protocol::Udp)];
    Ok(view.choice("protocol", &choices)?.unwrap_or_default())
}

/// An IANA service name.
fn port_name(view: &View<'_>) -> Result<Option<String>> {
    let Some(name) = view.text("name").filter(|name| !name.is_empty()) else {
        return Ok(None);
    };
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = name.len() <= 15
        && name.bytes().all(|byte| inner(byte) || byte == b'-')
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
        && !name.contains("--")
        && !name.starts_with('-')
        && !name.ends_with('-');
    if !fits {
        let problem = Problem::invalid("not a port name")
            .limit("1 to 15 of a-z, 0-9 and -, with a letter, - only inside and alone")
            .found(shortened(name));
        return Err(view.blame("name", problem));
    }
    Ok(Some(name.to_owned()))
}
