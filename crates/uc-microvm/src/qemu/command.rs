//! QEMU's command line.

use std::os::fd::BorrowedFd;

use uc_guest_protocol::PORT_NAME;

use super::Qemu;
use crate::{
    jail::FIRST_DESCRIPTOR,
    machine::{Accelerator, Shape, command_line, serial},
};

/// How a machine starts.
pub(crate) enum Start<'a> {
    /// From its kernel.
    Boot {
        kernel: BorrowedFd<'a>,
        initramfs: BorrowedFd<'a>,
        /// Shared with us, where it may be saved.
        memory: Option<BorrowedFd<'a>>,
    },
    /// From a state that will be loaded.
    Restore {
        memory: BorrowedFd<'a>,
        /// Whether what the machine writes is to be seen in it.
        shared: bool,
    },
}

/// Most memory for translated code, in MiB: QEMU's own default is up to a gigabyte.
const TRANSLATIONS_MIB: u32 = 128;

/// Descriptors, and the numbers that they will have.
#[derive(Default)]
struct Inherited<'a>(Vec<BorrowedFd<'a>>);

impl<'a> Inherited<'a> {
    /// The number of one more.
    fn number(&mut self, descriptor: BorrowedFd<'a>) -> i32 {
        self.0.push(descriptor);
        FIRST_DESCRIPTOR + self.0.len() as i32 - 1
    }

    /// The path of one more, for options that take no numbers.
    fn path(&mut self, descriptor: BorrowedFd<'a>) -> String {
        format!("/proc/self/fd/{}", self.number(descriptor))
    }
}

/// The arguments, and what they refer to. `lines` lead to QMP, the agent and the console.
pub(super) fn command<'a>(
    qemu: &Qemu,
    shape: &Shape,
    start: &Start<'a>,
    lines: [BorrowedFd<'a>; 3],
    disks: &[BorrowedFd<'a>],
) -> (Vec<String>, Vec<BorrowedFd<'a>>) {
    let mut inherited = Inherited::default();
    let mut argv: Vec<String> = vec!["qemu-system-x86_64".into()];
    let mut add = |option: &str, value: String| argv.extend([option.to_owned(), value]);
    let [qmp, agent, console] = lines.map(|line| inherited.number(line));
    let acpi = if shape.kernel.needs_acpi { "on" } else { "off" };
    let serial_port = shape.kernel.console == "ttyS0";
    let isa = if serial_port { "on" } else { "off" };
    let mut machine = format!("microvm,acpi={acpi},x-option-roms=off,isa-serial={isa}");
    match start {
        Start::Boot {
            kernel,
            initramfs,
            memory,
        } => {
            add("-kernel", inherited.path(*kernel));
            add("-initrd", inherited.path(*initramfs));
            add("-append", command_line(&shape.kernel, qemu.accelerator));
            if let Some(memory) = memory {
                add("-object", object(shape, &inherited.path(*memory), "on"));
                machine.push_str(",memory-backend=ram");
            }
        }
        Start::Restore { memory, shared } => {
            let share = if *shared { "on" } else { "off" };
            add("-object", object(shape, &inherited.path(*memory), share));
            machine.push_str(",memory-backend=ram");
            add("-incoming", "defer".into());
        }
    }
    add("-M", machine);
    add("-accel", accelerator(qemu.accelerator));
    add("-cpu", "max".into());
    add("-m", format!("{}M", shape.memory_mib));
    add("-smp", shape.vcpus.to_string());
    add("-display", "none".into());
    add("-chardev", format!("socket,id=qmp,fd={qmp}"));
    add("-mon", "chardev=qmp,mode=control".into());
    add("-chardev", format!("socket,id=agent,fd={agent}"));
    add("-chardev", format!("socket,id=console,fd={console}"));
    add("-device", "virtio-serial-device".into());
    if serial_port {
        add("-serial", "chardev:console".into());
    } else {
        add("-device", "virtconsole,chardev=console".into());
    }
    add(
        "-device",
        format!("virtserialport,chardev=agent,name={PORT_NAME}"),
    );
    for (index, disk) in disks.iter().enumerate() {
        let path = inherited.path(*disk);
        add(
            "-drive",
            format!("id=disk{index},file={path},format=raw,if=none,readonly=on,file.locking=off"),
        );
        let serial = serial(index);
        add(
            "-device",
            format!("virtio-blk-device,drive=disk{index},serial={serial}"),
        );
    }
    if shape.ports.is_some() {
        add("-netdev", netdev(shape));
        add("-device", "virtio-net-device,netdev=net".into());
    }
    add(
        "-sandbox",
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny".into(),
    );
    argv.extend(["-nodefaults", "-no-user-config", "-no-reboot"].map(str::to_owned));
    (argv, inherited.0)
}

fn object(shape: &Shape, path: &str, share: &str) -> String {
    format!(
        "memory-backend-file,id=ram,size={}M,mem-path={path},share={share}",
        shape.memory_mib
    )
}

fn accelerator(accelerator: Accelerator) -> String {
    match accelerator {
        Accelerator::Kvm => "kvm".into(),
        Accelerator::Tcg => format!("tcg,tb-size={TRANSLATIONS_MIB}"),
    }
}

/// A network of user mode: the monitor makes connections in the guest's name, within its own network.
fn netdev(shape: &Shape) -> String {
    let mut text = "user,id=net".to_owned();
    for port in shape.ports.iter().flatten() {
        let protocol = match port.protocol {
            uc_model::workload::Protocol::Tcp => "tcp",
            uc_model::workload::Protocol::Udp => "udp",
        };
        let number = port.container_port;
        text.push_str(&format!(",hostfwd={protocol}::{number}-:{number}"));
    }
    text
}
