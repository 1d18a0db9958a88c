//! The body of an answer, which must not look whole where its instance failed.
//!
//! A body whose instance is gone just ends, and so would the chunks that a client is sent. Here it ends with an error instead,
//! which cuts the connection before the last chunk. An end that has been sent is not taken back: an instance that ends its body
//! and fails later costs its client nothing.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{
    Response,
    body::{Body, Frame, SizeHint},
};
use wasmtime_wasi_http::{Error, WasiBody};

/// How an instance ended, as its answer learns it.
#[derive(Clone, Default)]
pub(crate) struct Fate(Arc<AtomicBool>);

/// Has failed when it is dropped, unless it was kept. To be dropped before what the body comes from.
pub(crate) struct Promise(Option<Fate>);

/// A body, and what becomes of whoever writes it.
struct Watched {
    body: WasiBody,
    fate: Fate,
    /// Whether all that came before the failure has been passed on.
    is_flushed: bool,
}

impl Fate {
    /// A promise that the instance returns.
    pub(crate) fn promise(&self) -> Promise {
        Promise(Some(self.clone()))
    }

    /// The answer, whose body fails with the instance.
    pub(crate) fn watch(self, answer: Response<WasiBody>) -> Response<WasiBody> {
        answer.map(|body| {
            let watched = Watched {
                body,
                fate: self,
                is_flushed: false,
            };
            watched.boxed_unsync()
        })
    }

    fn has_failed(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Promise {
    /// The instance has returned.
    pub(crate) fn kept(mut self) {
        self.0 = None;
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if let Some(Fate(failed)) = &self.0 {
            failed.store(true, Ordering::Release);
        }
    }
}

impl Body for Watched {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if frame.is_some() || !self.fate.has_failed() {
            return Poll::Ready(frame);
        }
        if !self.is_flushed {
            // A server writes what it has when it has to wait. With an error at once it might not even send the head.
            self.is_flushed = true;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Some(Err(Error::ConnectionTerminated)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::expect_used,
        reason = "a failed expectation is how a test speaks"
    )]

    use std::time::Duration;

    use http_body_util::Full;

    use super::*;

    fn answer(fate: Fate) -> WasiBody {
        let body = Full::new(Bytes::from_static(b"some"));
        let body = body.map_err(|never| match never {}).boxed_unsync();
        fate.watch(Response::new(body)).into_body()
    }

    #[tokio::test]
    async fn a_body_is_whole_where_its_instance_returned_or_had_not_yet_failed() {
        let (kept, running) = (Fate::default(), Fate::default());
        kept.promise().kept();
        let _promise = running.promise();
        for fate in [kept, running] {
            let whole = answer(fate).collect().await.expect("whole");
            assert_eq!(&whole.to_bytes()[..], b"some");
        }
    }

    #[tokio::test]
    async fn a_body_fails_after_its_last_frame_where_its_instance_is_given_up() {
        let fate = Fate::default();
        let promise = fate.promise();
        let endless = async move {
            let _promise = promise;
            std::future::pending::<()>().await;
        };
        tokio::time::timeout(Duration::ZERO, endless)
            .await
            .expect_err("it has no end");
        let mut body = answer(fate);
        let first = body.frame().await.expect("a frame").expect("data");
        assert_eq!(&first.into_data().expect("data")[..], b"some");
        assert!(body.frame().await.expect("an end").is_err());
    }
}
