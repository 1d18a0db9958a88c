//! A component that handles HTTP requests, behind a port: a fresh instance for each request, several at once on one thread.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    os::fd::OwnedFd,
    pin::pin,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    task::Poll,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, StatusCode, body::Incoming, header::CONTENT_TYPE, server::conn::http1,
    service::service_fn,
};
use tokio::{
    io::Interest,
    net::{TcpListener, TcpStream},
    sync::{Semaphore, oneshot, watch},
};
use uc_model::Result;
use uc_sandbox::ExitReason;
use wasmtime::{Engine, Store, UpdateDeadline};
use wasmtime_wasi_http::{
    WasiBody, WasiHttpView as _,
    io::TokioIo,
    p2::bindings::{
        ProxyPre,
        http::types::{ErrorCode, Scheme},
    },
};

use crate::{
    answer::Fate,
    ending,
    host::Host,
    meter::{Meter, Usage},
    patience::{Patience, Timer},
    run::{Setting, new_store},
    stdio::{Sink, Stream, Streams, takes_now, wait},
    throttle::{Throttle, thread_cpu},
    ticker::Ticker,
};

/// The most connections at once. Others wait in the kernel's queue.
const CONNECTIONS_MAX: u32 = 64;

/// The most instances at once: one may outlive its connection.
const INSTANCES_MAX: usize = 64;

/// The most bytes of a request's head; what hyper also reads ahead of a body.
const HEAD_BYTES_MAX: usize = 64 << 10;

/// How long a request's head may take, and a connection be without one.
const HEAD_PATIENCE: Duration = Duration::from_secs(15);

/// How long an instance may take, to the last byte of its answer.
const INSTANCE_PATIENCE: Duration = Duration::from_secs(60);

/// How long a client may take nothing of what it is sent, in milliseconds.
const CLIENT_PATIENCE_MS: u32 = 60_000;

/// How long to wait where the kernel has no descriptor for a connection.
const RETRY: Duration = Duration::from_millis(50);

/// The most bytes of a request's target that are told.
const TARGET_BYTES_MAX: usize = 200;

/// What ends a server.
pub trait Until: Send + Sync {
    /// The descriptors that become readable with it.
    fn descriptors(&self) -> &[Arc<OwnedFd>];

    /// Whether it has come. Asked when a descriptor is readable; it must not block, and takes what is there.
    fn has_come(&self) -> bool;
}

/// What all instances have in common.
pub(crate) struct Server<O, E> {
    pub(crate) linked: ProxyPre<Host>,
    pub(crate) engine: Engine,
    pub(crate) ticker: Ticker,
    pub(crate) setting: Setting,
    /// The most bytes of the memories of all instances together.
    pub(crate) memory_limit_bytes: Option<u64>,
    /// Whether an instance may send HTTP requests itself.
    pub(crate) may_send: bool,
    pub(crate) stdout: O,
    pub(crate) stderr: E,
    /// What all instances use together.
    pub(crate) usage: Arc<Usage>,
    /// The CPU limit of the thread that it runs on, if it has one.
    pub(crate) throttle: Option<Arc<Mutex<Throttle>>>,
    pub(crate) instances: Semaphore,
}

/// As many as there may be.
pub(crate) fn instances() -> Semaphore {
    Semaphore::new(INSTANCES_MAX)
}

/// Listens at an address. Connections wait in the kernel's queue until somebody serves.
pub(crate) fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl<O: Sink + Clone, E: Sink + Clone> Server<O, E> {
    /// Answers until it is to end; then those in progress have until nobody has patience any more. Says whether they were
    /// done by then; what is left ends with the runtime.
    ///
    /// # Errors
    /// The kernel cannot watch one descriptor more.
    pub(crate) async fn serve(
        self: Arc<Self>,
        listener: std::net::TcpListener,
        until: impl Future<Output = ()>,
        patience: impl Future<Output = ()>,
    ) -> std::io::Result<bool> {
        let listener = TcpListener::from_std(listener)?;
        let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
        let (stop, stopping) = watch::channel(false);
        let accepting = async {
            loop {
                let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
                    return;
                };
                match listener.accept().await {
                    Ok((stream, _)) => {
                        let connection = Arc::clone(&self).connection(stream, stopping.clone());
                        tokio::spawn(async move {
                            connection.await;
                            drop(permit);
                        });
                    }
                    Err(_) => tokio::time::sleep(RETRY).await,
                }
            }
        };
        tokio::select! {
            biased;
            () = until => {}
            () = accepting => {}
        }
        drop(listener);
        let _ = stop.send(true);
        Ok(tokio::select! {
            biased;
            _ = connections.acquire_many(CONNECTIONS_MAX) => true,
            () = patience => false,
        })
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, mut stopping: watch::Receiver<bool>) {
        // Both make it better where they work.
        let _ = stream.set_nodelay(true);
        let _ = rustix::net::sockopt::set_tcp_user_timeout(&stream, CLIENT_PATIENCE_MS);
        let service = service_fn(move |request| {
            let server = Arc::clone(&self);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(Timer)
            .header_read_timeout(HEAD_PATIENCE)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        tokio::select! {
            biased;
            // How a client left is its own matter.
            _ = connection.as_mut() => return,
            _ = stopping.wait_for(|stopping| *stopping) => {}
        }
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }

    /// The answer of an instance, which may go on writing its body.
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<WasiBody> {
        let title = title(&request);
        if request.uri().authority().is_none()
            && request
                .headers()
                .get(hyper::header::HOST)
                .is_none_or(|host| host.to_str().is_err())
        {
            return plain(StatusCode::BAD_REQUEST, "the request names no host\n");
        }
        let (sender, answered) = oneshot::channel();
        let fate = Fate::default();
        let instance = Arc::clone(&self).instance(request, sender, fate.clone(), title.clone());
        let mut instance = Instance(Some(tokio::spawn(instance)));
        match answered.await {
            Ok(answer) => {
                // It has until its time is over for the body.
                drop(instance.0.take());
                answer.map_or_else(
                    |code| {
                        self.tell(
                            &title,
                            &format!("the handler answered with an error: {code:?}"),
                        );
                        plain(StatusCode::INTERNAL_SERVER_ERROR, "the handler failed\n")
                    },
                    |answer| fate.watch(answer),
                )
            }
            Err(_) => {
                let ended = match instance.0.as_mut() {
                    Some(task) => task.await.unwrap_or(Ended::Failed),
                    None => Ended::Failed,
                };
                match ended {
                    Ended::Late => {
                        plain(StatusCode::GATEWAY_TIMEOUT, "the handler took too long\n")
                    }
                    Ended::Failed => {
                        plain(StatusCode::INTERNAL_SERVER_ERROR, "the handler failed\n")
                    }
                    Ended::Returned => {
                        self.tell(&title, "the handler returned without an answer");
                        plain(StatusCode::INTERNAL_SERVER_ERROR, "the handler failed\n")
                    }
                }
            }
        }
    }

    /// The life of an instance.
    async fn instance(
        self: Arc<Self>,
        request: Request<Incoming>,
        sender: oneshot::Sender<Answer>,
        fate: Fate,
        title: String,
    ) -> Ended {
        let handled = tokio::select! {
            biased;
            handled = self.handle(request, sender, &fate) => Some(handled),
            () = Patience::new(INSTANCE_PATIENCE) => None,
        };
        match handled {
            Some(Ok(())) => Ended::Returned,
            Some(Err(message)) => {
                self.tell(&title, &message);
                Ended::Failed
            }
            None => {
                let message = format!("ended after {} s", INSTANCE_PATIENCE.as_secs());
                self.tell(&title, &message);
                Ended::Late
            }
        }
    }

    async fn handle(
        &self,
        request: Request<Incoming>,
        sender: oneshot::Sender<Answer>,
        fate: &Fate,
    ) -> Result<(), String> {
        let _permit = self.instances.acquire().await;
        while let Some(pause) = pause(self.throttle.as_deref()) {
            tokio::time::sleep(pause).await;
        }
        let usage = Arc::new(Usage::default());
        let host = self.host(&usage).map_err(|problem| problem.to_string())?;
        let mut store = new_store(&self.engine, host);
        // It goes before the store does, however this ends.
        let promise = fate.promise();
        self.take_turns(&mut store);
        let _ticking = self.ticker.hold();
        let handled = async {
            let proxy = self.linked.instantiate_async(&mut store).await?;
            let mut http = store.data_mut().http();
            let request = http.new_incoming_request(Scheme::Http, request)?;
            let answer = http.new_response_outparam(sender)?;
            let handler = proxy.wasi_http_incoming_handler();
            handler.call_handle(&mut store, request, answer).await
        };
        let handled = handled.await.map(|()| 0);
        let exit = ending::of(handled, usage.denied.load(Ordering::Relaxed));
        if exit.code == 0 {
            promise.kept();
        } else {
            drop(promise);
        }
        drop(store);
        match exit {
            exit if exit.code == 0 => Ok(()),
            exit => Err(match exit.reason {
                ExitReason::Trapped { message } => message,
                ExitReason::OutOfMemory => "out of memory".to_owned(),
                _ => format!("it exited with code {}", exit.code),
            }),
        }
    }

    fn host(&self, usage: &Arc<Usage>) -> Result<Host> {
        let wasi = self.setting.context(Streams::<Stream, O, E> {
            stdin: None,
            stdout: self.stdout.clone(),
            stderr: self.stderr.clone(),
        })?;
        let meter = Meter::together(
            Arc::clone(usage),
            self.memory_limit_bytes,
            Arc::clone(&self.usage),
        );
        let host = Host::new(wasi, meter);
        Ok(match self.may_send {
            true => host,
            false => host.without_requests(),
        })
    }

    /// Has an instance look up whenever the epoch advances: others have their turn then, and that it is over is seen.
    fn take_turns(&self, store: &mut Store<Host>) {
        store.set_epoch_deadline(1);
        let throttle = self.throttle.clone();
        store.epoch_deadline_callback(move |_| {
            Ok(match pause(throttle.as_deref()) {
                Some(pause) => UpdateDeadline::YieldCustom(1, Box::pin(tokio::time::sleep(pause))),
                None => UpdateDeadline::Yield(1),
            })
        });
    }

    /// Says on standard error what became of a request.
    fn tell(&self, title: &str, what: &str) {
        // Where nobody reads it, the client still has its answer, and others theirs.
        if takes_now(&self.stderr) {
            let _ = self
                .stderr
                .write(format!("uc: {title}: {what}\n").as_bytes());
        }
    }
}

fn pause(throttle: Option<&Mutex<Throttle>>) -> Option<Duration> {
    let mut throttle = throttle?.lock().unwrap_or_else(PoisonError::into_inner);
    throttle.pause(Instant::now(), thread_cpu())
}

/// What a handler sets.
type Answer = Result<Response<WasiBody>, ErrorCode>;

/// How an instance ended.
enum Ended {
    Returned,
    Failed,
    Late,
}

/// An instance that ends with the client that waits for its answer.
struct Instance(Option<tokio::task::JoinHandle<Ended>>);

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// Method and target, cut short. Both consist of visible ASCII characters.
fn title(request: &Request<Incoming>) -> String {
    let target: String = request.uri().to_string();
    let shown: String = target.chars().take(TARGET_BYTES_MAX).collect();
    format!("{} {shown}", request.method())
}

fn plain(status: StatusCode, text: &'static str) -> Response<WasiBody> {
    let body = Full::new(Bytes::from_static(text.as_bytes()));
    let mut response = Response::new(body.map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    let text_plain = hyper::header::HeaderValue::from_static("text/plain");
    response.headers_mut().insert(CONTENT_TYPE, text_plain);
    response
}

/// Waits until it has come.
pub(crate) async fn come(until: &dyn Until) {
    let mut waits: Vec<_> = until
        .descriptors()
        .iter()
        .map(|fd| Box::pin(wait(fd, Interest::READABLE, || until.has_come())))
        .collect();
    poll_fn(|context| {
        let come = waits
            .iter_mut()
            .any(|wait| wait.as_mut().poll(context).is_ready());
        if come { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
