//! The cases of ports: containers that share a loopback, and probes.

use std::time::Duration;

use uc_sandbox::ExitReason;

use super::bench::{Bench, Plan};

/// A port that programs of the cases listen at; sandboxes have networks of their own.
const PORT: u16 = 8080;

/// Longer than any connection takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Containers of one sandbox reach each other's ports by the loopback; so does one that takes another's place.
pub async fn containers_share_a_loopback(bench: &Bench) {
    let Some(peers) = bench.peers(PORT) else {
        return;
    };
    let prepared = bench.prepare_for_several().await;
    let mut serving = prepared.start("server", Plan::new(peers.server)).await;
    assert_eq!(serving.line().await, "ready\n");
    for name in ["client", "client-r1"] {
        let asking = prepared.start(name, Plan::new(peers.client.clone())).await;
        assert_eq!(prepared.wait(name).await.code, 0);
        assert_eq!(asking.finish().0, "pong\n");
        prepared.remove(name).await.expect("removed");
    }
    assert_eq!(prepared.stop("server").await.reason, ExitReason::Stopped);
    serving.finish();
    prepared.destroy().await;
}

/// A port that a program listens at takes a connection, and another refuses it.
pub async fn ports_are_probed(bench: &Bench) {
    let Some(peers) = bench.peers(PORT) else {
        return;
    };
    let prepared = bench.prepare().await;
    let mut serving = prepared.start("main", Plan::new(peers.server)).await;
    assert_eq!(serving.line().await, "ready\n");
    for _ in 0..3 {
        // The program has said that it is about to listen, and begins anew after each connection.
        while prepared.connect(PORT, PATIENCE).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    let problem = prepared.connect(PORT + 1, PATIENCE).await;
    let problem = problem.expect_err("nobody listens").to_string();
    assert!(problem.to_lowercase().contains("refused"), "{problem}");
    prepared.stop("main").await;
    serving.finish();
    prepared.destroy().await;
}

/// A port whose program takes no connections is given up, and the sandbox is none the worse.
pub async fn a_port_that_nobody_answers_is_given_up(bench: &Bench) {
    /// No program here lets more connections wait.
    const MAX_WAITING: usize = 64;
    let Some(peers) = bench.peers(PORT) else {
        return;
    };
    let prepared = bench.prepare().await;
    let mut stuck = prepared.start("main", Plan::new(peers.stuck)).await;
    assert_eq!(stuck.line().await, "ready\n");
    let mut given_up = None;
    for _ in 0..MAX_WAITING {
        given_up = prepared.connect(PORT, Duration::from_secs(1)).await.err();
        if given_up.is_some() {
            break;
        }
    }
    let problem = given_up
        .expect("connections that wait are counted")
        .to_string();
    assert!(problem.contains("timed out"), "{problem}");
    let problem = prepared.connect(PORT + 1, PATIENCE).await;
    let problem = problem.expect_err("nobody listens").to_string();
    assert!(problem.to_lowercase().contains("refused"), "{problem}");
    assert_eq!(prepared.stop("main").await.reason, ExitReason::Stopped);
    stuck.finish();
    prepared.destroy().await;
}
