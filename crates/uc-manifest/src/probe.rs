//! Probes and their timing.

use std::time::Duration;

use uc_model::{
    Problem, Result,
    workload::{Port, Probe, ProbeAction},
};

use crate::{name::shortened, view::View};

/// Longest time and largest threshold that are read, in seconds and tries: Kubernetes' 32 bits.
const MAX: u32 = i32::MAX as u32;

/// Reads one of a container's probes; only a readiness probe may ask for several successes.
pub(crate) fn read(container: &View<'_>, field: &str, ports: &[Port]) -> Result<Option<Probe>> {
    let Some(view) = container.object(field) else {
        return Ok(None);
    };
    let number = |name: &str, least: u32, default: u32| {
        view.unsigned(name, least..=MAX)
            .map(|value| value.unwrap_or(default))
    };
    let seconds = |count: u32| Duration::from_secs(u64::from(count));
    let probe = Probe {
        action: action(&view, ports)?,
        initial_delay: seconds(number("initialDelaySeconds", 0, 0)?),
        period: seconds(number("periodSeconds", 1, 10)?),
        timeout: seconds(number("timeoutSeconds", 1, 1)?),
        success_threshold: number("successThreshold", 1, 1)?,
        failure_threshold: number("failureThreshold", 1, 3)?,
    };
    if field != "readinessProbe" && probe.success_threshold != 1 {
        let problem = Problem::invalid("only a readiness probe may need several successes")
            .limit(1)
            .found(probe.success_threshold);
        return Err(view.blame("successThreshold", problem));
    }
    Ok(Some(probe))
}

fn action(view: &View<'_>, ports: &[Port]) -> Result<ProbeAction> {
    match (view.object("exec"), view.object("tcpSocket")) {
        (Some(exec), None) => {
            let command = exec.texts("command").unwrap_or_default();
            if command.is_empty() {
                let problem = Problem::invalid("the field is required");
                return Err(exec.blame("command", problem));
            }
            let command = command.into_iter().map(str::to_owned).collect();
            Ok(ProbeAction::Exec { command })
        }
        (None, Some(socket)) => Ok(ProbeAction::Tcp {
            port: port(&socket, ports)?,
        }),
        (exec, _) => {
            let problem = Problem::invalid("a probe does exactly one thing")
                .limit("exec or tcpSocket")
                .found(if exec.is_some() { "both" } else { "none" });
            Err(view.blame_self(problem))
        }
    }
}

fn port(socket: &View<'_>, ports: &[Port]) -> Result<u16> {
    let text = socket.required("port")?;
    if let Some(port) = ports.iter().find(|port| port.name.as_deref() == Some(text)) {
        return Ok(port.container_port);
    }
    match text.parse::<u16>() {
        Ok(port) if port > 0 => Ok(port),
        _ => {
            let problem = Problem::invalid("no such port")
                .limit("1 to 65535, or the name of one of the container's ports")
                .found(shortened(text));
            Err(socket.blame("port", problem))
        }
    }
}
