//! Every call of Firecracker's API as it goes over the socket, to a server of the test's own; and, where
//! `UC_FIRECRACKER_API` names the published description, that each call is in it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test says with them what it expected"
)]

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixListener,
};
use uc_microvm::firecracker::{
    api::{
        Action, Api, BackendType, DriveUpdate, InstanceState, MemoryBackend,
        NetworkInterfaceUpdate, SnapshotCreate, SnapshotLoad, SnapshotType, VmState,
    },
    client::Client,
    configuration::{
        BootSource, Configuration, Drive, Entropy, Logger, MachineConfiguration, NetworkInterface,
        Vsock,
    },
    socket_path,
};
use uc_model::ProblemKind;

/// A call: its method, its path, its body.
type Call = (String, String, Value);

/// A server that notes every call and answers as it is told.
struct Server {
    _scratch: tempfile::TempDir,
    api: Api,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Server {
    fn new(answer: fn(&str) -> (u16, Value)) -> Self {
        let scratch = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(scratch.path().join("api.sock")).expect("listens");
        let calls = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&calls);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut bytes = vec![0; 1 << 16];
                let count = stream.read(&mut bytes).await.expect("readable");
                let text = String::from_utf8(bytes[..count].to_vec()).expect("text");
                let (head, body) = text.split_once("\r\n\r\n").expect("a head");
                let mut words = head.split(' ').map(str::to_owned);
                let (method, path) = (words.next().expect("one"), words.next().expect("one"));
                let (status, value) = answer(&path);
                let body = serde_json::from_str(body).unwrap_or(Value::Null);
                noted.lock().expect("whole").push((method, path, body));
                let value = value.to_string();
                let length = value.len();
                let text = format!("HTTP/1.1 {status} \r\nContent-Length: {length}\r\n\r\n{value}");
                stream.write_all(text.as_bytes()).await.expect("written");
            }
        });
        let directory = socket_path::open_directory(scratch.path()).expect("opens");
        Self {
            _scratch: scratch,
            api: Api::new(Client::new(directory, "api.sock")),
            calls,
        }
    }
}

fn everything_is_well(path: &str) -> (u16, Value) {
    match path {
        "/version" => (200, json!({ "firecracker_version": "1.2.3" })),
        "/machine-config" => (
            200,
            json!({ "vcpu_count": 2, "mem_size_mib": 512, "cpu_template": "T2" }),
        ),
        "/" => (
            200,
            json!({ "app_name": "Firecracker", "id": "a", "state": "Not started", "vmm_version": "1.2.3" }),
        ),
        _ => (204, Value::Null),
    }
}

fn configuration() -> Configuration {
    Configuration {
        boot_source: BootSource {
            kernel_image_path: "/files/kernel".to_owned(),
            initrd_path: None,
            boot_args: None,
        },
        drives: vec![Drive {
            drive_id: "root".to_owned(),
            is_root_device: true,
            partuuid: None,
            cache_type: None,
            is_read_only: Some(true),
            path_on_host: Some("/files/disk".to_owned()),
            rate_limiter: None,
            io_engine: None,
        }],
        machine_config: MachineConfiguration {
            vcpu_count: 2,
            mem_size_mib: 512,
            smt: false,
            track_dirty_pages: false,
            huge_pages: None,
        },
        network_interfaces: vec![NetworkInterface {
            iface_id: "eth0".to_owned(),
            host_dev_name: "tap0".to_owned(),
            guest_mac: None,
            mtu: None,
            rx_rate_limiter: None,
            tx_rate_limiter: None,
        }],
        vsock: Some(Vsock {
            guest_cid: 3,
            uds_path: "/run/v.sock".to_owned(),
        }),
        entropy: Some(Entropy::default()),
        logger: Some(Logger::default()),
    }
}

/// Makes every call there is.
async fn call_all(api: &Api) {
    api.configure(&configuration()).await.expect("configured");
    for action in [
        Action::InstanceStart,
        Action::SendCtrlAltDel,
        Action::FlushMetrics,
    ] {
        api.act(action).await.expect("done");
    }
    let drive = DriveUpdate {
        drive_id: "root".to_owned(),
        path_on_host: None,
        rate_limiter: None,
    };
    api.update_drive(&drive).await.expect("changed");
    let interface = NetworkInterfaceUpdate {
        iface_id: "eth0".to_owned(),
        rx_rate_limiter: None,
        tx_rate_limiter: None,
    };
    api.update_network_interface(&interface)
        .await
        .expect("changed");
    for state in [VmState::Paused, VmState::Resumed] {
        api.set_state(state).await.expect("set");
    }
    let create = SnapshotCreate {
        snapshot_type: SnapshotType::Full,
        snapshot_path: "/run/state".to_owned(),
        mem_file_path: "/run/memory".to_owned(),
    };
    api.create_snapshot(&create).await.expect("created");
    let load = SnapshotLoad {
        snapshot_path: "/files/state".to_owned(),
        mem_backend: MemoryBackend {
            backend_type: BackendType::File,
            backend_path: "/files/memory".to_owned(),
        },
        resume_vm: true,
        network_overrides: Vec::new(),
        vsock_override: None,
    };
    api.load_snapshot(&load).await.expect("loaded");
    assert_eq!(api.version().await.expect("told"), "1.2.3");
    assert_eq!(
        api.instance().await.expect("told").state,
        InstanceState::NotStarted
    );
    assert_eq!(api.machine().await.expect("told").mem_size_mib, 512);
}

/// The calls in the order of [`call_all`], with the bodies that are short.
fn expected() -> Vec<(&'static str, &'static str, Option<Value>)> {
    vec![
        ("PUT", "/logger", Some(json!({}))),
        ("PUT", "/machine-config", None),
        (
            "PUT",
            "/boot-source",
            Some(json!({ "kernel_image_path": "/files/kernel" })),
        ),
        ("PUT", "/drives/root", None),
        (
            "PUT",
            "/network-interfaces/eth0",
            Some(json!({ "iface_id": "eth0", "host_dev_name": "tap0" })),
        ),
        (
            "PUT",
            "/vsock",
            Some(json!({ "guest_cid": 3, "uds_path": "/run/v.sock" })),
        ),
        ("PUT", "/entropy", Some(json!({}))),
        (
            "PUT",
            "/actions",
            Some(json!({ "action_type": "InstanceStart" })),
        ),
        (
            "PUT",
            "/actions",
            Some(json!({ "action_type": "SendCtrlAltDel" })),
        ),
        (
            "PUT",
            "/actions",
            Some(json!({ "action_type": "FlushMetrics" })),
        ),
        ("PATCH", "/drives/root", Some(json!({ "drive_id": "root" }))),
        (
            "PATCH",
            "/network-interfaces/eth0",
            Some(json!({ "iface_id": "eth0" })),
        ),
        ("PATCH", "/vm", Some(json!({ "state": "Paused" }))),
        ("PATCH", "/vm", Some(json!({ "state": "Resumed" }))),
        ("PUT", "/snapshot/create", None),
        (
            "PUT",
            "/snapshot/load",
            Some(json!({
                "snapshot_path": "/files/state",
                "mem_backend": { "backend_type": "File", "backend_path": "/files/memory" },
                "resume_vm": true
            })),
        ),
        ("GET", "/version", Some(Value::Null)),
        ("GET", "/", Some(Value::Null)),
        ("GET", "/machine-config", Some(Value::Null)),
    ]
}

#[tokio::test]
async fn every_call_has_its_published_method_path_and_body() {
    let server = Server::new(everything_is_well);
    call_all(&server.api).await;
    let calls = server.calls.lock().expect("whole").clone();
    let expected = expected();
    assert_eq!(calls.len(), expected.len(), "{calls:#?}");
    for ((method, path, body), (its_method, its_path, its_body)) in calls.iter().zip(&expected) {
        assert_eq!((method.as_str(), path.as_str()), (*its_method, *its_path));
        if let Some(its_body) = its_body {
            assert_eq!(body, its_body, "{method} {path}");
        }
    }
}

#[test]
fn every_call_is_in_the_published_description() {
    let Some(file) = std::env::var_os("UC_FIRECRACKER_API") else {
        println!("skipped: UC_FIRECRACKER_API names no description of Firecracker's API");
        return;
    };
    let text = std::fs::read_to_string(file).expect("readable");
    let (_, paths) = text.split_once("\npaths:\n").expect("paths");
    let (paths, _) = paths.split_once("\ndefinitions:\n").expect("definitions");
    let mut published = Vec::new();
    let mut path = "";
    for line in paths.lines() {
        let key = line.trim_end().strip_suffix(':').unwrap_or_default();
        match key.len() - key.trim_start().len() {
            2 => path = key.trim_start(),
            4 => published.push((key.trim_start().to_uppercase(), path)),
            _ => {}
        }
    }
    for (method, path, _) in expected() {
        let path = path
            .replace("/root", "/{drive_id}")
            .replace("/eth0", "/{iface_id}");
        let found = published
            .iter()
            .any(|(one, at)| one == method && *at == path);
        assert!(found, "{method} {path}");
    }
}

#[tokio::test]
async fn answers_of_another_form_are_refused() {
    let server = Server::new(|_| (200, json!({ "state": "On fire" })));
    let problem = server.api.version().await.expect_err("no version");
    assert_eq!(problem.kind(), ProblemKind::Unavailable);
    let problem = server.api.instance().await.expect_err("no such state");
    assert_eq!(problem.place(), Some("GET /"));
    let server = Server::new(|_| (500, json!({ "fault_message": "out of order" })));
    let problem = server.api.version().await.expect_err("refused");
    assert_eq!(
        problem.to_string(),
        "GET /version: Firecracker refused (found: out of order)"
    );
}
