//! What becomes of the HTTP requests that a program makes.

use hyper::{Request, Response};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

/// The most bytes of a body that a handler hands over at once, and that wait for their reader.
const BODY_CHUNK_BYTES: usize = 64 << 10;

/// What becomes of them.
#[derive(Default)]
pub(crate) enum Outgoing {
    /// They are sent: whoever links the interface has granted it.
    #[cfg(feature = "compiler")]
    #[default]
    Sent,
    /// Each is answered by an error.
    #[cfg_attr(not(feature = "compiler"), default)]
    Denied,
}

/// Denies requests.
struct Denial;

impl Outgoing {
    pub(crate) fn hooks(&self) -> &'static mut dyn WasiHttpHooks {
        match self {
            #[cfg(feature = "compiler")]
            Self::Sent => wasmtime_wasi_http::default_hooks(),
            // It has no size, so that this allocates nothing.
            Self::Denied => Box::leak(Box::new(Denial)),
        }
    }
}

type Sent = (
    Response<WasiBody>,
    Box<dyn Future<Output = Result<(), Error>> + Send>,
);

impl WasiHttpHooks for Denial {
    fn send_request(
        &mut self,
        _request: Request<WasiBody>,
        _options: Option<RequestOptions>,
        _ended: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Sent, Error>> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        BODY_CHUNK_BYTES
    }
}
