//! The choice, both ways for every need.

use std::collections::BTreeSet;

use uc_model::{Bytes, Figure, Isolation, MilliCpu, PayloadFormat, workload::Network};

use super::*;
use crate::{
    candidate::{LimitKind, Unavailable},
    footprint::{Architecture, Footprint, Method},
};

fn candidate(kind: RuntimeKind, start_ms: f64, overhead_mib: f64) -> Candidate {
    let formats = match kind {
        RuntimeKind::Wasm => {
            BTreeSet::from([PayloadFormat::WasmModule, PayloadFormat::WasmComponent])
        }
        _ => BTreeSet::from([PayloadFormat::LinuxRootfs]),
    };
    Candidate {
        kind,
        unavailable: None,
        formats,
        networks: BTreeSet::from([Network::None]),
        limits: BTreeSet::from([LimitKind::Memory]),
        isolation: kind.isolation(),
        isolation_bits: Figure::assumed(0.5, "bit", "test"),
        shared_loopback: false,
        serves_handlers: false,
        exec: false,
        gpu: false,
        start_ms: Figure::measured(start_ms, "ms", "test"),
        overhead_mib: Figure::assumed(overhead_mib, "MiB", "test"),
    }
}

fn linux() -> Needs {
    Needs {
        formats: BTreeSet::from([PayloadFormat::LinuxRootfs]),
        ..Needs::default()
    }
}

fn all() -> Vec<Candidate> {
    vec![
        candidate(RuntimeKind::Wasm, 2.0, 10.0),
        candidate(RuntimeKind::Container, 10.0, 4.0),
        candidate(RuntimeKind::Gvisor, 120.0, 40.0),
        candidate(RuntimeKind::Microvm, 500.0, 130.0),
        Candidate::without_driver(RuntimeKind::Fused),
    ]
}

fn kind(needs: &Needs, candidates: &[Candidate]) -> Option<RuntimeKind> {
    choose(needs, candidates).winner.map(|winner| winner.kind)
}

#[test]
fn the_lightest_able_kind_wins() {
    let wasm = Needs {
        formats: BTreeSet::from([PayloadFormat::WasmModule]),
        ..Needs::default()
    };
    let hardware = Needs {
        isolation: Isolation::Hardware,
        ..linux()
    };
    let user_kernel = Needs {
        isolation: Isolation::UserKernel,
        ..linux()
    };
    let asked = Needs {
        runtime: RuntimeChoice::Fixed(RuntimeKind::Gvisor),
        ..linux()
    };
    for (needs, expected) in [
        (wasm, RuntimeKind::Wasm),
        (linux(), RuntimeKind::Container),
        (user_kernel, RuntimeKind::Gvisor),
        (hardware, RuntimeKind::Microvm),
        (asked, RuntimeKind::Gvisor),
    ] {
        assert_eq!(kind(&needs, &all()), Some(expected), "{needs:?}");
    }
}

#[test]
fn each_need_excludes_who_cannot_meet_it_and_nobody_else() {
    type Change = fn(&mut Needs);
    type Ability = fn(&mut Candidate);
    let cases: [(Change, Ability, &str); 9] = [
        (
            |n| n.network = Network::User,
            |c| {
                c.networks.insert(Network::User);
            },
            "network user",
        ),
        (
            |n| n.network = Network::Http,
            |c| {
                c.networks.insert(Network::Http);
            },
            "network http",
        ),
        (
            |n| n.network = Network::Host,
            |c| {
                c.networks.insert(Network::Host);
            },
            "network host",
        ),
        (
            |n| n.cpu_limit = Some(MilliCpu(500)),
            |c| {
                c.limits.insert(LimitKind::Cpu);
            },
            "CPU limit",
        ),
        (
            |n| n.pids_limit = Some(5),
            |c| {
                c.limits.insert(LimitKind::Pids);
            },
            "process limit",
        ),
        (|n| n.exec_probes = true, |c| c.exec = true, "exec probes"),
        (
            |n| n.shared_loopback = true,
            |c| c.shared_loopback = true,
            "share a loopback",
        ),
        (|n| n.gpu = true, |c| c.gpu = true, "GPU"),
        (
            |n| {
                n.formats.insert(PayloadFormat::WasmModule);
            },
            |c| {
                c.formats.insert(PayloadFormat::WasmModule);
            },
            "WebAssembly module",
        ),
    ];
    for (change, ability, words) in cases {
        let mut needs = linux();
        change(&mut needs);
        let mut able = candidate(RuntimeKind::Container, 10.0, 4.0);
        let decision = choose(&needs, std::slice::from_ref(&able));
        assert_eq!(decision.winner, None, "{words}");
        assert!(decision.losers[0].to_string().contains(words), "{decision}");
        assert!(!decision.losers[0].reasons[0].remedy.is_empty());
        ability(&mut able);
        assert_eq!(
            kind(&needs, &[able]),
            Some(RuntimeKind::Container),
            "{words}"
        );
    }
}

#[test]
fn a_memory_limit_counts_unless_the_file_lets_it_go() {
    let mut needs = Needs {
        memory_limit: Some(Bytes::mib(64)),
        ..linux()
    };
    let mut unable = candidate(RuntimeKind::Container, 10.0, 4.0);
    unable.limits.clear();
    assert_eq!(kind(&needs, &[unable.clone()]), None);
    needs.ignore_unenforceable_limits = true;
    assert_eq!(kind(&needs, &[unable]), Some(RuntimeKind::Container));
}

#[test]
fn the_order_of_candidates_does_not_matter() {
    let mut reversed = all();
    reversed.reverse();
    assert_eq!(choose(&linux(), &all()), choose(&linux(), &reversed));
    let tie = [
        candidate(RuntimeKind::Microvm, 10.0, 4.0),
        candidate(RuntimeKind::Container, 10.0, 4.0),
    ];
    assert_eq!(kind(&linux(), &tie), Some(RuntimeKind::Container));
}

#[test]
fn every_loser_has_a_reason() {
    let decision = choose(&linux(), &all());
    assert_eq!(decision.losers.len(), 4);
    assert_eq!(
        decision.to_string(),
        "runtime: container: the lightest of 3 that meet every need
  score 18.0, modelled: start + 2 ms/MiB × overhead
  start 10 ms (measured: test)
  overhead 4 MiB (assumed: test)
  reach of the host's kernel 0.5 bit (assumed: test)
  system calls: a guess, since no trace of the program is known; `uc run --trace` or `uc trace` makes one
not chosen:
  gvisor: able, but heavier than container: score 200.0 against 18.0
  microvm: able, but heavier than container: score 760.0 against 18.0
  wasm: the workload is a Linux root file system; it runs WebAssembly module, WebAssembly component
    remedy: use an image of a format that it runs; containers of several formats go into several Pods
  fused: not available: no driver in this version
"
    );
    let json = serde_json::to_value(&decision).expect("serialises");
    assert_eq!(json["winner"]["kind"], "container");
    assert_eq!(
        json["winner"]["score"]["start_ms"]["provenance"],
        "measured"
    );
    assert_eq!(
        json["losers"][2]["reasons"][0]["remedy"]
            .as_str()
            .map(str::is_empty),
        Some(false)
    );
}

#[test]
fn nothing_left_is_a_refusal_that_names_all() {
    let mut container = candidate(RuntimeKind::Container, 10.0, 4.0);
    container.unavailable = Some(Unavailable {
        what: "user namespaces are off".into(),
        remedy: "sysctl user.max_user_namespaces=10000".into(),
    });
    let candidates = [candidate(RuntimeKind::Wasm, 2.0, 10.0), container];
    let problem = choose(&linux(), &candidates)
        .require()
        .expect_err("refused");
    let line = problem.to_string();
    assert_eq!(problem.kind().exit_code(), 77);
    assert!(
        line.contains("wasm: ")
            && line.contains("container: not available: user namespaces are off"),
        "{line}"
    );
    assert!(
        problem
            .remedy_text()
            .expect("remedy")
            .contains("for container: sysctl")
    );

    let asked = Needs {
        runtime: RuntimeChoice::Fixed(RuntimeKind::Container),
        ..linux()
    };
    let line = choose(&asked, &candidates)
        .require()
        .expect_err("refused")
        .to_string();
    assert!(
        line.starts_with("container cannot run") && !line.contains("wasm"),
        "{line}"
    );
    assert!(choose(&linux(), &[]).require().is_err());
    assert_eq!(
        choose(&linux(), &all()).require().expect("able"),
        RuntimeKind::Container
    );
}

fn traced(calls: &[(&str, Option<&str>)]) -> Needs {
    let mut footprint = Footprint::new(Architecture::X86_64, Method::Traced);
    for (call, variant) in calls {
        footprint.add(call, variant.map(str::to_owned));
    }
    Needs {
        isolation: Isolation::UserKernel,
        footprint: Some(footprint),
        ..linux()
    }
}

#[test]
fn a_trace_keeps_a_program_from_a_runtime_that_cannot_answer_it() {
    let answered = traced(&[("read", None), ("write", None)]);
    assert_eq!(kind(&answered, &all()), Some(RuntimeKind::Gvisor));
    let decision = choose(&answered, &all());
    let winner = decision.winner.expect("one");
    assert!(winner.calls.contains("2 of 2"), "{}", winner.calls);
    assert!(winner.calls.contains("expected to run"), "{}", winner.calls);

    let beyond = traced(&[("read", None), ("bpf", None)]);
    assert_eq!(kind(&beyond, &all()), Some(RuntimeKind::Microvm));
    let decision = choose(&beyond, &all());
    let gvisor = decision
        .losers
        .iter()
        .find(|one| one.kind == RuntimeKind::Gvisor);
    let text = gvisor.expect("a loser").to_string();
    assert!(text.contains("seen to need bpf"), "{text}");
}

#[test]
fn who_asks_for_a_runtime_gets_it_and_hears_of_the_prediction() {
    let mut beyond = traced(&[("bpf", None)]);
    beyond.runtime = RuntimeChoice::Fixed(RuntimeKind::Gvisor);
    let winner = choose(&beyond, &all()).winner.expect("one");
    assert_eq!(winner.kind, RuntimeKind::Gvisor);
    assert!(
        winner.calls.contains("expected to fail"),
        "{}",
        winner.calls
    );
    assert!(winner.calls.contains("it needs bpf"), "{}", winner.calls);
}

#[test]
fn who_only_answers_needs_no_network_where_another_listens() {
    let mut wasm = candidate(RuntimeKind::Wasm, 2.0, 10.0);
    wasm.shared_loopback = true;
    wasm.serves_handlers = true;
    let answering = Needs {
        formats: BTreeSet::from([PayloadFormat::WasmComponent]),
        network: Network::User,
        only_answers: true,
        ..Needs::default()
    };
    let chosen = |needs: &Needs| kind(needs, &[wasm.clone()]);
    assert_eq!(chosen(&answering), Some(RuntimeKind::Wasm));
    for unable in [
        Needs {
            only_answers: false,
            ..answering.clone()
        },
        // What listens on the host is on no loopback of the workload.
        Needs {
            shared_loopback: true,
            ..answering.clone()
        },
        // The host's network is granted or not.
        Needs {
            network: Network::Host,
            ..answering.clone()
        },
    ] {
        assert_eq!(chosen(&unable), None, "{unable:?}");
    }
    wasm.serves_handlers = false;
    assert_eq!(kind(&answering, &[wasm]), None);
}
