//! A component that handles HTTP requests, as a container of the driver: served on the container's thread, at an address of the
//! host.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex, atomic::Ordering},
    time::Instant,
};

use tokio::{sync::watch, time::sleep_until};
use uc_model::{MilliCpu, Problem, Result};
use uc_sandbox::{Exit, HandlerPort};

use crate::{
    container::Control,
    ending,
    run::Runtime,
    serve::{self, Server},
    stdio::Stream,
    throttle::{Throttle, thread_cpu},
};

/// A handler that only has to be let go.
pub(crate) struct Handler {
    server: Server<Stream, Stream>,
    /// Its port, and what takes connections to it.
    listening: Option<(u16, TcpListener)>,
}

impl Handler {
    /// Listens where its requests come, if they can. Nobody is answered yet.
    ///
    /// # Errors
    /// Host, where it cannot listen there.
    pub(crate) fn new(server: Server<Stream, Stream>, port: Option<HandlerPort>) -> Result<Self> {
        let listening = port
            .and_then(|port| Some((port.container_port, port.host?)))
            .map(|(port, address)| {
                let listener =
                    serve::listen(address).map_err(|error| cannot_listen(address, error))?;
                Ok((port, listener))
            })
            .transpose()?;
        Ok(Self { server, listening })
    }

    /// The port at which it answers, and where connections to it come.
    pub(crate) fn served(&self) -> Option<(u16, SocketAddr)> {
        let (port, listener) = self.listening.as_ref()?;
        Some((*port, listener.local_addr().ok()?))
    }

    /// Whether it can be started.
    ///
    /// # Errors
    /// Refused, where no request can come.
    pub(crate) fn check(&self) -> Result<()> {
        match self.listening {
            Some(_) => Ok(()),
            None => Err(Problem::refused(
                "the component handles HTTP requests, and no port of the host leads to it",
            )
            .remedy("name one: ports: [{containerPort: 8080, hostPort: 8080}]")),
        }
    }

    /// Answers until it is asked to end, or stopped. Its streams and files are closed when this returns.
    pub(crate) fn run(
        self,
        runtime: Runtime,
        cpu_limit: Option<MilliCpu>,
        control: &Control,
    ) -> Exit {
        let Self {
            mut server,
            listening,
        } = self;
        let Some((_, listener)) = listening else {
            return ending::broken();
        };
        server.throttle = cpu_limit
            .and_then(|share| Throttle::new(share, Instant::now(), thread_cpu()))
            .map(|throttle| Arc::new(Mutex::new(throttle)));
        let server = Arc::new(server);
        let served = runtime.block_on(async {
            let serving = server.serve(
                listener,
                asked(control.deadline.subscribe()),
                over(control.deadline.subscribe()),
            );
            tokio::select! {
                biased;
                () = control.stopping.notified() => Ok(false),
                never = control.gate.hold_thread() => match never {},
                served = serving => served,
            }
        });
        // Whatever is left ends here.
        drop(runtime);
        match served {
            Some(Ok(true)) => Exit::with_code(0),
            Some(Ok(false)) => ending::stopped(),
            Some(Err(error)) => ending::deaf(&error),
            None if control.stop.load(Ordering::SeqCst) => ending::stopped(),
            None => ending::broken(),
        }
    }
}

/// Waits until it is asked to end.
async fn asked(mut deadline: watch::Receiver<Option<Instant>>) {
    // The sender lives as long as the container.
    let _ = deadline.wait_for(Option::is_some).await;
}

/// Waits for the deadline, which may be brought forward meanwhile.
async fn over(mut deadline: watch::Receiver<Option<Instant>>) {
    loop {
        let latest = *deadline.borrow_and_update();
        let changed = deadline.changed();
        match latest {
            Some(latest) => tokio::select! {
                biased;
                () = sleep_until(latest.into()) => return,
                _ = changed => {}
            },
            None => drop(changed.await),
        }
    }
}

fn cannot_listen(address: SocketAddr, error: std::io::Error) -> Problem {
    use std::io::ErrorKind;
    let remedy = match error.kind() {
        ErrorKind::AddrInUse => "choose another port, or end the program that listens on this one",
        ErrorKind::PermissionDenied => {
            "choose a port of 1024 or above, or lower sysctl net.ipv4.ip_unprivileged_port_start"
        }
        ErrorKind::AddrNotAvailable => {
            "leave hostIP out for 127.0.0.1, or set it to 0.0.0.0 for all addresses"
        }
        _ => "choose another port",
    };
    Problem::host("the HTTP handler cannot listen on its port")
        .at(address)
        .found(error.to_string())
        .remedy(remedy)
        .caused_by(error)
}
