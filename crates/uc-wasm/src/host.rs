//! What a running program holds on the host's side.

use wasmtime_wasi::{WasiCtxView, WasiView, p1::WasiP1Ctx};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView, default_hooks};

use crate::meter::Meter;

/// The data of one program's store.
pub(crate) struct Host {
    /// Arguments, environment, streams, directories, clocks, randomness, sockets.
    pub(crate) wasi: WasiP1Ctx,
    /// Outgoing HTTP; reachable only where the interface is linked.
    pub(crate) http: WasiHttpCtx,
    /// Its memory.
    pub(crate) meter: Meter,
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.ctx()
    }
}

impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: default_hooks(),
            table: self.wasi.ctx().table,
            ctx: &mut self.http,
        }
    }
}
