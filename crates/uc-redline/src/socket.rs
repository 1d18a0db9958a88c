//! Red line 6.1: a program for which only HTTP is meant must not open sockets. It is known before the program runs,
//! from the imports alone.

use uc_model::workload::Network;

use crate::verdict::{Facts, RedLine, Verdict};

/// Red line 6.1 (mission M6.4).
pub const RAW_SOCKETS: RedLine = RedLine {
    id: "6.1",
    title: "no raw sockets where only HTTP is granted",
};

/// What an import lets a program reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Nothing beyond the sandbox.
    Nothing,
    /// HTTP requests.
    Http,
    /// TCP, UDP or Unix sockets.
    Sockets,
}

/// Judges the imports of a WebAssembly program against the granted network.
///
/// One verdict for every import that reaches the network, in the order of the imports.
pub fn wasm_imports(facts: &Facts) -> Vec<Verdict> {
    facts
        .imports
        .iter()
        .filter_map(|import| match reach(import) {
            Reach::Nothing => None,
            Reach::Http => Some(judge(facts, import, Network::Http)),
            Reach::Sockets => Some(judge(facts, import, Network::User)),
        })
        .collect()
}

fn judge(facts: &Facts, import: &str, needed: Network) -> Verdict {
    let found = format!("import {import} with network {}", facts.network);
    let limit = if needed == Network::Http {
        "network http, user or host"
    } else {
        "network user or host"
    };
    // The order of Network is the order of what it lets through.
    if facts.network >= needed {
        return Verdict::pass(&RAW_SOCKETS, facts, found, limit);
    }
    // The Wasm sandbox shares the host's sockets or has none: it cannot give a network of its own.
    let grant = if needed == Network::Http {
        Network::Http
    } else {
        Network::Host
    };
    let remedy = format!(
        "build the program without it, or grant the network with the annotation undercurrent.dev/network: {grant}"
    );
    Verdict::refuse(&RAW_SOCKETS, facts, found, limit, &remedy)
}

/// Classifies an import by the WASI interface that it belongs to.
fn reach(import: &str) -> Reach {
    if let Some(interface) = import.strip_prefix("wasi:") {
        let package = interface.split(['/', '@']).next().unwrap_or_default();
        return match package {
            "sockets" | "tls" => Reach::Sockets,
            "http" => Reach::Http,
            _ => Reach::Nothing,
        };
    }
    // Preview 1, and the earlier and extended forms of it that other engines know, name socket calls `sock_*`; on
    // sockets opened beforehand too.
    let (module, name) = match import.rsplit_once(['.', '/', ' ']) {
        Some((module, name)) => (module, name),
        None => ("", import),
    };
    let wasi = module.is_empty() || module.starts_with("wasi") || module.starts_with("wasix");
    if wasi && name.starts_with("sock_") {
        Reach::Sockets
    } else if module.starts_with("wasi_experimental_http") || module.starts_with("wasi_http") {
        Reach::Http
    } else {
        Reach::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdict::Level;

    #[test]
    fn imports_are_judged_against_the_network() {
        use Network::{Host, Http, None, User};
        for (import, refused, passed) in [
            (
                "wasi:sockets/tcp@0.2.0",
                &[None, Http][..],
                &[User, Host][..],
            ),
            (
                "wasi:sockets/udp-create-socket@0.2.3",
                &[None, Http],
                &[User, Host],
            ),
            (
                "wasi:sockets/ip-name-lookup@0.2.0",
                &[None, Http],
                &[User, Host],
            ),
            (
                "wasi_snapshot_preview1.sock_open",
                &[None, Http],
                &[User, Host],
            ),
            ("wasi_snapshot_preview1.sock_accept", &[None, Http], &[User]),
            ("wasi_snapshot_preview1.sock_recv", &[None], &[User]),
            ("wasi_snapshot_preview1.sock_send", &[Http], &[Host]),
            ("wasi_snapshot_preview1.sock_shutdown", &[Http], &[Host]),
            ("wasi_unstable.sock_send", &[None], &[User]),
            (
                "wasi:http/outgoing-handler@0.2.0",
                &[None],
                &[Http, User, Host],
            ),
            ("wasi:http/types@0.2.0", &[None], &[Http]),
        ] {
            for (networks, level) in [(refused, Level::Refuse), (passed, Level::Pass)] {
                for network in networks {
                    let facts = Facts {
                        imports: vec![import.into()],
                        network: *network,
                        ..Facts::default()
                    };
                    let verdicts = wasm_imports(&facts);
                    assert_eq!(verdicts.len(), 1, "{import}");
                    assert_eq!(verdicts[0].level, level, "{import} with {network}");
                    assert!(verdicts[0].found.contains(import));
                }
            }
        }
    }

    #[test]
    fn harmless_imports_are_not_judged() {
        for import in [
            "wasi:cli/stdout@0.2.0",
            "wasi:io/streams@0.2.0",
            "wasi:httpx/thing",
            "wasi_snapshot_preview1.fd_write",
            "env.sock_open",
            "",
        ] {
            let facts = Facts {
                imports: vec![import.into()],
                ..Facts::default()
            };
            assert!(wasm_imports(&facts).is_empty(), "{import}");
        }
    }
}
