//! A request to a registry: what is asked, and what is sent along.

use std::io::Read;

use uc_model::{Bytes, Result};

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    /// Reads.
    Get,
    /// Asks whether something is there.
    Head,
    /// Starts something.
    Post,
    /// Stores something under a name that is known.
    Put,
}

impl Method {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
        }
    }

    /// Whether the registry must allow us to change something.
    pub(super) fn writes(self) -> bool {
        matches!(self, Self::Post | Self::Put)
    }
}

/// Opens a body from its start, once for each attempt.
pub(super) type Open<'b> = &'b (dyn Fn() -> Result<Box<dyn Read + Send + 'b>> + Sync);

/// What is sent along.
#[derive(Clone, Copy)]
pub(super) enum Payload<'b> {
    /// Nothing, as a read has it.
    Nothing,
    /// Bytes in memory; none of them for a request that only starts something.
    Bytes(&'b [u8]),
    /// A stream of a known size.
    Stream { size: u64, open: Open<'b> },
}

/// A request.
#[derive(Clone)]
pub(super) struct Request<'b> {
    pub(super) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) payload: Payload<'b>,
    /// Whether it is tried again after a pause. What must happen soon or not at all is not.
    pub(super) patient: bool,
}

impl<'b> Request<'b> {
    fn new(method: Method, url: &str, payload: Payload<'b>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            payload,
            patient: true,
        }
    }

    /// Reads a URL.
    pub(super) fn get(url: &str) -> Self {
        Self::new(Method::Get, url, Payload::Nothing)
    }

    /// Asks whether a URL is there.
    pub(super) fn head(url: &str) -> Self {
        Self::new(Method::Head, url, Payload::Nothing)
    }

    /// Starts something at a URL.
    pub(super) fn post(url: &str) -> Self {
        Self::new(Method::Post, url, Payload::Bytes(&[]))
    }

    /// Stores something at a URL.
    pub(super) fn put(url: &str, payload: Payload<'b>) -> Self {
        Self::new(Method::Put, url, payload)
    }

    /// Adds a header.
    #[must_use]
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Makes the request once, whatever comes of it.
    #[must_use]
    pub(super) fn once(mut self) -> Self {
        self.patient = false;
        self
    }

    /// The size of what is sent along.
    pub(super) fn payload_size(&self) -> Bytes {
        Bytes(match self.payload {
            Payload::Nothing => 0,
            Payload::Bytes(bytes) => bytes.len() as u64,
            Payload::Stream { size, .. } => size,
        })
    }
}
