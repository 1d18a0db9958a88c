//! Which programs and kernel threads do network and cryptographic work, by name.

use super::procfs::Process;

/// The kernel keeps so many bytes of a program's name.
const COMM_BYTES: usize = 15;

/// The kind of work a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Class {
    /// A kernel thread that moves packets.
    NetworkThread,
    /// A kernel thread that encrypts.
    CryptoThread,
    /// A named network program.
    NetworkProgram,
    /// A named program that encrypts traffic.
    CryptoProgram,
    /// A program that the user named.
    NamedByUser,
    /// A thread that serves softirqs: its time is in /proc/stat's softirq column already.
    ServesSoftirqs,
}

/// Beginnings of names of kernel threads, and of work queues within `kworker/…-NAME` or `kworker/…+NAME`.
const NETWORK_THREADS: &[&str] = &[
    "napi/",
    "vhost-",
    "krdsd",
    "tipc_",
    "l2tp",
    "mptcp",
    "bond",
    "netns",
    "ipvs",
    "mld",
    "wg-kex",
    "ib-comp",
    "rdma",
    "iw_cm",
    "rxe_",
    "siw_",
    "vsock",
    "virtio_vsock",
    "mlx4_en",
    "mlx5e",
    "ixgbe",
    "i40e",
    "cfg80211",
    "dsa_",
    "hsr",
];

/// The same for encryption: WireGuard, parallel and deferred crypto (IPsec), encrypted disks.
const CRYPTO_THREADS: &[&str] = &[
    "wg-crypt",
    "pcrypt",
    "pencrypt",
    "pdecrypt",
    "cryptd",
    "kcryptd",
    "dmcrypt_write",
    "crypto",
    "padata",
    "xfrm",
    "tls-strp",
    "ktls",
];

/// Beginnings of names of network devices, behind `irq/NUMBER-`.
const NETWORK_DEVICES: &[&str] = &[
    "eth", "en", "wl", "mlx", "bnx", "ice", "i40e", "ixgbe", "igb", "ena",
];

/// Programs that switch, route, balance and proxy.
const NETWORK_PROGRAMS: &[&str] = &[
    "ovs-vswitchd",
    "ovsdb-server",
    "vpp",
    "vpp_main",
    "dpdk-testpmd",
    "snabb",
    "haproxy",
    "nginx",
    "envoy",
    "traefik",
    "caddy",
    "varnishd",
    "squid",
    "pingora",
    "keepalived",
    "katran",
    "bird",
    "bird6",
    "zebra",
    "bgpd",
    "ospfd",
    "gobgpd",
    "dnsmasq",
    "kube-proxy",
    "cilium-agent",
    "cilium-envoy",
    "calico-node",
    "flanneld",
    "linkerd2-proxy",
    "istio-proxy",
    "slirp4netns",
    "pasta",
    "passt",
    "rootlessport",
    "docker-proxy",
    "suricata",
    "snort",
    "pppd",
];

/// Programs that encrypt traffic.
const CRYPTO_PROGRAMS: &[&str] = &[
    "charon",
    "charon-systemd",
    "pluto",
    "iked",
    "racoon",
    "openvpn",
    "ocserv",
    "openconnect",
    "wireguard-go",
    "boringtun",
    "boringtun-cli",
    "stunnel",
    "stunnel4",
    "hitch",
    "tailscaled",
    "zerotier-one",
    "tincd",
    "nebula",
];

/// The class of a process; none for the rest of the machine.
pub(super) fn class(process: &Process, extra: &[String]) -> Option<Class> {
    // Only the kernel's own mark makes a kernel thread: a program may call itself what it likes.
    if process.kernel {
        return thread_class(&process.comm);
    }
    let is = |name: &str| cut(name) == process.comm;
    if NETWORK_PROGRAMS.iter().any(|name| is(name)) {
        Some(Class::NetworkProgram)
    } else if CRYPTO_PROGRAMS.iter().any(|name| is(name)) {
        Some(Class::CryptoProgram)
    } else if extra.iter().any(|name| is(name)) {
        Some(Class::NamedByUser)
    } else {
        None
    }
}

/// Whether the time of a kernel thread is known by the work it happened to name.
pub(super) fn is_worker(process: &Process) -> bool {
    process.kernel && process.comm.starts_with("kworker/")
}

fn thread_class(comm: &str) -> Option<Class> {
    if comm.starts_with("ksoftirqd/") || comm.starts_with("ktimers/") {
        return Some(Class::ServesSoftirqs);
    }
    if let Some(rest) = comm.strip_prefix("irq/") {
        let (_, device) = rest.split_once('-')?;
        let network = NETWORK_DEVICES.iter().any(|name| device.starts_with(name));
        return network.then_some(Class::NetworkThread);
    }
    let name = match comm.strip_prefix("kworker/") {
        Some(worker) => worker.split_once(['-', '+'])?.1,
        None => comm,
    };
    if CRYPTO_THREADS.iter().any(|start| name.starts_with(start)) {
        Some(Class::CryptoThread)
    } else if NETWORK_THREADS.iter().any(|start| name.starts_with(start)) {
        Some(Class::NetworkThread)
    } else {
        None
    }
}

/// A name as the kernel keeps it; a name that was cut inside a character is not found, as it cannot be written either.
fn cut(name: &str) -> &str {
    let mut end = name.len().min(COMM_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name.get(..end).unwrap_or(name)
}
