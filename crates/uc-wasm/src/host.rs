//! What a running program holds on the host's side.

use wasmtime_wasi::{WasiCtxView, WasiView, p1::WasiP1Ctx};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use crate::{meter::Meter, outgoing::Outgoing};

/// The data of one program's store.
pub(crate) struct Host {
    /// Arguments, environment, streams, directories, clocks, randomness, sockets.
    pub(crate) wasi: WasiP1Ctx,
    /// HTTP; reachable only where its interfaces are linked.
    http: WasiHttpCtx,
    /// What becomes of its requests.
    outgoing: Outgoing,
    /// Its memory.
    pub(crate) meter: Meter,
}

impl Host {
    pub(crate) fn new(wasi: WasiP1Ctx, meter: Meter) -> Self {
        Self {
            wasi,
            http: WasiHttpCtx::new(),
            outgoing: Outgoing::default(),
            meter,
        }
    }

    /// The same without HTTP requests of its own.
    pub(crate) fn without_requests(mut self) -> Self {
        self.outgoing = Outgoing::Denied;
        self
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.ctx()
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: self.outgoing.hooks(),
            table: self.wasi.ctx().table,
            ctx: &mut self.http,
        }
    }
}
