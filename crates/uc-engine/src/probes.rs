//! Startup, readiness and liveness probes of one container.

use std::{convert::Infallible, time::Duration};

use tokio::sync::watch;
use uc_model::workload::{Container, Probe, ProbeAction};
use uc_sandbox::{ExecRequest, ExitReason, Sandbox, TcpConnectRequest};

/// Whether the workload is paused: nothing is tried then.
type Paused = watch::Receiver<bool>;

/// Probes a running container until it must be restarted; returns why. `ready` hears each change of readiness.
/// Without probes it never returns.
pub(crate) async fn until_failure(
    sandbox: &dyn Sandbox,
    name: &str,
    container: &Container,
    paused: Paused,
    ready: impl Fn(bool),
) -> String {
    if let Some(probe) = &container.startup_probe
        && let Err(reason) = until_startup(sandbox, name, probe, paused.clone()).await
    {
        return format!("startup probe failed: {reason}");
    }
    let liveness = async {
        match &container.liveness_probe {
            Some(probe) => until_threshold(sandbox, name, probe, paused.clone()).await,
            None => std::future::pending().await,
        }
    };
    let readiness = async {
        match &container.readiness_probe {
            Some(probe) => watch_readiness(sandbox, name, probe, paused.clone(), &ready).await,
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

async fn until_startup(
    sandbox: &dyn Sandbox,
    name: &str,
    probe: &Probe,
    mut paused: Paused,
) -> Result<(), String> {
    tokio::time::sleep(probe.initial_delay).await;
    let mut failures = 0;
    loop {
        match try_unpaused(sandbox, name, probe, &mut paused).await {
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
async fn until_threshold(
    sandbox: &dyn Sandbox,
    name: &str,
    probe: &Probe,
    mut paused: Paused,
) -> String {
    tokio::time::sleep(probe.initial_delay).await;
    let mut failures = 0;
    loop {
        match try_unpaused(sandbox, name, probe, &mut paused).await {
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
    mut paused: Paused,
    ready: &impl Fn(bool),
) -> Infallible {
    tokio::time::sleep(probe.initial_delay).await;
    let (mut successes, mut failures, mut is_ready) = (0, 0, false);
    loop {
        match try_unpaused(sandbox, name, probe, &mut paused).await {
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

/// Tries while the workload is not paused. A failure with a pause in it says nothing, and it is tried again.
async fn try_unpaused(
    sandbox: &dyn Sandbox,
    name: &str,
    probe: &Probe,
    paused: &mut Paused,
) -> Result<(), String> {
    loop {
        // Where nobody can pause it any more, it is not paused.
        let _ = paused.wait_for(|paused| !paused).await;
        let tried = try_once(sandbox, name, probe).await;
        if tried.is_ok() || !paused.has_changed().unwrap_or(false) {
            return tried;
        }
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
