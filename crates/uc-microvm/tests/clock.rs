//! A machine's clock is its host's, also after it was stopped for a while.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

mod support;

use std::time::{Duration, Instant, SystemTime};

use rustix::process::Signal;
use support::world::{Spec, World, monitors, signal, stdio, test};
use uc_sandbox::ExecRequest;

/// Longer than a machine takes to be asked again, on a loaded host.
const LONG: Duration = Duration::from_secs(100);

/// How many seconds a machine's clock is behind at least.
async fn seconds_behind(world: &World) -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs() as i64;
    let (stdio, outputs) = stdio(None);
    let request = ExecRequest {
        container: "main".into(),
        command: ["sh", "-c", "date +%s"].map(str::to_owned).to_vec(),
        timeout: LONG,
        stdio: Some(stdio),
    };
    world.sandbox.exec(request).await.expect("an end");
    let (inside, _) = outputs.read().await;
    now - inside.trim().parse::<i64>().expect("seconds")
}

#[test]
fn a_clock_is_right_again_after_its_machine_was_stopped() {
    test(async |driver, busybox| {
        let world = World::new(&driver).await;
        let spec = Spec::shell(busybox, "echo ready; exec sleep 1000000").memory(331);
        let _outputs = world.start(spec).await;
        assert!(seconds_behind(&world).await <= 1, "right from the start");
        let found = monitors(331 + 96);
        let [monitor] = found[..] else {
            panic!("{found:?}");
        };
        signal(monitor, Signal::STOP);
        tokio::time::sleep(Duration::from_secs(5)).await;
        signal(monitor, Signal::CONT);
        let until = Instant::now() + LONG;
        loop {
            let behind = seconds_behind(&world).await;
            if behind <= 1 {
                break;
            }
            assert!(Instant::now() < until, "{behind} s behind");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        world.destroy().await;
    });
}
