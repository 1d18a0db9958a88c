//! One question to Prometheus' API and its reply.

use uc_model::Result;

use super::Options;
use crate::http::{self, Client, Peer, Reply};

const PROMETHEUS: Peer = Peer {
    name: "Prometheus",
    example: "https://prometheus.example:9090",
    lighten: "narrow the selector, shorten the range or lengthen the step",
    is_secret: false,
};

#[derive(Debug)]
pub(super) struct Transport {
    client: Client,
}

impl Transport {
    pub(super) fn new(url: &str, options: Options) -> Result<Self> {
        let options = http::Options {
            timeout: options.timeout,
            bearer_token_file: options.bearer_token_file,
            ca_file: options.ca_file,
            max_body_bytes: options.max_body_bytes,
        };
        let client = Client::new(PROMETHEUS, url.trim_end_matches('/'), options)?;
        Ok(Self { client })
    }

    /// Asks one endpoint of the API. A POST, since queries may be longer than addresses.
    pub(super) fn post(&self, endpoint: &str, parameters: &[(&str, String)]) -> Result<Reply> {
        let mut form = String::new();
        for (name, value) in parameters {
            push_parameter(&mut form, name, value);
        }
        let timeout_ms = self.client.timeout().as_millis().max(1);
        // So that the server does not go on for nobody.
        push_parameter(&mut form, "timeout", &format!("{timeout_ms}ms"));
        let form_type = "application/x-www-form-urlencoded";
        self.client
            .post(&format!("/api/v1/{endpoint}"), form_type, form.as_bytes())
    }
}

/// application/x-www-form-urlencoded.
fn push_parameter(form: &mut String, name: &str, value: &str) {
    if !form.is_empty() {
        form.push('&');
    }
    form.push_str(name);
    form.push('=');
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                form.push(char::from(byte));
            }
            _ => form.push_str(&format!("%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_have_a_path_before_the_api() {
        let transport =
            Transport::new("http://host:9090/prefix/", Options::default()).expect("an address");
        assert_eq!(transport.client.shown(), "http://host:9090/prefix");
    }

    #[test]
    fn forms_are_escaped() {
        let mut form = String::new();
        push_parameter(&mut form, "query", "a{b=\"é +\"}");
        push_parameter(&mut form, "time", "1.5");
        assert_eq!(form, "query=a%7Bb%3D%22%C3%A9%20%2B%22%7D&time=1.5");
    }
}
