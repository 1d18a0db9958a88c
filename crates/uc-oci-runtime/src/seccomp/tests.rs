//! What becomes of calls under the allow-list alone, and with a profile on top.

use super::*;

/// What a profile in OCI form makes of a call.
fn verdict(profile: &Value, name: &str, arguments: [u64; 6]) -> String {
    let rules = profile["syscalls"].as_array().expect("a list");
    let holds = |args: &Value| {
        args.as_array().into_iter().flatten().all(|arg| {
            let found = arguments[arg["index"].as_u64().expect("an index") as usize];
            let number = |key: &str| arg[key].as_u64().expect("a number");
            match arg["op"].as_str().expect("an operator") {
                "SCMP_CMP_EQ" => found == number("value"),
                "SCMP_CMP_MASKED_EQ" => found & number("value") == number("valueTwo"),
                other => panic!("{other}"),
            }
        })
    };
    let named = |rule: &&Value| {
        let names = rule["names"].as_array().expect("names");
        names.iter().any(|one| one == name) && holds(&rule["args"])
    };
    let found: Vec<&Value> = rules.iter().filter(named).collect();
    match found[..] {
        [] => format!("ERRNO {}", profile["defaultErrnoRet"]),
        [rule] => {
            let action = rule["action"].as_str().expect("an action");
            let word = action.trim_start_matches("SCMP_ACT_");
            match rule["errnoRet"].as_u64() {
                Some(number) => format!("{word} {number}"),
                None => word.to_owned(),
            }
        }
        _ => panic!("{name} has {} answers for {arguments:?}", found.len()),
    }
}

fn profile_of(own: Option<&[u8]>) -> Result<Value> {
    profile(own, Flavour::Crun)
}

fn of(profile: &Value, name: &str, first: u64, second: u64) -> String {
    verdict(profile, name, [first, second, 0, 0, 0, 0])
}

const TIOCSTI: u64 = libc::TIOCSTI;
const TIOCLINUX: u64 = libc::TIOCLINUX;

#[test]
fn every_verdict_has_its_place() {
    let profile = profile_of(None).expect("known");
    for (call, expected) in [
        ("read", "ALLOW"),
        ("clone3", "ERRNO 38"),
        ("mount", "ERRNO 1"),
    ] {
        assert_eq!(of(&profile, call, 0, 0), expected, "{call}");
    }
    let (stream, raw) = (libc::SOCK_STREAM as u64, libc::SOCK_RAW as u64);
    let internet = libc::AF_INET as u64;
    for (family, kind, expected) in [
        (internet, stream, "ALLOW"),
        (internet, stream | libc::SOCK_CLOEXEC as u64, "ALLOW"),
        (internet, raw, "ERRNO 1"),
        (libc::AF_UNIX as u64, raw, "ALLOW"),
        (libc::AF_PACKET as u64, stream, "ERRNO 1"),
    ] {
        assert_eq!(
            of(&profile, "socket", family, kind),
            expected,
            "{family} {kind}"
        );
    }
    assert_eq!(
        of(&profile, "clone", libc::CLONE_NEWUSER as u64, 0),
        "ERRNO 1"
    );
    assert_eq!(of(&profile, "clone", libc::CLONE_VM as u64, 0), "ALLOW");
}

/// The kernel looks at the low half of a request alone, so what is in the high half must not get one past the filter.
#[test]
fn no_high_bit_lets_a_request_pass() {
    let profile = profile_of(None).expect("known");
    for request in 0x5400..0x5480 {
        for high in [0, 1 << 32, 1 << 63, 0xffff_ffff << 32] {
            let expected = match request {
                TIOCSTI | TIOCLINUX => "ERRNO 1",
                _ => "ALLOW",
            };
            assert_eq!(
                of(&profile, "ioctl", 0, high | request),
                expected,
                "{request:#x}"
            );
        }
    }
}

#[test]
fn a_profile_narrows_and_never_widens() {
    let own = br#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
        {"names":["read"],"action":"SCMP_ACT_ERRNO","errnoRet":13},
        {"names":["write"],"action":"SCMP_ACT_KILL_PROCESS","args":[{"index":0,"value":2,"op":"SCMP_CMP_GT"}]},
        {"names":["mount","ioctl"],"action":"SCMP_ACT_LOG"},
        {"names":["no_such_call"],"action":"SCMP_ACT_TRAP"}]}"#;
    let profile = profile_of(Some(own)).expect("well-formed");
    for (call, first, second, expected) in [
        ("read", 0, 0, "ERRNO 13"),
        ("write", 2, 0, "ALLOW"),
        ("write", 3, 0, "KILL_PROCESS"),
        ("mount", 0, 0, "ERRNO 1"),
        ("ioctl", 0, TIOCSTI, "ERRNO 1"),
        ("ioctl", 0, 0x5401, "LOG"),
        ("close", 0, 0, "ALLOW"),
    ] {
        assert_eq!(of(&profile, call, first, second), expected, "{call}");
    }
    assert!(!profile.to_string().contains("no_such_call"));
}

#[test]
fn a_list_of_allowed_calls_meets_the_built_in_one() {
    let own = br#"{"defaultAction":"SCMP_ACT_KILL_PROCESS","syscalls":[
        {"names":["read","mount","clone3"],"action":"SCMP_ACT_ALLOW"},
        {"names":["socket"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":40,"op":"SCMP_CMP_NE"}]},
        {"names":["personality"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":5,"op":"SCMP_CMP_EQ"}]},
        {"names":["openat"],"action":"SCMP_ACT_ERRNO","errnoRet":2}]}"#;
    let profile = profile_of(Some(own)).expect("well-formed");
    for (call, first, second, expected) in [
        ("read", 0, 0, "ALLOW"),
        ("write", 0, 0, "KILL_PROCESS"),
        ("mount", 0, 0, "ERRNO 1"),
        ("clone3", 0, 0, "ERRNO 38"),
        ("socket", 1, 0, "ALLOW"),
        ("socket", 17, 0, "ERRNO 1"),
        ("socket", 40, 0, "KILL_PROCESS"),
        ("personality", 5, 0, "ERRNO 1"),
        ("personality", 0, 0, "KILL_PROCESS"),
        // No filter allows it, and one kills.
        ("openat", 0, 0, "KILL_PROCESS"),
    ] {
        assert_eq!(of(&profile, call, first, second), expected, "{call}");
    }
    // The exception of the profile lies outside what the list allows: its conditions stay as few as they were.
    let count = |profile: &Value| {
        let rules = profile["syscalls"].as_array().expect("a list");
        let allowed =
            |rule: &&Value| rule["names"][0] == "socket" && rule["action"] == "SCMP_ACT_ALLOW";
        rules.iter().filter(allowed).count()
    };
    let of_the_list = profile_of(None).expect("known");
    assert_eq!(count(&profile), count(&of_the_list));
}

#[test]
fn too_many_conditions_are_refused_by_the_calls_name() {
    let differs = |index: u8| json!({"index": index, "value": 5, "op": "SCMP_CMP_NE"});
    let own = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [differs(0), differs(1)]}]});
    let problem = profile_of(Some(own.to_string().as_bytes())).expect_err("4096 rules");
    let words = format!("{problem} {:?}", problem.to_view().place);
    assert!(words.contains("read"), "{words}");
}

#[test]
fn conditions_on_many_calls_are_refused_before_any_is_worked_out() {
    let calls = syscall_names("x86_64".parse().expect("known"));
    let rules: Vec<Value> = (0..20)
        .map(|value| {
            json!({"names": calls, "action": "SCMP_ACT_ERRNO",
                "args": [{"index": 0, "value": value, "op": "SCMP_CMP_EQ"}]})
        })
        .collect();
    let own = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules});
    let problem = profile_of(Some(own.to_string().as_bytes())).expect_err("7000 rules");
    assert!(problem.to_string().contains("too many"), "{problem}");
}
