//! Telling the kernel which ids a user namespace has.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use uc_model::{Problem, Result};

use crate::idmap::{IdMapping, MapWriter};

/// Writes the id maps of a process in a new user namespace.
pub fn write_id_maps(mapping: &IdMapping, pid: u32) -> Result<()> {
    match mapping.writer {
        MapWriter::Direct => {
            write_proc(pid, "uid_map", &IdMapping::map_text(&mapping.uids))?;
            write_proc(pid, "gid_map", &IdMapping::map_text(&mapping.gids))
        }
        MapWriter::OwnIdOnly => {
            write_proc(pid, "setgroups", "deny")?;
            write_proc(pid, "uid_map", &IdMapping::map_text(&mapping.uids))?;
            write_proc(pid, "gid_map", &IdMapping::map_text(&mapping.gids))
        }
        MapWriter::Helper => {
            run_helper("newuidmap", pid, &IdMapping::map_text(&mapping.uids))?;
            run_helper("newgidmap", pid, &IdMapping::map_text(&mapping.gids))
        }
    }
}

fn write_proc(pid: u32, name: &str, text: &str) -> Result<()> {
    let path = format!("/proc/{pid}/{name}");
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| {
            Problem::host("cannot map user ids")
                .at(path)
                .found(format!("{} ({error})", text.trim().replace('\n', "; ")))
                .remedy("`uc doctor` shows which ids you may use; add a range to /etc/subuid and /etc/subgid")
        })
}

fn run_helper(program: &str, pid: u32, map: &str) -> Result<()> {
    let output = Command::new(program)
        .arg(pid.to_string())
        .args(map.split_whitespace())
        .stdin(Stdio::null())
        .output()
        .map_err(|error| {
            Problem::host(format!("cannot run {program}"))
                .remedy("apt install uidmap")
                .caused_by(error)
        })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Problem::host(format!("{program} refused to map user ids"))
        .found(String::from_utf8_lossy(&output.stderr).trim().to_owned())
        .remedy(
            "check your ranges in /etc/subuid and /etc/subgid, and that newuidmap is setuid root",
        ))
}
