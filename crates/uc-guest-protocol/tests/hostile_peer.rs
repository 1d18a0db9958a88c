//! Peers that keep to no rule: a link to one ends in bounded time and memory, and nobody waits for it for ever.
#![allow(clippy::expect_used, reason = "a test says what it expects")]

use std::{
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    thread::JoinHandle,
    time::Duration,
};

use proptest::prelude::*;
use tokio::sync::RwLock;
use uc_guest_protocol::{
    Bounds, Descriptor, Event, Frame, Incoming, Kind, Link, MAX_DATA_BYTES, StreamReader,
    WINDOW_BYTES, encode, encode_json, read_all_for_fuzzing,
};

/// Held by a test that measures the memory of this process, which is that of all its tests.
static MEMORY: RwLock<()> = RwLock::const_new(());

/// Longer than anything here takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A host's end of a link, and the naked other end.
fn host() -> (Link, Incoming, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a pair");
    let near = Descriptor::exclusive(near.into()).expect("ours");
    let (link, incoming) = Link::over(near, Bounds::BY_HOST, Bounds::BY_AGENT);
    (link, incoming, far)
}

/// Sends the same bytes until nobody takes them, and reads nothing.
fn flood(mut peer: UnixStream, bytes: Vec<u8>) -> JoinHandle<()> {
    std::thread::spawn(move || while peer.write_all(&bytes).is_ok() {})
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it ends in time")
}

async fn joined(thread: JoinHandle<()>) {
    in_time(async {
        while !thread.is_finished() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// Memory of this process that is in use, in MiB.
fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("read");
    let line = status
        .lines()
        .find(|line| line.starts_with("RssAnon:"))
        .expect("there");
    let kib = line.split_whitespace().nth(1).expect("a number");
    kib.parse::<u64>().expect("a number") >> 10
}

fn events(count: usize) -> Vec<u8> {
    let event = Event::Exited {
        container: "main".into(),
        exit: uc_sandbox::Exit::with_code(7),
    };
    let frame = encode_json(Kind::Event, &event, Bounds::BY_HOST).expect("short");
    frame.repeat(count)
}

#[tokio::test]
async fn a_sender_does_not_wait_for_a_peer_that_takes_nothing_and_speaks_nonsense() {
    let _beside_others = MEMORY.read().await;
    let (link, mut incoming, mut peer) = host();
    let writer = link.writer(1).expect("opened");
    let sending = tokio::spawn(async move { writer.write_all(&vec![7; 100 << 20]).await });
    let talking = tokio::spawn(async move {
        loop {
            if let Err(problem) = link.send(Kind::Event, &"x".repeat(100_000)).await {
                return problem;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!sending.is_finished() && !talking.is_finished());
    peer.write_all(&[0xff; 64]).expect("sent");
    assert!(in_time(incoming.next()).await.is_none());
    in_time(sending)
        .await
        .expect("no panic")
        .expect_err("it is gone");
    let said = in_time(talking).await.expect("no panic").to_string();
    assert!(said.contains("unknown kind"), "{said}");
}

#[tokio::test]
async fn nobody_waits_for_a_link_whose_messages_are_not_taken_any_more() {
    let _beside_others = MEMORY.read().await;
    let (link, incoming, _peer) = host();
    let mut reader = link.reader(1).expect("opened");
    let writer = link.writer(2).expect("opened");
    let sending = tokio::spawn(async move { writer.write_all(&vec![7; 1 << 20]).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    drop(incoming);
    assert!(in_time(reader.next()).await.is_none());
    in_time(sending)
        .await
        .expect("no panic")
        .expect_err("it is gone");
    let mut late = link.reader(3).expect("opened");
    assert!(in_time(late.next()).await.is_none());
}

#[tokio::test]
async fn empty_and_tiny_frames_of_a_stream_that_nobody_reads_cost_little() {
    let _alone = MEMORY.write().await;
    let (link, mut incoming, mut peer) = host();
    let reader = link.reader(1).expect("opened");
    let before = resident_mib();
    let mut far = peer.try_clone().expect("cloned");
    let sender = std::thread::spawn(move || {
        let empty = encode(Kind::Data, 1, b"").repeat(8_000);
        for _ in 0..250 {
            far.write_all(&empty).expect("taken");
        }
        let tiny = encode(Kind::Data, 1, b"x").repeat(WINDOW_BYTES as usize);
        far.write_all(&tiny).expect("taken");
    });
    joined(sender).await;
    // What came before a message has been taken in when that is there.
    peer.write_all(&events(1)).expect("taken");
    in_time(incoming.next()).await.expect("a message");
    let grown = resident_mib().saturating_sub(before);
    assert!(grown < 32, "two million frames took {grown} MiB");
    in_time(take_a_window(reader)).await;
}

/// Takes what has come, and gives no credit for it.
async fn take_a_window(mut reader: StreamReader) {
    let mut count = 0;
    while count < WINDOW_BYTES as usize {
        let chunk = reader.next().await.expect("not at its end");
        assert!(!chunk.is_empty() && chunk.len() <= MAX_DATA_BYTES);
        count += chunk.len();
    }
}

#[tokio::test]
async fn a_flood_of_messages_that_nobody_takes_is_held_up() {
    let _alone = MEMORY.write().await;
    let (link, mut incoming, peer) = host();
    let before = resident_mib();
    let sender = flood(peer, events(1000));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!sender.is_finished(), "it waits");
    assert!(resident_mib().saturating_sub(before) < 32);
    for _ in 0..10_000 {
        in_time(incoming.next()).await.expect("a message");
    }
    drop((incoming, link));
    joined(sender).await;
}

#[tokio::test]
async fn a_flood_leaves_other_tasks_their_turn() {
    let _beside_others = MEMORY.read().await;
    let (link, mut incoming, peer) = host();
    // For no stream: nothing holds it up.
    let sender = flood(
        peer,
        encode(Kind::Data, 77, &[0; MAX_DATA_BYTES]).repeat(10),
    );
    let taking = tokio::spawn(async move { while incoming.next().await.is_some() {} });
    in_time(async {
        for _ in 0..50 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
    taking.abort();
    drop(link);
    joined(sender).await;
}

#[tokio::test]
async fn credit_that_was_not_due_and_lengths_beyond_all_bounds_end_a_link() {
    let _beside_others = MEMORY.read().await;
    let credit = |bytes: u32| encode(Kind::Credit, 1, &bytes.to_le_bytes());
    let length = |bytes: u32, kind: u8| {
        let [a, b, c, d] = bytes.to_le_bytes();
        vec![a, b, c, d, kind, 0, 0, 0]
    };
    for (name, bytes) in [
        ("credit", credit(1)),
        ("all credit", credit(u32::MAX)),
        ("an event of 4 GiB", length(u32::MAX, 3)),
        ("an answer just too long", length((256 << 10) + 1, 2)),
        ("data of 2 GiB", length(1 << 31, 4)),
        ("an end with content", length(1, 5)),
    ] {
        let (link, mut incoming, mut peer) = host();
        let writer = link.writer(1).expect("opened");
        peer.write_all(&bytes).expect("sent");
        assert!(in_time(incoming.next()).await.is_none(), "{name}");
        drop((writer, link, incoming));
        let reading = std::thread::spawn(move || {
            let mut rest = Vec::new();
            let _ = peer.read_to_end(&mut rest);
        });
        joined(reading).await;
    }
}

#[tokio::test]
async fn what_belongs_to_no_stream_is_dropped() {
    let _beside_others = MEMORY.read().await;
    let (link, mut incoming, mut peer) = host();
    let mut mine = link.reader(9).expect("opened");
    let strays = (100..200).flat_map(|stream| {
        [
            encode(Kind::Data, stream, b"for nobody"),
            encode(Kind::Credit, stream, &u32::MAX.to_le_bytes()),
            encode(Kind::End, stream, b""),
        ]
    });
    let strays: Vec<u8> = strays.flatten().collect();
    peer.write_all(&strays).expect("taken");
    let frame = encode(Kind::Data, 9, b"for me");
    peer.write_all(&frame).expect("taken");
    assert_eq!(in_time(mine.next()).await.expect("data"), b"for me");
    // The one who reads may end what the other side does not.
    link.end_reading(9);
    assert!(in_time(mine.next()).await.is_none());
    peer.write_all(&events(1)).expect("taken");
    in_time(incoming.next()).await.expect("it goes on");
}

proptest! {
    #[test]
    fn any_bytes_are_frames_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
        read_all_for_fuzzing(&bytes);
    }

    #[test]
    fn any_content_of_a_frame_is_a_message_or_refused(
        kind in 1_u8..=3,
        text in "(\\{|\\[|\"|:|,|\\}|\\]|id|answer|Ok|Err|exited|booted|version|[0-9]{1,12}|null|\\\\u[0-9a-f]{4}){0,60}",
    ) {
        let mut bytes = (text.len() as u32).to_le_bytes().to_vec();
        bytes.extend([kind, 0, 0, 0]);
        bytes.extend(text.as_bytes());
        read_all_for_fuzzing(&bytes);
    }
}

#[test]
fn deeply_nested_messages_are_refused() {
    for open in ["[", "{\"a\":", "{\"id\":1,\"answer\":{\"Err\":"] {
        let frame = Frame {
            kind: Kind::Response,
            stream: 0,
            payload: open.repeat(8_000).into_bytes(),
        };
        frame.message::<Event>().expect_err("nonsense");
        frame
            .message::<uc_guest_protocol::Response>()
            .expect_err("nonsense");
    }
}
