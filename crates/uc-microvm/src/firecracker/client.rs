//! One request at a time to Firecracker's API, over its Unix socket, within bounds of size and time.

use std::{io::ErrorKind, os::fd::OwnedFd, time::Duration};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use uc_model::{Problem, Result};

use super::{
    http::{self, Method, Response},
    socket_path,
};

/// How much room is made for what is read at once, in bytes.
const CHUNK: usize = 4096;

/// An API's address.
#[derive(Debug)]
pub struct Client {
    directory: OwnedFd,
    name: String,
}

impl Client {
    /// The API whose socket has this name in this directory. Nothing is connected yet.
    pub fn new(directory: OwnedFd, name: impl Into<String>) -> Self {
        Self {
            directory,
            name: name.into(),
        }
    }

    /// Whether somebody listens; an error other than "not yet" is one.
    ///
    /// # Errors
    /// Unavailable, where the socket is there and cannot be reached.
    pub async fn is_listening(&self) -> Result<bool> {
        match socket_path::connect(&self.directory, &self.name).await {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(unreachable(error)),
        }
    }

    /// Sends one request and waits for its answer, whatever it says.
    ///
    /// # Errors
    /// Unavailable, where there is none in time or it is not HTTP; invalid, where the request is too large.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&[u8]>,
        patience: Duration,
    ) -> Result<Response> {
        let request = http::request(method, path, body)?;
        tokio::time::timeout(patience, self.exchange(&request))
            .await
            .unwrap_or_else(|_| {
                Err(Problem::unavailable("Firecracker does not answer")
                    .limit(format!("an answer within {} ms", patience.as_millis()))
                    .remedy("is the host overloaded, or out of memory? see `uc stats`"))
            })
            .map_err(|problem| problem.within(format!("{} {path}", method.name())))
    }

    async fn exchange(&self, request: &[u8]) -> Result<Response> {
        let mut stream = socket_path::connect(&self.directory, &self.name)
            .await
            .map_err(unreachable)?;
        stream.write_all(request).await.map_err(broken)?;
        let mut bytes = Vec::new();
        loop {
            if let Some(response) = http::response(&bytes)? {
                return Ok(response);
            }
            bytes.reserve(CHUNK);
            if stream.read_buf(&mut bytes).await.map_err(broken)? == 0 {
                return Err(broken(ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}

fn unreachable(error: std::io::Error) -> Problem {
    Problem::unavailable("Firecracker's API cannot be reached")
        .found(&error)
        .caused_by(error)
}

fn broken(error: std::io::Error) -> Problem {
    Problem::unavailable("Firecracker ended without an answer").caused_by(error)
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    /// A server that answers each connection with the same bytes and closes it, or holds it open.
    fn server(answer: &'static [u8], hold: bool) -> (tempfile::TempDir, Client) {
        let scratch = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(scratch.path().join("api")).expect("listens");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut bytes = [0; 1024];
                    let _ = stream.read(&mut bytes).await;
                    let _ = stream.write_all(answer).await;
                    if hold {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                });
            }
        });
        let directory = socket_path::open_directory(scratch.path()).expect("opens");
        (scratch, Client::new(directory, "api"))
    }

    async fn get(client: &Client) -> Result<Response> {
        let patience = Duration::from_millis(200);
        client.call(Method::Get, "/version", None, patience).await
    }

    #[tokio::test]
    async fn an_answer_is_read_though_the_connection_stays_open() {
        let (_scratch, client) = server(b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n{}", true);
        assert!(client.is_listening().await.expect("reachable"));
        assert_eq!(get(&client).await.expect("answered").body, b"{}");
    }

    #[tokio::test]
    async fn silence_ends_after_the_patience() {
        let (_scratch, client) = server(b"HTTP/1.1 200 \r\nContent-Le", true);
        let problem = get(&client).await.expect_err("never whole");
        assert_eq!(
            problem.to_string(),
            "GET /version: Firecracker does not answer (expected: an answer within 200 ms)"
        );
    }

    #[tokio::test]
    async fn an_end_without_an_answer_is_told_apart() {
        let (_scratch, client) = server(b"HTTP/1.1 200 \r\n", false);
        let problem = get(&client).await.expect_err("cut off");
        assert!(
            problem.to_string().contains("ended without an answer"),
            "{problem}"
        );
    }

    #[tokio::test]
    async fn nobody_listens_yet() {
        let scratch = tempfile::tempdir().expect("a directory");
        let directory = socket_path::open_directory(scratch.path()).expect("opens");
        let client = Client::new(directory, "api");
        assert!(!client.is_listening().await.expect("not yet"));
        let problem = get(&client).await.expect_err("nobody");
        assert!(
            problem.to_string().contains("cannot be reached"),
            "{problem}"
        );
    }
}
