//! A thread that carries what goes between a machine and us.
//!
//! Its tasks hold the caller's descriptors. When it is dropped they are closed by the time that returns, whatever the
//! caller's own event loop is doing.

use std::thread::JoinHandle;

use tokio::{runtime, sync::oneshot};
use uc_model::{Problem, Result};

/// A running event loop.
pub(crate) struct Reactor {
    handle: runtime::Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reactor {
    pub(crate) fn new() -> Result<Self> {
        let failed = |error: std::io::Error| {
            Problem::host("cannot make a thread for a microVM")
                .remedy("raise the limits on threads and open files (ulimit -u, ulimit -n)")
                .caused_by(error)
        };
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(failed)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new()
            .name("microvm".into())
            .spawn(move || {
                // A sender that was dropped stops it as well.
                let _ = runtime.block_on(stopped);
            })
            .map_err(failed)?;
        Ok(Self {
            handle,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Runs what opens descriptors on the caller's thread, and has them watched by this event loop, so that they go with it.
    pub(crate) async fn run<T>(&self, future: impl Future<Output = T>) -> T {
        let mut future = std::pin::pin!(future);
        std::future::poll_fn(|context| {
            let _inside = self.handle.enter();
            future.as_mut().poll(context)
        })
        .await
    }

    /// Where tasks are spawned.
    pub(crate) fn handle(&self) -> &runtime::Handle {
        &self.handle
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        drop(self.stop.take());
        let thread = self.thread.take();
        // The last to hold a machine may be a task of its own.
        if let Some(thread) =
            thread.filter(|thread| thread.thread().id() != std::thread::current().id())
        {
            let _ = thread.join();
        }
    }
}
