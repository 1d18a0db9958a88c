//! The same machine without any of ours around it: what a benchmark compares with.

use std::{
    os::{
        fd::{AsFd, AsRawFd, RawFd},
        unix::process::CommandExt as _,
    },
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use uc_model::{Problem, Result};

use super::{
    Qemu,
    command::{self, Start},
};
use crate::{
    jail::FIRST_DESCRIPTOR,
    machine::{Shape, line, open},
};

/// How long it may take to its agent.
const PATIENCE: Duration = Duration::from_secs(60);

/// Numbers from here on are used for a moment only.
const TEMPORARY: RawFd = 512;

impl Qemu {
    /// Boots a machine as a plain child, with the same options; the time from its start to the first byte of its agent.
    pub(crate) async fn bare_boot(&self, shape: &Shape) -> Result<Duration> {
        let (kernel, initramfs) = (open(&shape.kernel.image)?, open(&shape.initramfs)?);
        let start = Start::Boot {
            kernel: kernel.as_fd(),
            initramfs: initramfs.as_fd(),
            memory: None,
        };
        let (_qmp, qmp_far) = line()?;
        let (agent, agent_far) = line()?;
        let (_console, console_far) = line()?;
        let lines = [qmp_far.as_fd(), agent_far.as_fd(), console_far.as_fd()];
        let (argv, descriptors) = command::command(self, shape, &start, lines, &[]);
        let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
        let mut command = Command::new(&self.program);
        command
            .args(argv.iter().skip(1))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // SAFETY: between fork and exec the closure makes system calls alone.
        unsafe { command.pre_exec(move || place(&numbers)) };
        let begin = Instant::now();
        let mut child = command.spawn().map_err(|error| {
            Problem::host("QEMU cannot be started")
                .at(self.program.display())
                .caused_by(error)
        })?;
        drop((qmp_far, agent_far, console_far));
        let mut byte = [0; 1];
        let read = tokio::time::timeout(PATIENCE, agent.read(&mut byte)).await;
        let took = begin.elapsed();
        let _ = child.kill();
        let _ = child.wait();
        match read {
            Ok(Ok(1)) => Ok(took),
            _ => Err(Problem::host("a bare QEMU does not reach its agent")),
        }
    }
}

fn place(numbers: &[RawFd]) -> std::io::Result<()> {
    let failed = |result: libc::c_int| match result {
        -1 => Err(std::io::Error::last_os_error()),
        _ => Ok(result),
    };
    let ends = numbers.len() as RawFd;
    for (index, number) in (0..ends).zip(numbers) {
        // SAFETY: dup3 takes integers; the table is the child's own.
        failed(unsafe { libc::dup3(*number, TEMPORARY + index, libc::O_CLOEXEC) })?;
    }
    for index in 0..ends {
        // SAFETY: as above.
        failed(unsafe { libc::dup2(TEMPORARY + index, FIRST_DESCRIPTOR + index) })?;
    }
    Ok(())
}
