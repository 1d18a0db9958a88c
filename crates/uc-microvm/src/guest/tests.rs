//! Agents that keep to no rule.

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
};

use uc_guest_protocol::{Decoder, encode, encode_json};

use super::*;

/// Longer than anything here takes on a loaded machine.
const LONG: Duration = Duration::from_secs(20);

const PING: Call = Call::Ping { clock_ns: 0 };

fn agent() -> (Guest, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a pair");
    let near = Descriptor::exclusive(near.into()).expect("ours");
    (Guest::over(near, &Handle::current()), far)
}

fn event(event: &Event) -> Vec<u8> {
    encode_json(Kind::Event, event, Bounds::BY_HOST).expect("short")
}

fn exited(code: u8) -> Vec<u8> {
    event(&Event::Exited {
        container: "main".into(),
        exit: Exit::with_code(code),
    })
}

fn answer(id: u32, answer: Answer) -> Vec<u8> {
    let answer = Ok(answer);
    encode_json(Kind::Response, &Response { id, answer }, Bounds::BY_HOST).expect("short")
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future)
        .await
        .expect("it ends in time")
}

#[tokio::test]
async fn one_that_never_answers_is_given_up() {
    let (guest, _far) = agent();
    let asked = guest.ask_for(PING, Duration::from_millis(50));
    let said = in_time(asked).await.expect_err("no answer").to_string();
    assert!(said.contains("does not answer"), "{said}");
    assert!(locked(&guest.shared).pending.is_empty());
}

#[tokio::test]
async fn one_that_reads_nothing_is_given_up_as_well() {
    let (guest, _far) = agent();
    let (_, writer) = guest.writer().expect("opened");
    let sending = tokio::spawn(async move { writer.write_all(&vec![0; 1 << 20]).await });
    let stop = || Call::Stop {
        container: "x".repeat(100_000),
        grace_ms: 0,
        signal: 9,
    };
    for _ in 0..30 {
        let asked = guest.ask_for(stop(), Duration::from_millis(20));
        in_time(asked).await.expect_err("nobody reads");
    }
    sending.abort();
}

/// The requests that have arrived: which container each is to hold, or to let go, with its number.
async fn pauses(far: &mut UnixStream, count: usize) -> Vec<(u32, String, bool)> {
    far.set_nonblocking(true).expect("ours");
    let mut decoder = Decoder::new(Bounds::BY_HOST);
    let mut pauses = Vec::new();
    let mut bytes = vec![0; 4096];
    while pauses.len() < count {
        match far.read(&mut bytes) {
            Ok(length) => decoder.push(&bytes[..length]),
            // What is sent, tasks send.
            Err(_) => tokio::task::yield_now().await,
        }
        while let Some(frame) = decoder.next_frame().expect("frames") {
            let request: Request = frame.message().expect("a request");
            let Call::Pause { container, hold } = request.call else {
                panic!("another request");
            };
            pauses.push((request.id, container, hold));
        }
    }
    pauses
}

/// However late the agent does what it is asked, the container goes on in the end.
#[tokio::test(start_paused = true)]
async fn what_is_not_answered_in_time_is_undone() {
    let (guest, mut far) = agent();
    let call = |hold| Call::Pause {
        container: "main".into(),
        hold,
    };
    let asked = guest.ask_or_undo(call(true), call(false), LONG).await;
    let said = asked.expect_err("no answer").to_string();
    assert!(said.contains("does not answer"), "{said}");
    let asked = pauses(&mut far, 2).await;
    assert_eq!(asked, [(1, "main".into(), true), (2, "main".into(), false)]);
    // Late answers are dropped; nobody waits for them.
    far.write_all(&[answer(1, Answer::Done), answer(2, Answer::Done)].concat())
        .expect("taken");
    assert!(locked(&guest.shared).pending.is_empty());
    assert!(guest.is_alive());
}

/// A container that was paused before must not be let go by a second pause.
#[tokio::test]
async fn what_an_agent_refuses_is_not_undone() {
    let (guest, mut far) = agent();
    let call = |hold| Call::Pause {
        container: "main".into(),
        hold,
    };
    let asking = guest.ask_or_undo(call(true), call(false), LONG);
    let answering = async {
        assert_eq!(pauses(&mut far, 1).await.len(), 1);
        let problem = Problem::invalid("the container is paused already");
        let answer = Err(uc_model::Telling::of(&problem));
        let response = encode_json(Kind::Response, &Response { id: 1, answer }, Bounds::BY_HOST);
        far.write_all(&response.expect("short")).expect("taken");
    };
    let (asked, ()) = in_time(async { tokio::join!(asking, answering) }).await;
    let said = asked.expect_err("refused").to_string();
    assert!(said.contains("paused already"), "{said}");
    let (next, asked) = tokio::join!(
        tokio::time::timeout(LONG, guest.ask_for(call(true), Duration::from_millis(50))),
        pauses(&mut far, 1)
    );
    next.expect("in time").expect_err("no answer");
    assert_eq!(asked, [(2, "main".into(), true)], "nothing came before");
}

#[tokio::test]
async fn answers_to_what_nobody_asked_are_dropped() {
    let (guest, mut far) = agent();
    for id in (0..2000).chain([u32::MAX]).filter(|id| *id != 1) {
        far.write_all(&answer(id, Answer::Done)).expect("taken");
        tokio::task::yield_now().await;
    }
    let asking = guest.ask(PING);
    let answering = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        far.write_all(&answer(1, Answer::Done).repeat(3))
            .expect("taken");
    };
    let (answered, ()) = in_time(async { tokio::join!(asking, answering) }).await;
    assert!(matches!(answered, Ok(Answer::Done)));
    assert!(guest.is_alive());
}

#[tokio::test]
async fn a_request_of_an_agent_ends_it_and_wakes_everybody() {
    let (guest, mut far) = agent();
    let mut exit = guest.expect("main", [1, 2]).expect("expected");
    let (_, mut reader) = guest.reader().expect("opened");
    far.write_all(&encode(Kind::Request, 0, b"{}"))
        .expect("taken");
    in_time(exit.wait_for(Option::is_some))
        .await
        .expect_err("it will never come");
    assert!(in_time(reader.next()).await.is_none());
    in_time(guest.ended()).await;
    in_time(guest.ask(PING)).await.expect_err("gone");
    in_time(guest.booted()).await.expect_err("gone");
    // Whoever comes late does not wait either.
    let said = guest.expect("late", [3, 4]).expect_err("gone").to_string();
    assert!(said.contains("sent a request"), "{said}");
}

#[tokio::test]
async fn messages_of_another_form_and_version_end_an_agent() {
    for (bytes, words) in [
        (encode(Kind::Event, 0, b"{"), "another form"),
        (encode(Kind::Response, 0, b"[1,2]"), "another form"),
        (event(&Event::Booted { version: 999 }), "another version"),
        (vec![0xff; 64], "unknown kind"),
    ] {
        let (guest, mut far) = agent();
        far.write_all(&bytes).expect("taken");
        let said = in_time(guest.ask(PING)).await.expect_err("gone");
        assert!(said.to_string().contains(words), "{said}");
    }
}

#[tokio::test]
async fn ends_that_are_told_often_or_of_nobody_change_nothing() {
    let (guest, mut far) = agent();
    let mut exit = guest.expect("main", [1, 2]).expect("expected");
    let stranger = event(&Event::Exited {
        container: "stranger".into(),
        exit: Exit::with_code(9),
    });
    far.write_all(&[stranger.repeat(50), exited(7), exited(8).repeat(50)].concat())
        .expect("taken");
    let first = in_time(exit.wait_for(Option::is_some))
        .await
        .expect("told")
        .clone();
    far.write_all(&answer(1, Answer::Done)).expect("taken");
    let _ = in_time(guest.ask(PING)).await;
    assert_eq!(first, Some(Exit::with_code(7)));
    assert_eq!(*exit.borrow(), first);
    assert_eq!(locked(&guest.shared).expected.len(), 1);
}

#[tokio::test]
async fn an_end_ends_the_output_that_an_agent_leaves_open() {
    let (guest, mut far) = agent();
    let (out, mut stdout) = guest.reader().expect("opened");
    let (err, mut stderr) = guest.reader().expect("opened");
    let _exit = guest.expect("main", [out, err]).expect("expected");
    let frames = [encode(Kind::Data, out, b"last words"), exited(0)];
    far.write_all(&frames.concat()).expect("taken");
    assert_eq!(
        in_time(stdout.next()).await.as_deref(),
        Some(&b"last words"[..])
    );
    assert!(in_time(stdout.next()).await.is_none());
    assert!(in_time(stderr.next()).await.is_none());
}

#[tokio::test]
async fn a_problem_in_an_answer_obeys_no_terminal() {
    let (guest, mut far) = agent();
    let problem = Problem::host("\u{1b}[2Jgone").found("\u{7}".repeat(30_000));
    let answer = Err(uc_model::Telling::of(&problem));
    let response = encode_json(Kind::Response, &Response { id: 1, answer }, Bounds::BY_HOST);
    let response = response.expect("short");
    let sending = std::thread::spawn(move || {
        let mut request = [0; 8];
        far.read_exact(&mut request).expect("asked");
        far.write_all(&response).expect("taken");
        far
    });
    let said = in_time(guest.ask(PING)).await.expect_err("a problem");
    let said = said.to_string();
    assert!(
        !said.chars().any(char::is_control) && said.len() < 10_000,
        "{said}"
    );
    drop(sending.join());
}

#[tokio::test]
async fn numbers_of_streams_go_round() {
    let (guest, _far) = agent();
    let (first, _kept) = guest.reader().expect("opened");
    for _ in 0..70_000 {
        let (number, _) = guest.reader().expect("opened");
        assert_ne!(number, first);
    }
}
