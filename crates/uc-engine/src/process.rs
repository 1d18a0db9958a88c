//! Processes of containers, recognised beyond doubt.

use std::{
    fs,
    time::{Duration, Instant},
};

use uc_model::{Problem, Result};

/// How long a killed process may take to disappear.
const PATIENCE: Duration = Duration::from_secs(5);

/// When a process began, in clock ticks since boot (field 22 of proc_pid_stat(5)); `None` if it is gone.
pub(crate) fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, a name in parentheses, may hold anything; the last parenthesis ends it.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    if fields.next() == Some("Z") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Kills a process that began at a certain moment, and waits until it is gone. A process id that has been given to
/// another process since is left alone.
///
/// # Errors
/// Host, where it does not die.
pub(crate) fn kill_if_same(pid: u32, began_at: u64) -> Result<()> {
    let Some(raw) = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw)
    else {
        return Ok(());
    };
    // The descriptor first: it keeps meaning the process that is checked after it.
    let Ok(pidfd) = rustix::process::pidfd_open(raw, rustix::process::PidfdFlags::empty()) else {
        return Ok(());
    };
    if began(pid) != Some(began_at) {
        return Ok(());
    }
    let _ = rustix::process::pidfd_send_signal(&pidfd, rustix::process::Signal::KILL);
    let deadline = Instant::now() + PATIENCE;
    while began(pid) == Some(began_at) {
        if Instant::now() > deadline {
            return Err(Problem::host("a container's process cannot be killed")
                .found(format!("process {pid}")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_process_that_is_meant_is_killed() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("started");
        let began_at = began(child.id()).expect("runs");
        kill_if_same(child.id(), began_at + 1).expect("nothing to do");
        assert_eq!(began(child.id()), Some(began_at));
        kill_if_same(child.id(), began_at).expect("killed");
        assert!(!child.wait().expect("ended").success());
    }
}
