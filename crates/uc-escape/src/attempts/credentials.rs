//! Becoming somebody else, or somebody with more rights.

use std::{fs, process::Command};

use crate::{
    attempt::{Attempt, Outcome},
    errno::{EACCES, EINVAL, ENOENT, ENOSYS, EOPNOTSUPP, EPERM, EROFS, Errno},
    identity,
    syscall::{Arg, call},
};

const REFUSED: &[Errno] = &[EPERM, ENOSYS];
/// EINVAL: the number means nobody in this user namespace.
const NOT_BECOME: &[Errno] = &[EPERM, EINVAL, ENOSYS];
const CAP_SYS_ADMIN: i64 = 21;

pub(super) const ATTEMPTS: &[Attempt] = &[
    Attempt::new("setuid-root", NOT_BECOME, || become_user(0)),
    Attempt::new("setuid-other", NOT_BECOME, || become_user(1)),
    Attempt::new("setuid-unmapped", NOT_BECOME, || become_user(0x7fff_fff0)),
    Attempt::new("setgid-other", NOT_BECOME, setgid_other),
    Attempt::new("setgroups", NOT_BECOME, setgroups),
    Attempt::new("capset-raise", REFUSED, capset_raise),
    Attempt::new("ambient-capability", NOT_BECOME, ambient_capability),
    Attempt::new("securebits", REFUSED, securebits),
    Attempt::new("no-new-privileges", &[], no_new_privileges),
    Attempt::new("capability-sets", &[], capability_sets),
    Attempt::new("seccomp-filter", &[], seccomp_filter),
    Attempt::new("execute-setuid-file", &[], || {
        execute_marked("UC_ESCAPE_SETUID_FILE")
    }),
    Attempt::new("execute-capable-file", &[], || {
        execute_marked("UC_ESCAPE_CAPABLE_FILE")
    }),
    Attempt::new(
        "set-file-capability",
        &[EPERM, EACCES, ENOENT, EROFS, ENOSYS, EOPNOTSUPP],
        set_file_capability,
    ),
    Attempt::new("write-uid-map", &[EPERM, EACCES, EROFS, ENOENT], || {
        write_map("uid_map")
    }),
    Attempt::new("write-gid-map", &[EPERM, EACCES, EROFS, ENOENT], || {
        write_map("gid_map")
    }),
];

fn own_ids(field: &str) -> Vec<u32> {
    let status = identity::status();
    let text = status.get(field).map_or("", String::as_str);
    text.split(' ')
        .filter_map(|word| word.parse().ok())
        .collect()
}

fn become_user(uid: u32) -> Outcome {
    if own_ids("Uid").contains(&uid) {
        return Outcome::Contained(format!("this is user {uid} of its namespace already"));
    }
    let result = call(libc::SYS_setuid, &[i64::from(uid).into()]);
    Outcome::of(result, &format!("became user {uid}"))
}

fn setgid_other() -> Outcome {
    let gid = if own_ids("Gid").contains(&0) { 1 } else { 0 };
    let result = call(libc::SYS_setgid, &[i64::from(gid).into()]);
    Outcome::of(result, &format!("became group {gid}"))
}

fn setgroups() -> Outcome {
    let groups = 4_u32.to_ne_bytes();
    let result = call(libc::SYS_setgroups, &[Arg::Int(1), Arg::Bytes(&groups)]);
    Outcome::of(result, "joined group 4")
}

/// Header `{ version 3, pid 0 }`, then two triples `{ effective, permitted, inheritable }` of 32 bits each.
fn capset_raise() -> Outcome {
    let header = [0x2008_0522_u32.to_ne_bytes(), [0; 4]].concat();
    let all = [0xff_u8; 12];
    let high = [0x0000_01ff_u32.to_ne_bytes(); 3].concat();
    let data = [all.as_slice(), &high].concat();
    let result = call(libc::SYS_capset, &[Arg::Bytes(&header), Arg::Bytes(&data)]);
    Outcome::of(result, "every capability was raised")
}

fn prctl(option: i32, arguments: [i64; 4]) -> Result<i64, Errno> {
    let [a, b, c, d] = arguments.map(Arg::Int);
    call(libc::SYS_prctl, &[option.into(), a, b, c, d])
}

fn ambient_capability() -> Outcome {
    let raise = i64::from(libc::PR_CAP_AMBIENT_RAISE);
    let result = prctl(libc::PR_CAP_AMBIENT, [raise, CAP_SYS_ADMIN, 0, 0]);
    Outcome::of(result, "CAP_SYS_ADMIN is ambient")
}

fn securebits() -> Outcome {
    const KEEP_CAPS_LOCKED: i64 = 1 << 5;
    let result = prctl(libc::PR_SET_SECUREBITS, [KEEP_CAPS_LOCKED, 0, 0, 0]);
    Outcome::of(result, "the secure bits were set")
}

fn no_new_privileges() -> Outcome {
    match prctl(libc::PR_GET_NO_NEW_PRIVS, [0; 4]) {
        Ok(1) => Outcome::Contained("no_new_privs is 1".into()),
        Ok(_) => Outcome::Succeeded("no_new_privs is 0".into()),
        Err(errno) => Outcome::Denied(errno),
    }
}

fn capability_sets() -> Outcome {
    let status = identity::status();
    let full: Vec<String> = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
        .iter()
        .filter_map(|set| Some((set, status.get(*set)?)))
        .filter(|(_, mask)| mask.bytes().any(|digit| digit != b'0'))
        .map(|(set, mask)| format!("{set} {mask}"))
        .collect();
    match (full.is_empty(), status.contains_key("CapEff")) {
        (true, true) => Outcome::Contained("all five are empty".into()),
        (true, false) => Outcome::Skipped("/proc/self/status does not tell".into()),
        (false, _) => Outcome::Succeeded(full.join(", ")),
    }
}

fn seccomp_filter() -> Outcome {
    match identity::status().get("Seccomp").map(String::as_str) {
        Some("2") => Outcome::Contained("a filter is in force".into()),
        Some(mode) => Outcome::Succeeded(format!("seccomp mode {mode}")),
        None => Outcome::Skipped("/proc/self/status does not tell".into()),
    }
}

/// Runs a copy of this program that the suite has marked (set-user-id of root, or with file capabilities), and
/// compares who that is.
fn execute_marked(variable: &str) -> Outcome {
    let Some(path) = std::env::var_os(variable) else {
        return Outcome::Skipped(format!("{variable} names no file"));
    };
    let output = match Command::new(&path).arg("identity").output() {
        Ok(output) => output,
        Err(error) => return Outcome::Skipped(format!("{}: {error}", path.display())),
    };
    let Ok(there) = serde_json::from_slice::<serde_json::Value>(&output.stdout) else {
        return Outcome::Skipped("it did not say who it is".into());
    };
    let here = identity::status();
    let gained: Vec<String> = ["Uid", "Gid", "CapPrm", "CapEff", "CapAmb"]
        .iter()
        .filter_map(|field| {
            let (before, after) = (here.get(*field)?, there["status"][*field].as_str()?);
            (before != after).then(|| format!("{field} from {before} to {after}"))
        })
        .collect();
    if gained.is_empty() {
        Outcome::Contained("the mark gave nothing".into())
    } else {
        Outcome::Succeeded(gained.join(", "))
    }
}

/// `struct vfs_cap_data`, revision 2, effective, permitted CAP_SYS_ADMIN.
fn set_file_capability() -> Outcome {
    const PATH: &str = "/tmp/uc-escape-capability";
    if let Err(error) = fs::write(PATH, "") {
        return Outcome::Denied(error.into());
    }
    let mut value = [0_u8; 20];
    value[..4].copy_from_slice(&0x0200_0001_u32.to_le_bytes());
    value[4..8].copy_from_slice(&(1_u32 << CAP_SYS_ADMIN).to_le_bytes());
    let arguments = [
        PATH.into(),
        "security.capability".into(),
        Arg::Bytes(&value),
        Arg::Int(value.len() as i64),
        Arg::Int(0),
    ];
    let result = call(libc::SYS_setxattr, &arguments);
    let _ = fs::remove_file(PATH);
    Outcome::of(result, "a file got CAP_SYS_ADMIN")
}

fn write_map(name: &str) -> Outcome {
    let result = fs::write(format!("/proc/self/{name}"), "0 0 4294967295\n");
    Outcome::of(result, "the map was rewritten")
}
