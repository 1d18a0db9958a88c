//! A program that runs while it is recorded, and not longer.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use uc_model::{Problem, Result};

/// A process that is killed when this value goes.
#[derive(Debug)]
pub(super) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts the program of these words.
    ///
    /// # Errors
    /// Host, where it cannot be started.
    pub(super) fn start(name: String, words: &[String], folder: &Path) -> Result<Self> {
        // setpriv gives way to the program, in the same process. It asks the kernel to kill the program when this chore dies by a
        // signal, which no destructor outlives.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(words)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| {
                Problem::host("cannot start a program")
                    .at(&name)
                    .remedy("install util-linux, whose setpriv starts it")
                    .caused_by(error)
            })?;
        Ok(Self { name, child })
    }

    /// Fails where it has ended.
    ///
    /// # Errors
    /// Host, with how it ended.
    pub(super) fn must_run(&mut self) -> Result<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(self.ended(status.to_string())),
            Err(error) => Err(self
                .ended("its state cannot be read".to_owned())
                .caused_by(error)),
        }
    }

    /// Its anonymous resident memory in bytes.
    ///
    /// # Errors
    /// Host, where it has ended.
    pub(super) fn memory_bytes(&mut self) -> Result<u64> {
        self.must_run()?;
        let file = format!("/proc/{}/status", self.child.id());
        fs::read_to_string(&file)
            .ok()
            .and_then(|status| rss_anon_bytes(&status))
            .ok_or_else(|| self.ended(format!("no RssAnon in {file}")))
    }

    fn ended(&self, found: String) -> Problem {
        Problem::host("a program ended before its recording did")
            .at(&self.name)
            .found(found)
            .remedy("see what it said above; all of them together need 6 GB of memory for an hour")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Neither fails for a child that was not waited for; one that was is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The kernel counts in kibibytes, though it writes kB.
fn rss_anon_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anonymous_memory_is_told_from_the_rest() {
        let status = "VmRSS:\t 90 kB\nRssAnon:\t      12 kB\nRssFile:\t 78 kB\n";
        assert_eq!(rss_anon_bytes(status), Some(12 * 1024));
        assert_eq!(rss_anon_bytes("VmRSS:\t 90 kB\n"), None);
    }

    #[test]
    fn a_process_ends_with_its_value_and_is_missed_when_it_ends_before() {
        if !Path::new("/usr/bin/setpriv").exists() {
            return println!("skipped: setpriv is not installed");
        }
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let start =
            |text| Process::start("test".to_owned(), &words(text), Path::new("/")).expect("starts");
        let mut lasting = start("sleep 60");
        assert!(lasting.memory_bytes().expect("runs") > 0);
        let folder = format!("/proc/{}", lasting.child.id());
        assert!(Path::new(&folder).exists());
        drop(lasting);
        assert!(!Path::new(&folder).exists());
        let mut short = start("true");
        short.child.wait().expect("ends");
        let problem = short.must_run().expect_err("noticed");
        assert!(problem.remedy_text().is_some(), "{problem}");
    }
}
