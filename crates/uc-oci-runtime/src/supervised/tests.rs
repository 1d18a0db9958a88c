//! A supervisor that a test plays.

use super::*;

/// A driver's side, with the socket of its supervisor. The process behind it does nothing, and ends with it.
fn supervised() -> (Supervised, OwnedFd) {
    let (near, far) = control::pair().expect("a pair");
    let child = std::process::Command::new("sleep").arg("600").spawn();
    let pid = child.expect("spawned").id();
    let spawned = Spawned {
        pid,
        pidfd: sys::pidfd_open(pid).expect("it lives"),
        control: near,
    };
    let supervised = Supervised::new(spawned, Names::default(), Cgroup::default());
    (supervised.expect("made"), far)
}

/// What it is asked next about being held, with the number of the errand.
fn next_pause(far: &OwnedFd) -> (u32, bool) {
    loop {
        let (packet, _) = control::receive_packet(far, RecvFlags::DONTWAIT).expect("asked");
        let message: ToContainer = serde_json::from_slice(&packet).expect("a request");
        if let Request::Pause { errand, hold } = message.request {
            return (errand, hold);
        }
    }
}

fn answer(far: &OwnedFd, number: u32, result: Outcome) {
    let report = Report::ErrandEnded { number, result };
    let container = FIRST;
    control::send(far, &FromContainer { container, report }, &[]).expect("sent");
}

#[tokio::test(start_paused = true)]
async fn a_hold_that_takes_too_long_is_undone() {
    let (supervised, far) = supervised();
    let problem = supervised.hold(true).await.expect_err("nobody answers");
    assert!(problem.to_string().contains("too long"), "{problem}");
    let (first, hold) = next_pause(&far);
    assert!(hold);
    let (second, hold) = next_pause(&far);
    assert!(!hold, "it is let go behind that");
    // It does both in the end, and is held when it is asked again.
    answer(&far, first, Ok(0));
    answer(&far, second, Ok(0));
    let (held, ()) = tokio::join!(supervised.hold(true), async {
        tokio::task::yield_now().await;
        let (third, hold) = next_pause(&far);
        assert!(hold, "it is asked again");
        answer(&far, third, Ok(0));
    });
    held.expect("held");
}

#[tokio::test]
async fn a_hold_that_fails_is_undone() {
    let (supervised, far) = supervised();
    let (held, ()) = tokio::join!(supervised.hold(true), async {
        let (number, hold) = next_pause(&far);
        assert!(hold);
        let problem = Problem::host("runsc could not pause the container");
        answer(&far, number, Err(Telling::of(&problem)));
    });
    let problem = held.expect_err("refused");
    assert!(problem.to_string().contains("could not pause"), "{problem}");
    assert!(!next_pause(&far).1);
}

#[tokio::test]
async fn what_is_held_stays_held_where_it_cannot_be_let_go() {
    let (supervised, far) = supervised();
    for (hold, result) in [
        (true, Ok(0)),
        (
            false,
            Err(Telling::of(&Problem::host("runsc could not resume"))),
        ),
    ] {
        let is_done = result.is_ok();
        let (held, ()) = tokio::join!(supervised.hold(hold), async {
            let (number, asked) = next_pause(&far);
            assert_eq!(asked, hold);
            answer(&far, number, result);
        });
        assert_eq!(held.is_ok(), is_done);
    }
    supervised.hold(true).await.expect("it is held");
    control::receive_packet(&far, RecvFlags::DONTWAIT).expect_err("nothing else is asked");
}
