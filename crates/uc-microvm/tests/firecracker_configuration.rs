//! What we write for Firecracker, held against a table of its API's fields, and the table against its published
//! description where `UC_FIRECRACKER_API` names that (`src/firecracker/swagger/firecracker.yaml` of its sources).
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test says with them what it expected"
)]

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uc_microvm::firecracker::{
    api::{
        BackendType, DriveUpdate, MemoryBackend, NetworkInterfaceUpdate, NetworkOverride,
        SnapshotCreate, SnapshotLoad, SnapshotType, VsockOverride,
    },
    configuration::{
        BootSource, CacheType, Configuration, Drive, Entropy, HugePages, IoEngine, LogLevel,
        Logger, MachineConfiguration, NetworkInterface, RateLimiter, TokenBucket, Vsock,
    },
    monitor,
};

/// Definition, field, type (`=` before the name of another definition, `[]` after what it is an array of), whether it
/// is required. Every field that we write is listed, and every field that is required.
const FIELDS: &[(&str, &str, &str, bool)] = &[
    ("FullVmConfiguration", "boot-source", "=BootSource", false),
    ("FullVmConfiguration", "drives", "=Drive[]", false),
    (
        "FullVmConfiguration",
        "machine-config",
        "=MachineConfiguration",
        false,
    ),
    (
        "FullVmConfiguration",
        "network-interfaces",
        "=NetworkInterface[]",
        false,
    ),
    ("FullVmConfiguration", "vsock", "=Vsock", false),
    ("FullVmConfiguration", "entropy", "=EntropyDevice", false),
    ("FullVmConfiguration", "logger", "=Logger", false),
    ("BootSource", "kernel_image_path", "string", true),
    ("BootSource", "initrd_path", "string", false),
    ("BootSource", "boot_args", "string", false),
    ("Drive", "drive_id", "string", true),
    ("Drive", "is_root_device", "boolean", true),
    ("Drive", "partuuid", "string", false),
    ("Drive", "cache_type", "string", false),
    ("Drive", "is_read_only", "boolean", false),
    ("Drive", "path_on_host", "string", false),
    ("Drive", "rate_limiter", "=RateLimiter", false),
    ("Drive", "io_engine", "string", false),
    ("RateLimiter", "bandwidth", "=TokenBucket", false),
    ("RateLimiter", "ops", "=TokenBucket", false),
    ("TokenBucket", "size", "integer", true),
    ("TokenBucket", "one_time_burst", "integer", false),
    ("TokenBucket", "refill_time", "integer", true),
    ("MachineConfiguration", "vcpu_count", "integer", true),
    ("MachineConfiguration", "mem_size_mib", "integer", true),
    ("MachineConfiguration", "smt", "boolean", false),
    (
        "MachineConfiguration",
        "track_dirty_pages",
        "boolean",
        false,
    ),
    ("MachineConfiguration", "huge_pages", "string", false),
    ("NetworkInterface", "iface_id", "string", true),
    ("NetworkInterface", "host_dev_name", "string", true),
    ("NetworkInterface", "guest_mac", "string", false),
    ("NetworkInterface", "mtu", "integer", false),
    ("NetworkInterface", "rx_rate_limiter", "=RateLimiter", false),
    ("NetworkInterface", "tx_rate_limiter", "=RateLimiter", false),
    ("Vsock", "guest_cid", "integer", true),
    ("Vsock", "uds_path", "string", true),
    ("EntropyDevice", "rate_limiter", "=RateLimiter", false),
    ("Logger", "log_path", "string", false),
    ("Logger", "level", "string", false),
    ("Logger", "show_level", "boolean", false),
    ("Logger", "show_log_origin", "boolean", false),
    ("Logger", "module", "string", false),
    ("PartialDrive", "drive_id", "string", true),
    ("PartialDrive", "path_on_host", "string", false),
    ("PartialDrive", "rate_limiter", "=RateLimiter", false),
    ("PartialNetworkInterface", "iface_id", "string", true),
    (
        "PartialNetworkInterface",
        "rx_rate_limiter",
        "=RateLimiter",
        false,
    ),
    (
        "PartialNetworkInterface",
        "tx_rate_limiter",
        "=RateLimiter",
        false,
    ),
    ("InstanceActionInfo", "action_type", "string", true),
    ("Vm", "state", "string", true),
    ("SnapshotCreateParams", "snapshot_type", "string", false),
    ("SnapshotCreateParams", "snapshot_path", "string", true),
    ("SnapshotCreateParams", "mem_file_path", "string", true),
    ("SnapshotLoadParams", "snapshot_path", "string", true),
    ("SnapshotLoadParams", "mem_backend", "=MemoryBackend", false),
    ("SnapshotLoadParams", "resume_vm", "boolean", false),
    (
        "SnapshotLoadParams",
        "network_overrides",
        "=NetworkOverride[]",
        false,
    ),
    (
        "SnapshotLoadParams",
        "vsock_override",
        "=VsockOverride",
        false,
    ),
    ("MemoryBackend", "backend_type", "string", true),
    ("MemoryBackend", "backend_path", "string", true),
    ("NetworkOverride", "iface_id", "string", true),
    ("NetworkOverride", "host_dev_name", "string", true),
    ("VsockOverride", "uds_path", "string", true),
];

/// Definition, field, a value that we write: each must be among the published ones.
const VALUES: &[(&str, &str, &[&str])] = &[
    ("Drive", "cache_type", &["Unsafe", "Writeback"]),
    ("Drive", "io_engine", &["Sync", "Async"]),
    (
        "MachineConfiguration",
        "huge_pages",
        &["None", "Transparent", "2M"],
    ),
    (
        "Logger",
        "level",
        &["Error", "Warning", "Info", "Debug", "Trace", "Off"],
    ),
    (
        "InstanceActionInfo",
        "action_type",
        &["InstanceStart", "SendCtrlAltDel", "FlushMetrics"],
    ),
    ("Vm", "state", &["Paused", "Resumed"]),
    ("SnapshotCreateParams", "snapshot_type", &["Full", "Diff"]),
    ("MemoryBackend", "backend_type", &["File", "Uffd"]),
];

fn limiter() -> Option<RateLimiter> {
    let bucket = TokenBucket {
        size: 1 << 20,
        one_time_burst: Some(1 << 22),
        refill_time: 100,
    };
    Some(RateLimiter {
        bandwidth: Some(bucket),
        ops: Some(bucket),
    })
}

/// A microVM with everything that can be said.
fn full() -> Configuration {
    let text = |text: &str| Some(text.to_owned());
    Configuration {
        boot_source: BootSource {
            kernel_image_path: "kernel".to_owned(),
            initrd_path: text("initrd"),
            boot_args: text("console=ttyS0 reboot=k panic=1"),
        },
        drives: vec![Drive {
            drive_id: "root".to_owned(),
            is_root_device: true,
            partuuid: text("0eaa91a0-01"),
            cache_type: Some(CacheType::Unsafe),
            is_read_only: Some(true),
            path_on_host: text("root.ext4"),
            rate_limiter: limiter(),
            io_engine: Some(IoEngine::Sync),
        }],
        machine_config: MachineConfiguration {
            vcpu_count: 2,
            mem_size_mib: 512,
            smt: true,
            track_dirty_pages: true,
            huge_pages: Some(HugePages::TwoMebibytes),
        },
        network_interfaces: vec![NetworkInterface {
            iface_id: "eth0".to_owned(),
            host_dev_name: "tap0".to_owned(),
            guest_mac: text("06:00:AC:10:00:02"),
            mtu: Some(1500),
            rx_rate_limiter: limiter(),
            tx_rate_limiter: limiter(),
        }],
        vsock: Some(Vsock {
            guest_cid: 3,
            uds_path: "v.sock".to_owned(),
        }),
        entropy: Some(Entropy {
            rate_limiter: limiter(),
        }),
        logger: Some(Logger {
            log_path: text("log"),
            level: Some(LogLevel::Warning),
            show_level: Some(true),
            show_log_origin: Some(false),
            module: text("api_server"),
        }),
    }
}

/// Only what must be said.
fn least() -> Configuration {
    Configuration {
        boot_source: BootSource {
            kernel_image_path: "kernel".to_owned(),
            initrd_path: None,
            boot_args: None,
        },
        drives: Vec::new(),
        machine_config: MachineConfiguration {
            vcpu_count: 1,
            mem_size_mib: 128,
            smt: false,
            track_dirty_pages: false,
            huge_pages: None,
        },
        network_interfaces: Vec::new(),
        vsock: None,
        entropy: None,
        logger: None,
    }
}

/// Every body that we send, by its definition: with all fields, and with as few as can be.
fn bodies() -> Vec<(&'static str, Value)> {
    let update = |all: bool| DriveUpdate {
        drive_id: "root".to_owned(),
        path_on_host: all.then(|| "other.ext4".to_owned()),
        rate_limiter: if all { limiter() } else { None },
    };
    let interface = |all: bool| NetworkInterfaceUpdate {
        iface_id: "eth0".to_owned(),
        rx_rate_limiter: if all { limiter() } else { None },
        tx_rate_limiter: if all { limiter() } else { None },
    };
    let create = SnapshotCreate {
        snapshot_type: SnapshotType::Full,
        snapshot_path: "state".to_owned(),
        mem_file_path: "memory".to_owned(),
    };
    let load = |all: bool| SnapshotLoad {
        snapshot_path: "state".to_owned(),
        mem_backend: MemoryBackend {
            backend_type: BackendType::File,
            backend_path: "memory".to_owned(),
        },
        resume_vm: true,
        network_overrides: Vec::from_iter(all.then(|| NetworkOverride {
            iface_id: "eth0".to_owned(),
            host_dev_name: "tap1".to_owned(),
        })),
        vsock_override: all.then(|| VsockOverride {
            uds_path: "v.sock".to_owned(),
        }),
    };
    vec![
        ("FullVmConfiguration", json!(full())),
        ("FullVmConfiguration", json!(least())),
        ("PartialDrive", json!(update(true))),
        ("PartialDrive", json!(update(false))),
        ("PartialNetworkInterface", json!(interface(true))),
        ("PartialNetworkInterface", json!(interface(false))),
        ("SnapshotCreateParams", json!(create)),
        ("SnapshotLoadParams", json!(load(true))),
        ("SnapshotLoadParams", json!(load(false))),
    ]
}

/// Checks a value against the table, and notes which of its rows it used.
fn check(definition: &str, value: &Value, used: &mut BTreeMap<(String, String), bool>) {
    let object = value.as_object().expect("an object");
    for (name, value) in object {
        let row = FIELDS
            .iter()
            .find(|row| row.0 == definition && row.1 == name);
        let (_, _, kind, _) = row.unwrap_or_else(|| panic!("{definition}.{name} is not listed"));
        used.insert((definition.to_owned(), name.clone()), true);
        match kind.strip_prefix('=') {
            Some(inner) => match inner.strip_suffix("[]") {
                Some(inner) => {
                    for one in value.as_array().expect("an array") {
                        check(inner, one, used);
                    }
                }
                None => check(inner, value, used),
            },
            None => {
                let good = match *kind {
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_u64(),
                    other => panic!("{other}"),
                };
                assert!(good, "{definition}.{name} is no {kind}: {value}");
            }
        }
    }
    for (_, name, ..) in FIELDS.iter().filter(|row| row.0 == definition && row.3) {
        assert!(
            object.contains_key(*name),
            "{definition}.{name} is required: {value}"
        );
    }
}

#[test]
fn every_field_that_is_written_is_listed_with_its_type() {
    let mut used = BTreeMap::new();
    for (definition, body) in bodies() {
        check(definition, &body, &mut used);
    }
    let elsewhere = ["InstanceActionInfo", "Vm"];
    for (definition, name, ..) in FIELDS.iter().filter(|row| !elsewhere.contains(&row.0)) {
        let key = ((*definition).to_owned(), (*name).to_owned());
        assert!(
            used.contains_key(&key),
            "{definition}.{name} is listed and never written"
        );
    }
}

#[test]
fn the_example_of_the_source_document() {
    let text = r#"{
        "boot-source": {
            "kernel_image_path": "vmlinux.bin",
            "boot_args": "console=ttyS0 reboot=k panic=1 pci=off"
        },
        "drives": [{
            "drive_id": "rootfs",
            "path_on_host": "rootfs.ext4",
            "is_root_device": true,
            "is_read_only": false
        }],
        "machine-config": { "vcpu_count": 2, "mem_size_mib": 512 }
    }"#;
    let configuration = Configuration::from_json(text).expect("M1.3's example");
    assert_eq!(configuration.machine_config.vcpu_count, 2);
    assert_eq!(configuration.machine_config.mem_size_mib, 512);
    let written = configuration.to_json().expect("valid");
    assert_eq!(
        Configuration::from_json(&written).expect("read again"),
        configuration
    );
    let full = full();
    let written = full.to_json().expect("valid");
    assert_eq!(
        Configuration::from_json(&written).expect("read again"),
        full
    );
}

#[test]
fn a_machine_of_the_driver_is_that_example_with_our_files() {
    let configuration = monitor::configuration(2, 512, 2).expect("fits");
    let text = configuration.to_json().expect("valid");
    let written: Value = serde_json::from_str(&text).expect("JSON");
    let disk = |name: &str| {
        json!({
            "drive_id": name, "is_root_device": false, "is_read_only": true,
            "path_on_host": format!("/files/{name}"),
        })
    };
    let expected = json!({
        "boot-source": {
            "kernel_image_path": "/files/kernel",
            "initrd_path": "/files/initramfs",
            "boot_args": "console=ttyS0 reboot=k panic=1 pci=off quiet loglevel=4 random.trust_cpu=on",
        },
        "drives": [disk("disk0"), disk("disk1")],
        "machine-config": {
            "vcpu_count": 2, "mem_size_mib": 512, "smt": false, "track_dirty_pages": false,
        },
        "vsock": { "guest_cid": 3, "uds_path": "/run/v.sock" },
        "entropy": {},
    });
    assert_eq!(written, expected);
    // The table is that of the published description.
    check("FullVmConfiguration", &written, &mut BTreeMap::new());
}

#[test]
fn what_firecracker_would_refuse_is_refused_before() {
    type Change = fn(&mut Configuration);
    let cases: &[(Change, &str)] = &[
        (|c| c.machine_config.vcpu_count = 0, "1 to 32; found: 0"),
        (|c| c.machine_config.vcpu_count = 33, "1 to 32; found: 33"),
        (|c| c.machine_config.vcpu_count = 3, "found: 3"),
        (|c| c.machine_config.mem_size_mib = 0, "found: 0 MiB"),
        (|c| c.machine_config.mem_size_mib = 129, "found: 129 MiB"),
        (|c| c.drives[0].drive_id = "../vm".to_owned(), "drive_id"),
        (|c| c.drives.push(c.drives[0].clone()), "same name"),
        (
            |c| c.network_interfaces[0].mtu = Some(60),
            "found: 60 bytes",
        ),
        (|c| c.vsock.as_mut().expect("one").guest_cid = 2, "found: 2"),
        (
            |c| c.vsock.as_mut().expect("one").uds_path = "v".repeat(120),
            "vsock.uds_path: the path of a socket is too long (expected: 96 bytes; found: 120 bytes)",
        ),
    ];
    for (change, words) in cases {
        let mut configuration = full();
        change(&mut configuration);
        let problem = configuration.to_json().expect_err(words);
        assert!(
            problem.to_string().contains(words),
            "{problem} lacks {words}"
        );
    }
    let problem =
        Configuration::from_json("{\n \"boot_source\": {} }").expect_err("a typing error");
    assert_eq!(problem.place(), Some("line 2 column 14"));
}

/// What the description says of a field.
#[derive(Debug, Default)]
struct Published {
    kind: String,
    values: Vec<String>,
}

/// The fields and the required fields of each definition. It reads the few shapes that this description has: every level is
/// indented by two.
fn read_description(text: &str) -> BTreeMap<String, (BTreeMap<String, Published>, Vec<String>)> {
    let mut definitions: BTreeMap<String, (BTreeMap<String, Published>, Vec<String>)> =
        BTreeMap::new();
    let (mut name, mut part, mut field, mut in_values) = (String::new(), "", String::new(), false);
    let body = text.split_once("\ndefinitions:\n").expect("definitions").1;
    for line in body.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let depth = (line.len() - line.trim_start().len()) / 2;
        let key = trimmed.strip_suffix(':').unwrap_or(trimmed);
        if depth == 1 {
            key.clone_into(&mut name);
            part = "";
        } else if depth == 2 {
            part = match key {
                "required" => "required",
                "properties" => "properties",
                _ => "",
            };
        } else if part == "required" {
            let item = trimmed.trim_start_matches("- ").to_owned();
            definitions.entry(name.clone()).or_default().1.push(item);
        } else if part == "properties" && depth == 3 {
            key.clone_into(&mut field);
            in_values = false;
            let fields = &mut definitions.entry(name.clone()).or_default().0;
            fields.insert(field.clone(), Published::default());
        } else if part == "properties" {
            let fields = &mut definitions.entry(name.clone()).or_default().0;
            let published = fields.get_mut(&field).expect("begun");
            read_property(trimmed, depth, published, &mut in_values);
        }
    }
    definitions
}

fn read_property(line: &str, depth: usize, published: &mut Published, in_values: &mut bool) {
    let unquoted = |text: &str| text.trim().trim_matches(['"', '\'']).to_owned();
    if let (true, Some(value)) = (*in_values && depth == 5, line.strip_prefix("- ")) {
        published.values.push(unquoted(value));
        return;
    }
    *in_values = false;
    let Some((key, value)) = line
        .split_once(": ")
        .or_else(|| line.strip_suffix(':').map(|k| (k, "")))
    else {
        return;
    };
    let reference = unquoted(value).replace("#/definitions/", "=");
    match (key, depth) {
        ("type", 4) => published.kind = value.to_owned(),
        ("$ref", 4) => published.kind = reference,
        ("$ref", 5) => published.kind = format!("{reference}[]"),
        ("enum", 4) if value.is_empty() => *in_values = true,
        ("enum", 4) => {
            let values = value.trim_matches(['[', ']']).split(',');
            published.values = values.map(unquoted).collect();
        }
        _ => {}
    }
}

#[test]
fn the_table_is_that_of_the_published_description() {
    let Some(file) = std::env::var_os("UC_FIRECRACKER_API") else {
        println!("skipped: UC_FIRECRACKER_API names no description of Firecracker's API");
        return;
    };
    let text = std::fs::read_to_string(file).expect("readable");
    let definitions = read_description(&text);
    for (definition, name, kind, required) in FIELDS {
        let (fields, needed) = &definitions[*definition];
        let published = fields.get(*name);
        let published = published.unwrap_or_else(|| panic!("{definition}.{name} is not published"));
        assert_eq!(published.kind, *kind, "{definition}.{name}");
        assert_eq!(
            needed.contains(&(*name).to_owned()),
            *required,
            "{definition}.{name}"
        );
    }
    for (definition, (_, needed)) in &definitions {
        if FIELDS.iter().any(|row| row.0 == definition) {
            for name in needed {
                let listed = FIELDS
                    .iter()
                    .any(|row| row.0 == definition && row.1 == name);
                assert!(listed, "{definition}.{name} is required and not listed");
            }
        }
    }
    for (definition, name, values) in VALUES {
        let published = &definitions[*definition].0[*name].values;
        for value in *values {
            assert!(
                published.iter().any(|one| one == value),
                "{definition}.{name}: {value}"
            );
        }
    }
}

#[test]
fn every_value_that_is_written_is_listed() {
    let written = |definition: &str, field: &str, value: Value| {
        let row = VALUES
            .iter()
            .find(|row| row.0 == definition && row.1 == field);
        let value = value.as_str().expect("text").to_owned();
        assert!(row.expect("listed").2.contains(&value.as_str()), "{value}");
    };
    for value in [CacheType::Unsafe, CacheType::Writeback] {
        written("Drive", "cache_type", json!(value));
    }
    for value in [IoEngine::Sync, IoEngine::Async] {
        written("Drive", "io_engine", json!(value));
    }
    for value in [
        HugePages::None,
        HugePages::Transparent,
        HugePages::TwoMebibytes,
    ] {
        written("MachineConfiguration", "huge_pages", json!(value));
    }
    for value in [
        LogLevel::Error,
        LogLevel::Warning,
        LogLevel::Info,
        LogLevel::Debug,
        LogLevel::Trace,
        LogLevel::Off,
    ] {
        written("Logger", "level", json!(value));
    }
    for value in [SnapshotType::Full, SnapshotType::Diff] {
        written("SnapshotCreateParams", "snapshot_type", json!(value));
    }
    for value in [BackendType::File, BackendType::Uffd] {
        written("MemoryBackend", "backend_type", json!(value));
    }
}
