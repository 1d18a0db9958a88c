//! The contract of [`uc_sandbox::Driver`] as test cases.

mod bench;
mod cases;
mod pausing;
mod ports;

use std::{sync::RwLock, time::Duration};

pub use bench::{Bench, Lines, Plan, Prepared, Running};
pub use cases::*;
pub use pausing::*;
pub use ports::*;
use uc_sandbox::{Driver, Payload};

/// What a case needs a program to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// Writes each further argument to standard output as a line.
    Arguments(&'static [&'static str]),
    /// Writes its whole environment to standard output, one `NAME=VALUE` a line, in order, and nothing else.
    Environment,
    /// Writes `out` and a line feed to standard output, `err` and a line feed to standard error.
    Streams,
    /// Exits with this code.
    Exit(u8),
    /// Writes `ready` and a line feed, then uses the CPU for ever.
    Spin,
    /// Writes `ready` and a line feed, then waits for ever without using the CPU.
    Sleep,
    /// Writes line after line for ever, and uses the CPU between them.
    Count,
    /// Writes line after line for ever, and waits for a clock between them.
    Tick,
    /// Takes memory until it is ended or gets no more, and then aborts.
    Eat,
    /// Copies standard input to standard output until its end.
    Echo,
    /// Writes `written` and a line feed to the file `out` in the directory mounted at `/data`; exits with 1 if it cannot.
    WriteMount,
    /// The same to the relative path `out`; the working directory is `/data`.
    WriteRelative,
}

/// A program that does a task.
#[derive(Debug, Clone)]
pub struct Program {
    /// What it consists of.
    pub payload: Payload,
    /// The whole argument vector.
    pub argv: Vec<String>,
}

/// Programs that meet at a port.
#[derive(Debug, Clone)]
pub struct Peers {
    /// Writes `ready` and a line feed, then answers connections, one after the other, with `pong` and a line feed.
    pub server: Program,
    /// Connects until it is answered, and writes the answer.
    pub client: Program,
    /// Listens and takes no connection; writes `ready` and a line feed once that is so.
    pub stuck: Program,
}

/// A driver and its programs.
pub trait Fixtures: Send + Sync {
    /// The driver under test.
    fn driver(&self) -> &dyn Driver;

    /// The program for a task.
    fn program(&self, task: Task) -> Program;

    /// A program that is not there.
    fn missing(&self) -> Program;

    /// Variables that the driver gives every program which has none of their names: OCI runtimes do, although their
    /// specification does not say so.
    fn adds(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether a sandbox is told beforehand that it will have one container, where that is so; otherwise it is told nothing.
    fn announces_one(&self) -> bool {
        false
    }

    /// Programs that meet at a port of the loopback, where this driver has such.
    fn peers(&self, port: u16) -> Option<Peers> {
        let _ = port;
        None
    }

    /// Whether what a program writes to a volume of its workload is seen on the host.
    fn writes_reach_host(&self) -> bool {
        true
    }
}

/// What a fixture function returns: fixtures, or why there are none here.
pub type Made = Result<Box<dyn Fixtures>, String>;

/// Longer than any case takes on a loaded machine.
const CASE_TIMEOUT: Duration = Duration::from_secs(120);

/// Cases run side by side, except those that count what the process has open.
static COUNTING: RwLock<()> = RwLock::new(());

/// Runs one case; [`driver_contract!`] calls it.
pub fn run(make: impl FnOnce() -> Made, case: impl AsyncFnOnce(&Bench)) {
    let _shared = COUNTING
        .read()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    run_unshared(make, case);
}

/// As [`run`], with no other case running in this process.
pub fn run_alone(make: impl FnOnce() -> Made, case: impl AsyncFnOnce(&Bench)) {
    let _alone = COUNTING
        .write()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    run_unshared(make, case);
}

fn run_unshared(make: impl FnOnce() -> Made, case: impl AsyncFnOnce(&Bench)) {
    let fixtures = match make() {
        Ok(fixtures) => fixtures,
        Err(why) => {
            println!("skipped: {why}");
            return;
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let bench = Bench::new(fixtures);
        tokio::time::timeout(CASE_TIMEOUT, case(&bench))
            .await
            .expect("the case ends in time");
    });
}

/// Makes one `#[test]` of each case of the driver contract. The argument is a function `fn() -> contract::Made`.
#[macro_export]
macro_rules! driver_contract {
    ($make:expr) => {
        $crate::driver_contract!(@ run $make;
            arguments_arrive_and_output_is_read
            environment_is_exact
            output_and_error_are_separate
            exit_codes_are_the_programs_own
            stdin_is_copied_to_its_end
            no_stdin_is_the_end_of_file
            create_does_not_run_the_program
            wait_answers_twice
            stop_before_start_ends_it
            stop_ends_a_busy_program
            stop_ends_a_sleeping_program
            stop_ends_a_program_that_waits_for_input
            stop_ends_a_program_that_nobody_reads
            stop_twice_answers_the_same
            stop_after_the_exit_answers_the_exit
            start_twice_is_refused
            pause_holds_a_busy_program
            pause_holds_a_program_that_waits
            pause_spares_the_other_containers
            pause_all_holds_the_containers_of_a_sandbox
            what_is_paused_twice_or_does_not_run_is_a_problem
            stats_are_had_and_nothing_is_executed_while_it_is_paused
            stop_ends_a_paused_program
            a_paused_container_can_be_destroyed_or_dropped
            two_containers_share_a_sandbox
            containers_share_a_loopback
            ports_are_probed
            a_port_that_nobody_answers_is_given_up
            unknown_containers_are_problems
            a_name_is_given_once
            removing_an_ended_container_frees_its_name
            a_missing_program_is_command_not_found
            the_memory_limit_ends_a_hog
            stats_are_plausible
            a_mount_is_written
            a_read_only_mount_is_not_written
            relative_paths_start_in_the_working_directory
            streams_close_at_the_exit
            dropping_a_sandbox_ends_its_programs
            a_created_container_can_be_destroyed
        );
        $crate::driver_contract!(@ run_alone $make;
            destroy_leaves_nothing
            fifty_sandboxes_leak_nothing
        );
    };
    (@ $run:ident $make:expr; $($case:ident)*) => {
        $(
            #[test]
            fn $case() {
                $crate::contract::$run($make, $crate::contract::$case);
            }
        )*
    };
}
