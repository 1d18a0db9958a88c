//! What a running program holds on the host's side.

use wasmtime_wasi::{WasiCtxView, WasiView, p1::WasiP1Ctx};
#[cfg(feature = "compiler")]
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView, default_hooks};

use crate::meter::Meter;

/// The data of one program's store.
pub(crate) struct Host {
    /// Arguments, environment, streams, directories, clocks, randomness, sockets.
    pub(crate) wasi: WasiP1Ctx,
    /// Outgoing HTTP; reachable only where the interface is linked.
    #[cfg(feature = "compiler")]
    http: WasiHttpCtx,
    /// Its memory.
    pub(crate) meter: Meter,
}

impl Host {
    pub(crate) fn new(wasi: WasiP1Ctx, meter: Meter) -> Self {
        Self {
            wasi,
            #[cfg(feature = "compiler")]
            http: WasiHttpCtx::new(),
            meter,
        }
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.wasi.ctx()
    }
}

#[cfg(feature = "compiler")]
impl WasiHttpView for Host {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: default_hooks(),
            table: self.wasi.ctx().table,
            ctx: &mut self.http,
        }
    }
}
