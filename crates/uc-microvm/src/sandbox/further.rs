//! Further programs in a running container.

use std::sync::atomic::Ordering;

use tokio::task::JoinHandle;
use uc_guest_protocol::{Answer, Call, Descriptor, Exec, Streams};
use uc_model::{Problem, Result};
use uc_sandbox::{ExecRequest, Exit, Stdio};

use super::MicrovmSandbox;
use crate::launch::Running;

impl MicrovmSandbox {
    pub(super) async fn exec_in_container(&self, request: ExecRequest) -> Result<Exit> {
        let container = self.find(&request.container)?;
        let running = self.running().await?;
        if container.function {
            return Err(
                Problem::refused("a function's container has no other programs to run")
                    .found(&request.container),
            );
        }
        if !container.started.load(Ordering::Acquire) || container.exit.borrow().is_some() {
            return Err(Problem::invalid("the container is not running").found(&request.container));
        }
        let mut carried = Carried::default();
        let streams = match request.stdio {
            None => None,
            Some(stdio) => Some(carry(&running, stdio, &mut carried).await?),
        };
        let call = Call::Exec(Exec {
            container: request.container,
            command: request.command,
            timeout_ms: u64::try_from(request.timeout.as_millis()).unwrap_or(u64::MAX),
            streams,
        });
        let answer = running.guest.ask_within(call, request.timeout).await;
        match answer {
            Ok(Answer::Ended(exit)) => {
                // An honest agent has sent all before it answers.
                for stream in streams
                    .iter()
                    .flat_map(|streams| [streams.stdout, streams.stderr])
                {
                    running.guest.link.end_reading(stream);
                }
                for output in &mut carried.outputs {
                    let _ = output.await;
                }
                Ok(exit)
            }
            Ok(_) => Err(Problem::host("the microVM's agent answers in another way")),
            Err(problem) => Err(self.explained(&running, problem).await),
        }
    }
}

/// Tasks that carry the streams of a further program. They end with this value.
#[derive(Default)]
struct Carried {
    input: Option<JoinHandle<()>>,
    outputs: Vec<JoinHandle<()>>,
}

impl Drop for Carried {
    fn drop(&mut self) {
        for task in self.input.iter().chain(&self.outputs) {
            task.abort();
        }
    }
}

/// Opens the streams of a further program, and carries them.
async fn carry(running: &Running, stdio: Stdio, carried: &mut Carried) -> Result<Streams> {
    let handle = running.reactor.handle();
    let mut streams = Streams {
        stdin: None,
        stdout: 0,
        stderr: 0,
    };
    if let Some(source) = stdio.stdin {
        let (number, writer) = running.guest.writer()?;
        streams.stdin = Some(number);
        let open = Call::OpenInput { stream: number };
        running.guest.ask(open).await?;
        carried.input = Some(handle.spawn(async move {
            if writer.copy_from(&Descriptor::new(source)).await.is_ok() {
                let _ = writer.finish().await;
            }
        }));
    }
    let outputs = [
        (&mut streams.stdout, stdio.stdout),
        (&mut streams.stderr, stdio.stderr),
    ];
    for (slot, sink) in outputs {
        let (number, reader) = running.guest.reader()?;
        *slot = number;
        let carrying = async move { reader.copy_to(&Descriptor::new(sink)).await };
        carried.outputs.push(handle.spawn(carrying));
    }
    Ok(streams)
}
