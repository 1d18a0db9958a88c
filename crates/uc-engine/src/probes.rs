//! Startup, readiness and liveness probes of one container.

use std::{convert::Infallible, time::Duration};

use uc_model::workload::{Container, Probe, ProbeAction};
use uc_sandbox::{ExecRequest, ExitReason, Sandbox, TcpConnectRequest};

/// Probes a running container until it must be restarted; returns why. `ready` hears each change of readiness.
/// Without probes it never returns.
pub(crate) async fn until_failure(
    sandbox: &dyn Sandbox,
    name: &str,
    container: &Container,
    ready: impl Fn(bool),
) -> String {
    if let Some(probe) = &container.startup_probe
        && let Err(reason) = until_startup(sandbox, name, probe).await
    {
        return format!("startup probe failed: {reason}");
    }
    let liveness = async {
        match &container.liveness_probe {
            Some(probe) => until_threshold(sandbox, name, probe).await,
            None => std::future::pending().await,
        }
    };
    let readiness = async {
        match &container.readiness_probe {
            Some(probe) => watch_readiness(sandbox, name, probe, &ready).await,
            None => {
                ready(true);
                std::future::pending().await
            }
        }
    };
    tokio::select! {
        reason = liveness => format!("liveness probe failed: {reason}"),
        never = readiness => match never {},
    }
}

async fn until_startup(sandbox: &dyn Sandbox, name: &str, probe: &Probe) -> Result<(), String> {
    tokio::time::sleep(probe.initial_delay).await;
    let mut failures = 0;
    loop {
        match try_once(sandbox, name, probe).await {
            Ok(()) => return Ok(()),
            Err(reason) => {
                failures += 1;
                if failures >= probe.failure_threshold {
                    return Err(reason);
                }
            }
        }
        tokio::time::sleep(probe.period).await;
    }
}

/// Returns the last reason once a probe has failed often enough in a row.
async fn until_threshold(sandbox: &dyn Sandbox, name: &str, probe: &Probe) -> String {
    tokio::time::sleep(probe.initial_delay).await;
    let mut failures = 0;
    loop {
        match try_once(sandbox, name, probe).await {
            Ok(()) => failures = 0,
            Err(reason) => {
                failures += 1;
                if failures >= probe.failure_threshold {
                    return reason;
                }
            }
        }
        tokio::time::sleep(probe.period).await;
    }
}

async fn watch_readiness(
    sandbox: &dyn Sandbox,
    name: &str,
    probe: &Probe,
    ready: &impl Fn(bool),
) -> Infallible {
    tokio::time::sleep(probe.initial_delay).await;
    let (mut successes, mut failures, mut is_ready) = (0, 0, false);
    loop {
        match try_once(sandbox, name, probe).await {
            Ok(()) => (successes, failures) = (successes + 1, 0),
            Err(_) => (successes, failures) = (0, failures + 1),
        }
        let now = if is_ready {
            failures < probe.failure_threshold
        } else {
            successes >= probe.success_threshold
        };
        if now != is_ready {
            is_ready = now;
            ready(now);
        }
        tokio::time::sleep(probe.period).await;
    }
}

async fn try_once(sandbox: &dyn Sandbox, name: &str, probe: &Probe) -> Result<(), String> {
    match &probe.action {
        ProbeAction::Exec { command } => exec(sandbox, name, command, probe.timeout).await,
        ProbeAction::Tcp { port } => sandbox
            .tcp_connect(TcpConnectRequest {
                port: *port,
                timeout: probe.timeout,
            })
            .await
            .map_err(|problem| problem.to_string()),
    }
}

async fn exec(
    sandbox: &dyn Sandbox,
    name: &str,
    command: &[String],
    timeout: Duration,
) -> Result<(), String> {
    let request = ExecRequest {
        container: name.to_owned(),
        command: command.to_vec(),
        timeout,
        stdio: None,
    };
    let exit = sandbox
        .exec(request)
        .await
        .map_err(|problem| problem.to_string())?;
    match exit.reason {
        ExitReason::Deadline => Err(format!(
            "the command took longer than timeoutSeconds: {}",
            timeout.as_secs()
        )),
        _ if exit.code == 0 => Ok(()),
        _ => Err(format!("the command's exit code was {}", exit.code)),
    }
}
