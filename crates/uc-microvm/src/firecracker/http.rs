//! The little of HTTP/1.1 that Firecracker's API speaks: a request with a JSON body, an answer of a known length.
//!
//! Pure: bytes to bytes. An answer is foreign data, since a guest may have broken out into whoever writes it.

use uc_model::{Problem, Result};

/// Largest body of a request, in bytes: what Firecracker takes unless told otherwise.
pub const MAX_REQUEST_BODY: usize = 51_200;

/// Largest head of an answer, in bytes.
pub const MAX_RESPONSE_HEAD: usize = 8 << 10;

/// Largest body of an answer, in bytes. The longest is the whole configuration.
pub const MAX_RESPONSE_BODY: usize = 256 << 10;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Asks.
    Get,
    /// Makes or replaces.
    Put,
    /// Changes.
    Patch,
}

impl Method {
    /// Its name in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
        }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The three digits.
    pub status: u16,
    /// What follows the head.
    pub body: Vec<u8>,
}

impl Response {
    /// Whether it says that the request was fulfilled.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }
}

/// The bytes of a request.
///
/// # Errors
/// Invalid, where the body is larger than Firecracker reads.
pub fn request(method: Method, path: &str, body: Option<&[u8]>) -> Result<Vec<u8>> {
    let length = body.map_or(0, <[u8]>::len);
    if length > MAX_REQUEST_BODY {
        return Err(Problem::invalid("a request to Firecracker is too large")
            .at(path)
            .limit(format!("{MAX_REQUEST_BODY} bytes"))
            .found(format!("{length} bytes")));
    }
    let mut head = format!(
        "{} {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n",
        method.name()
    );
    if body.is_some() {
        head.push_str(&format!(
            "Content-Type: application/json\r\nContent-Length: {length}\r\n"
        ));
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body.unwrap_or_default());
    Ok(bytes)
}

/// The answer that these bytes begin with; `None` where more of them are needed.
///
/// # Errors
/// Unavailable, where they are no answer, or one beyond the bounds.
pub fn response(bytes: &[u8]) -> Result<Option<Response>> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end.filter(|end| *end <= MAX_RESPONSE_HEAD) else {
        return if bytes.len() <= MAX_RESPONSE_HEAD {
            Ok(None)
        } else {
            Err(malformed("a head that does not end")
                .limit(format!("{MAX_RESPONSE_HEAD} bytes of it")))
        };
    };
    let head =
        std::str::from_utf8(&bytes[..end]).map_err(|_| malformed("a head that is no text"))?;
    let mut lines = head.split("\r\n");
    let status = status(lines.next().unwrap_or_default())?;
    let length = body_length(lines)?;
    let body = &bytes[end + 4..];
    if status == 204 || body.len() >= length {
        let taken = if status == 204 { 0 } else { length };
        return Ok(Some(Response {
            status,
            body: body[..taken].to_vec(),
        }));
    }
    Ok(None)
}

fn status(line: &str) -> Result<u16> {
    let digits = line
        .strip_prefix("HTTP/1.1 ")
        .or_else(|| line.strip_prefix("HTTP/1.0 "))
        .and_then(|rest| rest.split(' ').next())
        .filter(|digits| digits.len() == 3 && digits.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|digits| digits.parse().ok());
    match digits {
        Some(status @ 200..600) => Ok(status),
        _ => Err(malformed(format!("{:?}", shortened(line)))),
    }
}

fn body_length<'a>(fields: impl Iterator<Item = &'a str>) -> Result<usize> {
    let mut length = None;
    for field in fields {
        let (name, value) = field
            .split_once(':')
            .ok_or_else(|| malformed(format!("{:?}", shortened(field))))?;
        if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(malformed("a body in chunks"));
        }
        if !name.eq_ignore_ascii_case("content-length") {
            continue;
        }
        let value = value.trim_matches([' ', '\t']);
        let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        let stated = value.parse().ok().filter(|_| digits);
        let stated: usize = stated.ok_or_else(|| malformed(format!("{:?}", shortened(field))))?;
        if stated > MAX_RESPONSE_BODY || length.is_some_and(|earlier| earlier != stated) {
            return Err(malformed(format!("a body of {stated} bytes"))
                .limit(format!("one length, at most {MAX_RESPONSE_BODY} bytes")));
        }
        length = Some(stated);
    }
    Ok(length.unwrap_or(0))
}

/// The beginning of a foreign line, for a message.
fn shortened(line: &str) -> &str {
    let end = line.char_indices().nth(60).map_or(line.len(), |(at, _)| at);
    &line[..end]
}

fn malformed(found: impl std::fmt::Display) -> Problem {
    Problem::unavailable("Firecracker's answer is not the HTTP that its API speaks").found(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 400 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n{\"fault_message\":\"a\"}";

    #[test]
    fn a_request_has_what_the_api_reads() {
        let bytes = request(Method::Put, "/actions", Some(b"{}")).expect("small");
        assert_eq!(
            bytes,
            b"PUT /actions HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        );
        let problem = request(Method::Put, "/x", Some(&[b' '; MAX_REQUEST_BODY + 1]));
        assert!(
            problem
                .expect_err("too large")
                .to_string()
                .contains("51201")
        );
    }

    #[test]
    fn every_beginning_of_an_answer_asks_for_more() {
        for end in 0..ANSWER.len() {
            assert_eq!(
                response(&ANSWER[..end]).expect("good so far"),
                None,
                "{end}"
            );
        }
        let answer = response(ANSWER).expect("good").expect("whole");
        assert_eq!(answer.status, 400);
        assert_eq!(answer.body, b"{\"fault_message\":\"a\"}");
        assert!(!answer.is_success());
    }

    #[test]
    fn an_answer_without_content_ends_with_its_head() {
        let bytes = b"HTTP/1.1 204 \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n\r\n";
        let answer = response(bytes).expect("good").expect("whole");
        assert!(answer.is_success() && answer.body.is_empty());
    }

    #[test]
    fn hostile_answers_are_refused() {
        let cases: [&[u8]; 10] = [
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.1 99 \r\n\r\n",
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 +20 \r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 262145\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\xff\xfe: 1\r\n\r\n",
        ];
        for case in cases {
            let answer = response(case);
            assert!(answer.is_err(), "{:?}", String::from_utf8_lossy(case));
        }
        response(&vec![b'a'; MAX_RESPONSE_HEAD + 1]).expect_err("a head without an end");
    }

    #[test]
    fn no_change_of_one_byte_makes_it_panic() {
        for at in 0..ANSWER.len() {
            for byte in [0, b'\r', b'\n', b':', b' ', b'9', 0x80, 0xff] {
                let mut bytes = ANSWER.to_vec();
                bytes[at] = byte;
                let _ = response(&bytes);
            }
        }
    }
}
