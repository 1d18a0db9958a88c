//! Machines that were restored before anybody wanted them.
//!
//! Restoring takes tens of milliseconds, most of it the monitor's own start. Whoever calls one function again and again
//! takes machines from here, each for one call, while a thread restores the next.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc},
    thread::JoinHandle,
    time::Duration,
};

use uc_guest_protocol::Call;
use uc_model::{Digest, Problem, Result};

use crate::{bounds::Bounds, clock, host::Host, launch::Running, machine::Shape};

/// Most kinds of machines that are kept ready; those not taken for longest go.
const MAX_KINDS: usize = 4;

/// How long after a machine was taken the next is made: whoever took it has the processors for itself until then.
const REST: Duration = Duration::from_millis(150);

/// How often a machine is spoken to before it is ready: what it executes then has been translated, or is in caches.
const WARM_UP_PINGS: usize = 3;

/// Ready machines.
pub(crate) struct Pool {
    shared: Arc<Shared>,
    wishes: Option<mpsc::Sender<Wish>>,
    /// It lives as long as the machines: a monitor dies with the thread that started it.
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Of each kind.
    size: usize,
    ready: Mutex<Ready>,
}

/// Machines by the key of their snapshot, and the keys in the order of their last use.
#[derive(Default)]
struct Ready {
    machines: BTreeMap<String, VecDeque<Running>>,
    used: VecDeque<String>,
}

/// A kind of machine that is wanted.
struct Wish {
    key: Digest,
    shape: Shape,
    hostname: String,
}

impl Shared {
    fn ready(&self) -> MutexGuard<'_, Ready> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pool {
    /// A pool that keeps `size` machines of each kind. It does not keep the host alive.
    pub(crate) fn new(size: usize, host: Weak<Host>) -> Result<Self> {
        let shared = Arc::new(Shared {
            size,
            ready: Mutex::default(),
        });
        let (wishes, wanted) = mpsc::channel();
        let filler = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("microvm-pool".into())
            .spawn(move || fill(&filler, &host, &wanted))
            .map_err(|error| {
                Problem::host("cannot make a thread for ready microVMs").caused_by(error)
            })?;
        Ok(Self {
            shared,
            wishes: Some(wishes),
            thread: Some(thread),
        })
    }

    /// A ready machine of this kind, if there is one that lives. Another takes its place later.
    pub(crate) fn take(&self, key: &Digest, shape: &Shape, hostname: &str) -> Option<Running> {
        let taken = self.shared.ready().take(key.hex());
        if let Some(wishes) = &self.wishes {
            // The thread is gone only when the pool is.
            let _ = wishes.send(Wish {
                key: key.clone(),
                shape: shape.clone(),
                hostname: hostname.to_owned(),
            });
        }
        taken
    }

    /// How many machines are ready.
    pub(crate) fn count(&self) -> usize {
        self.shared
            .ready()
            .machines
            .values()
            .map(VecDeque::len)
            .sum()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        drop(self.wishes.take());
        let thread = self.thread.take();
        // The last to hold the host may be that thread itself.
        if let Some(thread) =
            thread.filter(|thread| thread.thread().id() != std::thread::current().id())
        {
            let _ = thread.join();
        }
    }
}

impl Ready {
    fn take(&mut self, key: &str) -> Option<Running> {
        self.used.retain(|used| used != key);
        self.used.push_back(key.to_owned());
        let machines = self.machines.get_mut(key)?;
        while let Some(machine) = machines.pop_front() {
            if machine.guest.is_alive() {
                return Some(machine);
            }
        }
        None
    }

    /// Machines of the kinds that have not been used for longest.
    fn superfluous(&mut self) -> Vec<VecDeque<Running>> {
        let mut gone = Vec::new();
        while self.used.len() > MAX_KINDS {
            if let Some(key) = self.used.pop_front() {
                gone.extend(self.machines.remove(&key));
            }
        }
        gone
    }
}

/// Restores machines until nobody can want them any more.
fn fill(shared: &Shared, host: &Weak<Host>, wanted: &mpsc::Receiver<Wish>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else { return };
    while let Ok(mut wish) = wanted.recv() {
        while let Ok(later) = wanted.recv_timeout(REST) {
            wish = later;
        }
        drop(shared.ready().superfluous());
        loop {
            let key = wish.key.hex().to_owned();
            let enough = {
                let ready = shared.ready();
                ready.machines.get(&key).map_or(0, VecDeque::len) >= shared.size
            };
            let Some(host) = host.upgrade().filter(|_| !enough) else {
                break;
            };
            // A machine that cannot be had ready will be started when it is wanted, and then say why.
            let Ok(running) = runtime.block_on(restore(&host, &wish)) else {
                break;
            };
            shared
                .ready()
                .machines
                .entry(key)
                .or_default()
                .push_back(running);
        }
    }
    shared.ready().machines.clear();
}

async fn restore(host: &Host, wish: &Wish) -> Result<Running> {
    let launcher = host.launcher()?;
    let bounds = Bounds::of_ready_machine(host.layout(), &host.machines(), &wish.shape)?;
    let running = launcher
        .restored(&wish.shape, &wish.hostname, &wish.key, bounds)
        .await?;
    for _ in 0..WARM_UP_PINGS {
        let clock_ns = clock::now_ns();
        running.guest.ask(Call::Ping { clock_ns }).await?;
    }
    if let Some(function) = &running.started.function {
        let container = function.container.clone();
        running.guest.ask(Call::Rehearse { container }).await?;
    }
    Ok(running)
}
