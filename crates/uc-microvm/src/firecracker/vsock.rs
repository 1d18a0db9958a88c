//! Connections to and from a guest's socket device, by way of Unix sockets (Firecracker's hybrid vsock).
//!
//! The host connects to the device's socket, says `CONNECT <port>`, and reads `OK <host's port>` once the guest has
//! accepted. A connection of the guest to a port of the host arrives at another socket, named after it.

use std::{os::fd::OwnedFd, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};
use uc_model::{Problem, Result};

use super::socket_path;

/// Longest answer in bytes: `OK 4294967295` and the end of the line.
const MAX_ANSWER: usize = 14;

/// The name of the socket at which connections of the guest to a port of the host arrive.
pub fn listener_name(uds_path: &str, port: u32) -> String {
    format!("{uds_path}_{port}")
}

/// Connects to a port of the guest.
///
/// # Errors
/// Unavailable, where the device is not there, nobody in the guest listens, or no answer comes in time.
pub async fn connect(
    directory: &OwnedFd,
    name: &str,
    port: u32,
    patience: Duration,
) -> Result<UnixStream> {
    let place = || format!("vsock port {port}");
    let connected = async {
        let mut stream = socket_path::connect(directory, name)
            .await
            .map_err(|error| {
                Problem::unavailable("the guest's socket device cannot be reached").caused_by(error)
            })?;
        handshake(&mut stream, port).await?;
        Ok(stream)
    };
    tokio::time::timeout(patience, connected)
        .await
        .unwrap_or_else(|_| {
            Err(Problem::unavailable("the guest does not answer")
                .limit(format!("an answer within {} ms", patience.as_millis()))
                .remedy("has it started? its last lines say how far it came"))
        })
        .map_err(|problem| problem.at(place()))
}

/// Asks for a port on a fresh connection to a device's socket. Not one byte behind the answer is read.
///
/// # Errors
/// Unavailable, where the device closes the connection, since nobody in the guest listens, or answers something else.
pub async fn handshake<S>(stream: &mut S, port: u32) -> Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let broken = |error: std::io::Error| {
        Problem::unavailable("the guest refuses the connection")
            .remedy("does its agent listen on this port?")
            .caused_by(error)
    };
    let request = format!("CONNECT {port}\n");
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    let mut answer = Vec::with_capacity(MAX_ANSWER);
    loop {
        // What follows the line belongs to the caller, so it is read byte by byte.
        let byte = stream.read_u8().await.map_err(broken)?;
        if byte == b'\n' {
            break;
        }
        answer.push(byte);
        if answer.len() >= MAX_ANSWER {
            return Err(strange(&answer));
        }
    }
    let port = answer
        .strip_prefix(b"OK ")
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse::<u32>().ok());
    port.map(drop).ok_or_else(|| strange(&answer))
}

fn strange(answer: &[u8]) -> Problem {
    Problem::unavailable("the guest's socket device answers strangely")
        .limit("OK and a port")
        .found(format!("{:?}", String::from_utf8_lossy(answer)))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(answer: &[u8]) -> (Result<()>, Vec<u8>) {
        let (mut near, mut far) = tokio::io::duplex(64);
        far.write_all(answer).await.expect("room");
        let result = handshake(&mut near, 52).await;
        let mut request = [0; 11];
        far.read_exact(&mut request).await.expect("asked");
        assert_eq!(&request, b"CONNECT 52\n");
        drop(far);
        let mut rest = Vec::new();
        near.read_to_end(&mut rest).await.expect("readable");
        (result, rest)
    }

    #[tokio::test]
    async fn what_follows_the_answer_is_left_to_the_caller() {
        let (result, rest) = answered(b"OK 1073741824\nhello").await;
        result.expect("connected");
        assert_eq!(rest, b"hello");
    }

    #[tokio::test]
    async fn strange_answers_are_refused_within_their_bound() {
        for answer in [
            &b"OK\n"[..],
            b"\n",
            b"OK 4294967296\n",
            b"HTTP/1.1 400 Bad Request",
            b"OK 00000000000000001\n",
        ] {
            let (result, _) = answered(answer).await;
            let problem = result.expect_err("refused");
            assert!(problem.to_string().contains("strangely"), "{problem}");
        }
    }

    #[tokio::test]
    async fn a_closed_connection_means_that_nobody_listens() {
        let (mut near, far) = tokio::io::duplex(64);
        let waiting = tokio::spawn(async move { handshake(&mut near, 52).await });
        tokio::task::yield_now().await;
        drop(far);
        let problem = waiting.await.expect("ran").expect_err("refused");
        assert!(problem.to_string().contains("refuses"), "{problem}");
    }

    #[tokio::test]
    async fn a_silent_device_is_given_up_in_time() {
        let scratch = tempfile::tempdir().expect("a directory");
        let _listener = tokio::net::UnixListener::bind(scratch.path().join("v")).expect("listens");
        let directory = socket_path::open_directory(scratch.path()).expect("opens");
        let patience = Duration::from_millis(50);
        let problem = connect(&directory, "v", 52, patience).await;
        assert_eq!(
            problem.expect_err("silent").to_string(),
            "vsock port 52: the guest does not answer (expected: an answer within 50 ms)"
        );
    }

    #[test]
    fn the_listener_is_named_after_the_port() {
        assert_eq!(listener_name("v.sock", 1024), "v.sock_1024");
    }
}
