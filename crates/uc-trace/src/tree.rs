//! The processes of a traced run: found, measured, ended and reaped.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};

/// Most processes that are looked at.
const MAX_PROCESSES: usize = 1 << 20;

/// The processes that came of one command. Those that lose their parent become children of this process, so that they
/// can be found and reaped.
pub(crate) struct Tree {
    /// The command itself.
    first: Option<u32>,
    /// Every thread that has made a call.
    threads: BTreeSet<u32>,
    status: Option<WaitStatus>,
    /// The most memory one process has had, and the most of all at one time, in bytes.
    peak_memory: u64,
}

impl Tree {
    /// Makes this process the one that orphans are given to.
    pub(crate) fn new() -> Self {
        let _ = uc_linux::sys::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
        Self {
            first: None,
            threads: BTreeSet::new(),
            status: None,
            peak_memory: 0,
        }
    }

    pub(crate) fn start(&mut self, first: u32) {
        self.first = Some(first);
    }

    /// Takes note of a thread that makes a call.
    pub(crate) fn see(&mut self, thread: u32) {
        if self.threads.len() < MAX_PROCESSES {
            self.threads.insert(thread);
        }
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.len()
    }

    /// How the command ended, once it is known.
    pub(crate) fn status(&self) -> Option<WaitStatus> {
        self.status
    }

    pub(crate) fn peak_memory(&self) -> u64 {
        self.peak_memory
    }

    /// Takes note of the most memory that a process has had, which is about to end.
    pub(crate) fn measure(&mut self, process: u32) {
        let peak = figure(process, "VmHWM:").unwrap_or(0);
        self.peak_memory = self.peak_memory.max(peak);
    }

    /// Takes note of the memory that all have now, and reaps those that have ended.
    pub(crate) fn look(&mut self) {
        let found = self.members();
        let mut now = 0u64;
        for member in found {
            if !member.has_ended {
                now = now.saturating_add(figure(member.process, "VmRSS:").unwrap_or(0));
            } else if Some(member.process) == self.first {
                self.try_wait(WaitOptions::NOHANG);
            } else if member.parent == std::process::id() {
                let _ =
                    pid(member.process).map(|process| waitpid(Some(process), WaitOptions::NOHANG));
            }
        }
        self.peak_memory = self.peak_memory.max(now);
    }

    /// The processes that are left.
    pub(crate) fn alive(&self) -> Vec<u32> {
        let members = self.members().into_iter();
        members
            .filter(|member| !member.has_ended)
            .map(|member| member.process)
            .collect()
    }

    /// The processes of this tree: children of ours that made calls, and all below them. Others that this process has
    /// started are not of it.
    fn members(&self) -> Vec<Member> {
        let mut children: BTreeMap<u32, Vec<Member>> = BTreeMap::new();
        for member in members().take(MAX_PROCESSES) {
            children.entry(member.parent).or_default().push(member);
        }
        let ours = children.remove(&std::process::id()).unwrap_or_default();
        let is_traced = |child: &Member| {
            Some(child.process) == self.first || self.threads.contains(&child.process)
        };
        let mut found: Vec<Member> = ours.into_iter().filter(is_traced).collect();
        let mut at = 0;
        while let Some(member) = found.get(at) {
            found.extend(children.remove(&member.process).unwrap_or_default());
            at += 1;
        }
        found
    }

    /// Sends a signal to all that are left.
    pub(crate) fn signal(&self, signal: Signal) {
        for process in self.alive() {
            if let Some(process) = pid(process) {
                let _ = kill_process(process, signal);
            }
        }
    }

    /// Waits for the command itself, which must have ended or be about to.
    pub(crate) fn wait(&mut self) {
        if self.status.is_none() {
            self.try_wait(WaitOptions::empty());
        }
    }

    fn try_wait(&mut self, options: WaitOptions) {
        if let Some(first) = self.first.and_then(pid)
            && let Ok(Some((_, status))) = waitpid(Some(first), options)
        {
            self.status = Some(status);
        }
    }
}

fn pid(process: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(process).ok()?)
}

/// A process of this host.
struct Member {
    process: u32,
    parent: u32,
    /// Whether it only waits to be reaped.
    has_ended: bool,
}

/// Every process of this host.
fn members() -> impl Iterator<Item = Member> {
    let entries = fs::read_dir("/proc").ok().into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let process: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name stands in parentheses and may hold any characters.
        let (_, rest) = stat.rsplit_once(')')?;
        let mut fields = rest.split_ascii_whitespace();
        let state = fields.next()?;
        let parent = fields.next()?.parse().ok()?;
        Some(Member {
            process,
            parent,
            has_ended: matches!(state, "Z" | "X"),
        })
    })
}

/// A line of a process's status, in bytes.
fn figure(process: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}
