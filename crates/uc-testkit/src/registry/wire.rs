//! HTTP/1.1 as far as clients of registries speak it: bodies by length or in chunks, connections that stay open.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpStream},
    time::Duration,
};

/// The largest body that is taken, in bytes.
const BODY_BYTES: u64 = 1 << 30;
/// The most header lines of a request.
const HEADERS: usize = 200;

/// A request as it came, without its body.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET`, `PUT`.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// What follows the question mark.
    pub query: String,
    headers: Vec<(String, String)>,
}

impl Seen {
    /// The first header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// Every value of a query parameter, decoded.
    pub fn parameters(&self, name: &str) -> Vec<String> {
        parameters(&self.query, name)
    }

    /// The first value of a query parameter, decoded.
    pub fn parameter(&self, name: &str) -> Option<String> {
        self.parameters(name).into_iter().next()
    }
}

/// Every value of a parameter in a query or form, decoded.
pub(super) fn parameters(query: &str, name: &str) -> Vec<String> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(key, _)| decoded(key) == name)
        .map(|(_, value)| decoded(value))
        .collect()
}

fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|hex| std::str::from_utf8(hex).ok())
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What to answer.
#[derive(Debug, Clone, Default)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Headers; the length is added.
    pub headers: Vec<(String, String)>,
    /// The body, which a request for the head alone does not get.
    pub body: Vec<u8>,
    /// Break the connection after this many bytes of the body.
    pub cut: Option<usize>,
    /// Wait before the answer.
    pub delay: Duration,
}

impl Answer {
    /// A success with a body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self {
            status: 200,
            body: body.into(),
            ..Self::default()
        }
    }

    /// A status without a body.
    pub fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    /// An error document as registries send it.
    pub fn error(status: u16, code: &str) -> Self {
        let body =
            serde_json::json!({ "errors": [{ "code": code, "message": code.to_lowercase() }] });
        Self {
            status,
            body: body.to_string().into_bytes(),
            ..Self::default()
        }
        .header("Content-Type", "application/json")
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// One connection.
pub(super) struct Connection<'a> {
    reader: BufReader<&'a TcpStream>,
    writer: &'a TcpStream,
}

impl<'a> Connection<'a> {
    pub(super) fn new(stream: &'a TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(120)))?;
        Ok(Self {
            reader: BufReader::new(stream),
            writer: stream,
        })
    }

    /// The next request with its body, or `None` at the end.
    pub(super) fn read(&mut self) -> io::Result<Option<(Seen, Vec<u8>)>> {
        let line = self.line()?;
        let mut words = line.split(' ');
        let (Some(method), Some(target)) = (words.next(), words.next()) else {
            return Ok(None);
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut request = Seen {
            method: method.into(),
            path: path.into(),
            query: query.into(),
            headers: Vec::new(),
        };
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            if request.headers.len() >= HEADERS {
                return Ok(None);
            }
            request
                .headers
                .push((name.to_owned(), value.trim().to_owned()));
        }
        if request.header("Expect").is_some() {
            self.writer.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let body = self.body(&request)?;
        Ok(Some((request, body)))
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        (&mut self.reader).take(64 << 10).read_line(&mut line)?;
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    fn body(&mut self, request: &Seen) -> io::Result<Vec<u8>> {
        let chunked = request
            .header("Transfer-Encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
        let mut body = Vec::new();
        if !chunked {
            let length: u64 = request
                .header("Content-Length")
                .and_then(|length| length.parse().ok())
                .unwrap_or(0);
            self.take(length, &mut body)?;
            return Ok(body);
        }
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or_default();
            let size = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
            self.take(size, &mut body)?;
            self.line()?;
            if size == 0 {
                return Ok(body);
            }
        }
    }

    fn take(&mut self, length: u64, body: &mut Vec<u8>) -> io::Result<()> {
        if body.len() as u64 + length > BODY_BYTES {
            return Err(io::Error::other("the body is too large"));
        }
        let count = (&mut self.reader).take(length).read_to_end(body)?;
        if count as u64 == length {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Sends an answer; says whether the connection stays open.
    pub(super) fn write(&mut self, request: &Seen, answer: &Answer) -> io::Result<bool> {
        std::thread::sleep(answer.delay);
        let mut head = format!("HTTP/1.1 {} x\r\n", answer.status);
        for (name, value) in &answer.headers {
            head += &format!("{name}: {value}\r\n");
        }
        let own_length = answer
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("Content-Length"));
        if !own_length && answer.status != 204 {
            head += &format!("Content-Length: {}\r\n", answer.body.len());
        }
        head += "\r\n";
        self.writer.write_all(head.as_bytes())?;
        if request.method == "HEAD" {
            return Ok(true);
        }
        let end = answer
            .cut
            .unwrap_or(answer.body.len())
            .min(answer.body.len());
        self.writer.write_all(&answer.body[..end])?;
        if answer.cut.is_some() {
            self.writer.shutdown(Shutdown::Both)?;
            return Ok(false);
        }
        Ok(!request
            .header("Connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close")))
    }
}
