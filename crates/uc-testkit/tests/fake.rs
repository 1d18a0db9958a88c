//! The fake driver does what its scripts say.

use std::{path::PathBuf, time::Duration};

use uc_model::{ProblemKind, RuntimeKind, workload::Network};
use uc_sandbox::{Exit, ExitReason, HttpGrant, Payload};
use uc_testkit::{
    contract::{Plan, Prepared, Program},
    fake::{FakeDriver, Script},
};

fn plan() -> Plan {
    Plan::new(Program {
        payload: Payload::Wasm {
            file: PathBuf::from("/nothing"),
            act_as: None,
            port: None,
            http: HttpGrant::None,
        },
        argv: Vec::new(),
    })
}

#[tokio::test]
async fn scripts_are_followed_in_order() {
    let driver = FakeDriver::new(RuntimeKind::Wasm);
    driver.script(
        "main",
        Script {
            stdout: "hi\n".into(),
            ..Script::exits(3)
        },
    );
    driver.script("main", Script::exits(4));
    for (code, output) in [(3, "hi\n"), (4, ""), (0, "")] {
        let prepared = Prepared::new(&driver, Network::None).await;
        let (exit, stdout, _) = prepared.run(plan()).await;
        assert_eq!((exit, stdout.as_str()), (Exit::with_code(code), output));
    }
    let log = driver.log();
    assert_eq!(log.len(), 3 * 4, "{log:?}");
    assert_eq!(log[1..3], ["create main", "start main"]);
}

#[tokio::test]
async fn failures_come_where_they_were_asked_for() {
    let driver = FakeDriver::new(RuntimeKind::Container);
    let create_fails = Some(ProblemKind::CommandNotFound);
    driver.script(
        "main",
        Script {
            create_fails,
            ..Script::default()
        },
    );
    let start_fails = Some(ProblemKind::NotExecutable);
    driver.script(
        "main",
        Script {
            start_fails,
            ..Script::default()
        },
    );
    let prepared = Prepared::new(&driver, Network::None).await;
    let problem = prepared.create("main", plan()).await.err().expect("fails");
    assert_eq!(problem.kind(), ProblemKind::CommandNotFound);
    let _running = prepared.create("main", plan()).await.expect("created");
    let problem = prepared.start_created("main").await.expect_err("fails");
    assert_eq!(problem.kind(), ProblemKind::NotExecutable);
    prepared.destroy().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_program_up_to_the_grace() {
    let driver = FakeDriver::new(RuntimeKind::Container);
    driver.script(
        "slow",
        Script {
            stops_after: Duration::from_secs(60),
            ..Script::runs_for_ever()
        },
    );
    driver.script(
        "own",
        Script {
            runs_for: Some(Duration::from_millis(50)),
            stops_after: Duration::from_secs(1),
            ..Script::exits(5)
        },
    );
    let prepared = Prepared::new(&driver, Network::None).await;
    let slow = prepared.start("slow", plan()).await;
    let own = prepared.start("own", plan()).await;
    let before = tokio::time::Instant::now();
    assert_eq!(prepared.stop("slow").await.reason, ExitReason::Stopped);
    assert_eq!(before.elapsed().as_millis(), 200);
    assert_eq!(prepared.stop("own").await, Exit::with_code(5));
    prepared.destroy().await;
    slow.finish();
    own.finish();
}
