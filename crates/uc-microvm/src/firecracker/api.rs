//! Firecracker's API, call by call, as its published description has it.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uc_model::{Problem, Result};

use super::{
    client::Client,
    configuration::{
        BootSource, Configuration, Drive, Entropy, Logger, MachineConfiguration, NetworkInterface,
        RateLimiter, Vsock, check_identifier,
    },
    fault,
    http::{self, Method, Response},
};

/// How long a call may take that only notes something down.
const QUICK: Duration = Duration::from_secs(10);

/// How long a call may take that loads a kernel or stops processors; Firecracker itself waits 30 s for a processor.
const SLOW: Duration = Duration::from_secs(40);

/// How long a call may take that reads or writes the guest's whole memory.
const SNAPSHOT: Duration = Duration::from_secs(300);

/// A Firecracker, as it can be asked and told.
#[derive(Debug)]
pub struct Api {
    client: Client,
}

/// `GET /`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Instance {
    /// `Firecracker`.
    pub app_name: String,
    /// What it was started with.
    pub id: String,
    /// How far the microVM is.
    pub state: InstanceState,
    /// Firecracker's version.
    pub vmm_version: String,
}

/// How far a microVM is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum InstanceState {
    /// It waits for its configuration.
    #[serde(rename = "Not started")]
    NotStarted,
    /// Its processors run.
    Running,
    /// Its processors stand still.
    Paused,
}

/// What a running or waiting microVM has, as far as it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Machine {
    /// How many processors.
    pub vcpu_count: u8,
    /// Memory in MiB.
    pub mem_size_mib: u32,
}

/// `PUT /actions`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Action {
    /// Starts the guest.
    InstanceStart,
    /// Asks the guest to shut down (x86 alone).
    SendCtrlAltDel,
    /// Writes the metrics now.
    FlushMetrics,
}

/// `PATCH /vm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum VmState {
    /// The processors stand still.
    Paused,
    /// They run again.
    Resumed,
}

/// `PATCH /drives/ID`: another file for a drive of a running guest, or another speed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DriveUpdate {
    /// The drive.
    pub drive_id: String,
    /// The file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_on_host: Option<String>,
    /// The speed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limiter: Option<RateLimiter>,
}

/// `PATCH /network-interfaces/ID`: other speeds for an interface of a running guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkInterfaceUpdate {
    /// The interface.
    pub iface_id: String,
    /// How fast the guest may receive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rx_rate_limiter: Option<RateLimiter>,
    /// How fast it may send.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tx_rate_limiter: Option<RateLimiter>,
}

/// `PUT /snapshot/create`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotCreate {
    /// What of the memory is written.
    pub snapshot_type: SnapshotType,
    /// The file of the devices' and processors' state.
    pub snapshot_path: String,
    /// The file of the memory.
    pub mem_file_path: String,
}

/// What of the memory is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum SnapshotType {
    /// All of it.
    Full,
    /// What was written since the last snapshot.
    Diff,
}

/// `PUT /snapshot/load`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotLoad {
    /// The file of the devices' and processors' state.
    pub snapshot_path: String,
    /// The memory.
    pub mem_backend: MemoryBackend,
    /// Whether the processors run at once.
    pub resume_vm: bool,
    /// Interfaces that get another tap device.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub network_overrides: Vec<NetworkOverride>,
    /// Another path for the socket device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vsock_override: Option<VsockOverride>,
}

/// Where restored memory comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemoryBackend {
    /// How.
    pub backend_type: BackendType,
    /// The file, or the socket of who serves the pages.
    pub backend_path: String,
}

/// How restored memory comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum BackendType {
    /// The file is mapped; what is written is copied.
    File,
    /// Another process serves every page.
    Uffd,
}

/// Another tap device for an interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NetworkOverride {
    /// The interface.
    pub iface_id: String,
    /// The tap device.
    pub host_dev_name: String,
}

/// Another path for the socket device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VsockOverride {
    /// The path.
    pub uds_path: String,
}

impl Api {
    /// The API behind a client.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Whether somebody listens yet.
    ///
    /// # Errors
    /// As [`Client::is_listening`].
    pub async fn is_listening(&self) -> Result<bool> {
        self.client.is_listening().await
    }

    /// Firecracker's version, such as `1.13.1`.
    ///
    /// # Errors
    /// Unavailable, where it does not answer or not in the published form; so for every call here.
    pub async fn version(&self) -> Result<String> {
        #[derive(Deserialize)]
        struct Version {
            firecracker_version: String,
        }
        let version: Version = self.get("/version").await?;
        Ok(version.firecracker_version)
    }

    /// What runs here, and how far it is.
    ///
    /// # Errors
    /// See [`Api::version`].
    pub async fn instance(&self) -> Result<Instance> {
        self.get("/").await
    }

    /// Processors and memory.
    ///
    /// # Errors
    /// See [`Api::version`].
    pub async fn machine(&self) -> Result<Machine> {
        self.get("/machine-config").await
    }

    /// Configures the whole microVM. It does not start.
    ///
    /// # Errors
    /// What [`Configuration::check`] finds, or Firecracker's own refusal, mapped by `fault`.
    pub async fn configure(&self, configuration: &Configuration) -> Result<()> {
        configuration.check()?;
        if let Some(logger) = &configuration.logger {
            self.set_logger(logger).await?;
        }
        self.set_machine(&configuration.machine_config).await?;
        self.set_boot_source(&configuration.boot_source).await?;
        for drive in &configuration.drives {
            self.set_drive(drive).await?;
        }
        for interface in &configuration.network_interfaces {
            self.set_network_interface(interface).await?;
        }
        if let Some(vsock) = &configuration.vsock {
            self.set_vsock(vsock).await?;
        }
        if let Some(entropy) = &configuration.entropy {
            self.set_entropy(entropy).await?;
        }
        Ok(())
    }

    /// Sets where Firecracker logs to.
    ///
    /// # Errors
    /// Firecracker's refusal; so for every call that sets something.
    pub async fn set_logger(&self, logger: &Logger) -> Result<()> {
        self.put("/logger", logger, QUICK).await
    }

    /// Sets processors and memory.
    ///
    /// # Errors
    /// See [`Api::set_logger`].
    pub async fn set_machine(&self, machine: &MachineConfiguration) -> Result<()> {
        machine.check()?;
        self.put("/machine-config", machine, QUICK).await
    }

    /// Sets what the guest boots.
    ///
    /// # Errors
    /// See [`Api::set_logger`].
    pub async fn set_boot_source(&self, source: &BootSource) -> Result<()> {
        self.put("/boot-source", source, QUICK).await
    }

    /// Adds a drive, or replaces the one of its name.
    ///
    /// # Errors
    /// See [`Api::set_logger`].
    pub async fn set_drive(&self, drive: &Drive) -> Result<()> {
        check_identifier("drive_id", &drive.drive_id)?;
        let path = format!("/drives/{}", drive.drive_id);
        self.put(&path, drive, QUICK).await
    }

    /// Changes a drive of a running guest.
    ///
    /// # Errors
    /// See [`Api::set_logger`].
    pub async fn update_drive(&self, update: &DriveUpdate) -> Result<()> {
        check_identifier("drive_id", &update.drive_id)?;
        let path = format!("/drives/{}", update.drive_id);
        self.send(Method::Patch, &path, update, QUICK).await
    }

    /// Adds a network interface, or replaces the one of its name.
    ///
    /// # Errors
    /// See [`Api::set_logger`].
    pub async fn set_network_interface(&self, interface: &NetworkInterface) -> Result<()> {
        check_identifier("iface_id", &interface.iface_id)?;
        let path = format!("/network-interfaces/{}", interface.iface_id);
        self.put(&path, interface, QUICK).await
    }

    /// Changes a network interface of a running guest.
    ///
    /// # Errors
    /// See [`Api::set_logger`].
    pub async fn update_network_interface(&self, update: &NetworkInterfaceUpdate) -> Result<()> {
        check_identifier("iface_id", &update.iface_id)?;
        let path = format!("/network-interfaces/{}", update.iface_id);
        self.send(Method::Patch, &path, update, QUICK).await
    }

    /// Sets the socket device.
    ///
    /// # Errors
    /// See [`Api::set_logger`]; invalid, where the path is too long.
    pub async fn set_vsock(&self, vsock: &Vsock) -> Result<()> {
        vsock.check()?;
        self.put("/vsock", vsock, QUICK).await
    }

    /// Sets the source of randomness.
    ///
    /// # Errors
    /// See [`Api::set_logger`].
    pub async fn set_entropy(&self, entropy: &Entropy) -> Result<()> {
        self.put("/entropy", entropy, QUICK).await
    }

    /// Starts the guest, or asks it to shut down.
    ///
    /// # Errors
    /// Firecracker's refusal: a kernel of another format, a device that cannot be opened, KVM that cannot be used.
    pub async fn act(&self, action: Action) -> Result<()> {
        #[derive(Serialize)]
        struct Body {
            action_type: Action,
        }
        let body = Body {
            action_type: action,
        };
        self.put("/actions", &body, SLOW).await
    }

    /// Stops the processors or lets them run again.
    ///
    /// # Errors
    /// Firecracker's refusal.
    pub async fn set_state(&self, state: VmState) -> Result<()> {
        #[derive(Serialize)]
        struct Body {
            state: VmState,
        }
        self.send(Method::Patch, "/vm", &Body { state }, SLOW).await
    }

    /// Writes a paused microVM to files.
    ///
    /// # Errors
    /// Firecracker's refusal.
    pub async fn create_snapshot(&self, snapshot: &SnapshotCreate) -> Result<()> {
        self.put("/snapshot/create", snapshot, SNAPSHOT).await
    }

    /// Makes the microVM that files hold, in a Firecracker that has configured nothing yet.
    ///
    /// # Errors
    /// Firecracker's refusal: a snapshot cut off or of another version. It ends then.
    pub async fn load_snapshot(&self, snapshot: &SnapshotLoad) -> Result<()> {
        if let Some(vsock) = &snapshot.vsock_override {
            super::socket_path::check_vsock(&vsock.uds_path)?;
        }
        self.put("/snapshot/load", snapshot, SNAPSHOT).await
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let response = self.client.call(Method::Get, path, None, QUICK).await?;
        parsed(path, &response)
    }

    async fn put<T: Serialize + Sync>(
        &self,
        path: &str,
        body: &T,
        patience: Duration,
    ) -> Result<()> {
        self.send(Method::Put, path, body, patience).await
    }

    async fn send<T: Serialize + Sync>(
        &self,
        method: Method,
        path: &str,
        body: &T,
        patience: Duration,
    ) -> Result<()> {
        let body = serde_json::to_vec(body)
            .map_err(|error| Problem::internal("cannot write a request").caused_by(error))?;
        let response = self
            .client
            .call(method, path, Some(&body), patience)
            .await?;
        if response.is_success() {
            return Ok(());
        }
        Err(fault::of_response(method, path, &response))
    }
}

/// What an answer to a question says.
fn parsed<T: DeserializeOwned>(path: &str, response: &Response) -> Result<T> {
    if !response.is_success() {
        return Err(fault::of_response(Method::Get, path, response));
    }
    serde_json::from_slice(&response.body).map_err(|error| {
        Problem::unavailable("Firecracker's answer is not of the published form")
            .at(format!("GET {path}"))
            // It may quote the answer.
            .found(fault::printable(&error.to_string()))
            .remedy("use a released Firecracker of version 1")
    })
}

/// Does with an answer of a stranger all that a client does, for a fuzzer.
///
/// # Panics
/// Where an answer is read in another way when it comes in two pieces, is beyond the bounds, or would steer a terminal.
#[allow(clippy::panic, reason = "a fuzzer looks for panics")]
pub fn read_answer_for_fuzzing(bytes: &[u8]) {
    let whole = http::response(bytes);
    // What is decided by a beginning stays so, whatever follows.
    for end in [
        bytes.len() / 4,
        bytes.len() / 2,
        bytes.len().saturating_sub(1),
    ] {
        let beginning = bytes.get(..end).unwrap_or_default();
        match (http::response(beginning), &whole) {
            (Ok(None), _) | (Err(_), Err(_)) => {}
            (Ok(Some(early)), Ok(Some(late))) if early == *late => {}
            (early, late) => panic!("{early:?} becomes {late:?}"),
        }
    }
    let problem = match whole {
        Ok(None) => return,
        Err(problem) => vec![problem],
        Ok(Some(response)) => {
            assert!(response.body.len() <= http::MAX_RESPONSE_BODY);
            let instance = parsed::<Instance>("/", &response).err();
            let machine = parsed::<Machine>("/machine-config", &response).err();
            let refused = fault::of_response(Method::Put, "/actions", &response);
            instance
                .into_iter()
                .chain(machine)
                .chain([refused])
                .collect()
        }
    };
    for problem in problem {
        let said = problem.to_string();
        let is_bounded = said.len() < 8 << 10;
        assert!(is_bounded && !said.contains(char::is_control), "{said:?}");
    }
}
