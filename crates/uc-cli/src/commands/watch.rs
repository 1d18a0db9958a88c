//! `uc watch`: guards this host's memory. Sees, judges, decides, writes down, and only then acts.

mod act;
mod config;
mod exposition;
mod guard;
mod news;
mod pattern;
mod remote;
mod replicas;
mod sources;
mod subject;
mod view;
mod webhook;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::Args;
use rustix::termios::tcgetwinsize;
use uc_engine::{Home, home::make_private};
use uc_foresight::eviction::{Action, Event};
use uc_metrics::history::{Bounds, History};
use uc_model::{Problem, Result};

use self::{
    config::{Config, Source},
    exposition::Page,
    guard::{Guard, Traits},
    news::Teller,
    sources::{Sources, Wanted},
    subject::{Handle, Subject},
    view::Terminal,
};
use super::{engine, foresight};
use crate::{cli::Format, printing};

/// Seconds between two looks while something is tense.
const TENSE_INTERVAL: Duration = Duration::from_secs(1);
/// Seconds between two writings of samples; what is decided is written at once.
const WRITE_EVERY: Duration = Duration::from_secs(15);
/// The largest fleet that is written down, in bytes: ten thousand workloads with the longest names, and as many evictions.
const LARGEST_FLEET: usize = 24 << 20;
/// A problem that stays is told again after this long.
const TELL_AGAIN: Duration = Duration::from_secs(600);

/// Forecast the memory of what runs here, and stop a leak before the kernel kills
#[derive(Debug, Args)]
#[command(
    after_help = "Watches every workload of uc, and what is named besides. A workload of uc whose memory leaks and is about to meet its
limit is asked to end (SIGTERM, with its own grace), and started again if it is detached. Anything else is only reported, unless
the configuration allows to stop it. Samples and decisions survive a crash of this program; nothing is done twice.

Examples:
  uc watch                                          one line for each event
  uc watch --live                                   a table that is drawn anew
  uc watch --cgroup /kubepods --format json         report on other control groups
  uc watch --process postgres                       report on all processes of this name
  uc watch --prometheus http://127.0.0.1:9090 --selector 'namespace=\"shop\"' --dry-run
  uc watch --config watch.toml --listen 127.0.0.1:9105

A configuration, read again when it changes:
  protect = [\"db/*\"]                 never evicted
  stop = [\"cgroup/batch/*\"]          may be stopped although not ours
  hook = \"/usr/local/bin/page-me\"    gets each event as JSON on its standard input
  webhook = \"https://chat.example\"   is posted each event as JSON; http on this machine only
  webhook_token_file = \"token\"       the bearer token that it asks for
  restart = true                     detached workloads are started again
  [policy]
  fleet_evictions = 5                at most so many within window_s
  grace_s = 30
  [policy.min_healthy]
  percent = 50                       of each group of replicas at least so many keep running
  [[group]]                          replicas, besides Pods of one app.kubernetes.io/name or app
  name = \"shop\"
  members = [\"cgroup/shop/*\"]"
)]
pub(crate) struct WatchArgs {
    /// Watch the control groups below this one as well
    #[arg(long, value_name = "PATH")]
    cgroup: Vec<String>,
    /// Watch a process as well
    #[arg(long, value_name = "PID")]
    pid: Vec<u32>,
    /// Watch all processes of this name as well, new ones too
    #[arg(long, value_name = "NAME")]
    process: Vec<String>,
    /// Watch the containers that a Prometheus knows (cAdvisor's names)
    #[arg(long, value_name = "URL")]
    prometheus: Option<String>,
    /// Which of them: label matchers
    #[arg(long, default_value = "container!=\"\"", requires = "prometheus")]
    selector: String,
    /// A file with the token that Prometheus asks for
    #[arg(long, value_name = "FILE", requires = "prometheus")]
    token_file: Option<PathBuf>,
    /// Report what would be stopped, and stop nothing
    #[arg(long)]
    dry_run: bool,
    /// Draw a table on the terminal
    #[arg(long)]
    live: bool,
    /// Seconds between two looks; while something is tense, one at most
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=300))]
    interval: u64,
    /// Serve metrics at /metrics
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
    /// Policy, protected names, groups, hooks
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Weights of another model than this release's
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS")]
    r#for: Option<u64>,
}

impl WatchArgs {
    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            groups: &self.cgroup,
            pids: &self.pid,
            names: &self.process,
            prometheus: self
                .prometheus
                .as_deref()
                .map(|url| (url, self.selector.as_str(), self.token_file.clone())),
            interval: Duration::from_secs(self.interval),
        }
    }
}

/// Runs the command.
pub(crate) fn watch(args: &WatchArgs, format: Format) -> Result<ExitCode> {
    if args.live && format == Format::Json {
        return Err(Problem::invalid("a live view is for people")
            .at("--live")
            .remedy("leave out one of --live and --format json"));
    }
    let mut watch = Watch::open(args, format)?;
    let begun = Instant::now();
    loop {
        watch.look()?;
        if args
            .r#for
            .is_some_and(|seconds| begun.elapsed() >= Duration::from_secs(seconds))
        {
            watch.teller.finish();
            for problem in watch.teller.problems() {
                watch.trouble(&problem);
            }
            watch.guard.write()?;
            return Ok(ExitCode::SUCCESS);
        }
        let interval = Duration::from_secs(args.interval);
        thread::sleep(if watch.guard.is_tense() {
            interval.min(TENSE_INTERVAL)
        } else {
            interval
        });
    }
}

struct Watch {
    home: Home,
    config: Source,
    sources: Sources,
    guard: Guard,
    teller: Teller,
    page: Page,
    is_dry: bool,
    is_live: bool,
    evictions: u64,
    written: Instant,
    told: BTreeSet<String>,
    told_since: Instant,
}

impl Watch {
    fn open(args: &WatchArgs, format: Format) -> Result<Self> {
        let home = engine()?.home().clone();
        let config = Source::open(args.config.as_deref(), args.interval)?;
        let model = foresight::model(args.weights.as_deref())?;
        let sources = Sources::new(home.clone(), args.wanted())?;
        make_private(&home.watch())?;
        let (history, damage) = History::open(home.watch().join("history.redb"), bounds())?;
        let mut teller = Teller::new(format, args.live);
        teller.follow(&config.config)?;
        if let Some(problem) = damage {
            teller.trouble(&problem);
        }
        let (guard, is_recovered) = Guard::open(history, model, &config.config.policy)?;
        let page = Page::default();
        if let Some(address) = args.listen {
            let address = page.serve(address)?;
            printing::say(&format!("metrics at http://{address}/metrics\n"));
        }
        let mut watch = Self {
            home,
            config,
            sources,
            guard,
            teller,
            page,
            is_dry: args.dry_run,
            is_live: args.live,
            evictions: 0,
            written: Instant::now(),
            told: BTreeSet::new(),
            told_since: Instant::now(),
        };
        if is_recovered {
            watch.happen(vec![Event::Recovered], now_s());
        }
        Ok(watch)
    }

    /// One look at everything, and what follows from it.
    fn look(&mut self) -> Result<()> {
        let mut problems = Vec::new();
        match self.config.reload() {
            Ok(true) => {
                problems.extend(self.teller.follow(&self.config.config).err());
                self.happen(vec![Event::PolicyChanged], now_s());
            }
            Ok(false) => {}
            Err(problem) => problems.push(problem),
        }
        let now_s = now_s();
        let sight = self.sources.look(now_s);
        let (config, is_dry) = (&self.config.config, self.is_dry);
        let groups = replicas::groups(&sight.subjects, &self.guard.fleet, config);
        let traits = |subject: &Subject| Traits {
            group: groups.get(&subject.name).cloned(),
            ..traits(subject, config, is_dry)
        };
        let thresholds = &config.policy.thresholds;
        let mut events = self
            .guard
            .see(sight, now_s, thresholds, traits, &mut problems);
        let runs_again: BTreeSet<&String> = events
            .iter()
            .filter_map(|event| match event {
                Event::Restarted { workload, .. } => Some(workload),
                _ => None,
            })
            .collect();
        let ended: Vec<String> = events
            .iter()
            .filter_map(|event| match event {
                Event::Exited { workload, .. } => Some(workload),
                _ => None,
            })
            .filter(|workload| !runs_again.contains(workload) && !self.restarts(workload))
            .cloned()
            .collect();
        events.extend(
            ended
                .into_iter()
                .map(|workload| Event::Vanished { workload }),
        );
        events.push(Event::Tick);
        self.happen(events, now_s);
        problems.extend(self.teller.problems());
        if self.written.elapsed() >= WRITE_EVERY {
            problems.extend(self.guard.write().err());
            self.written = Instant::now();
        }
        for problem in problems {
            self.trouble(&problem);
        }
        self.page
            .show(exposition::text(&self.guard, self.evictions));
        if self.is_live {
            self.draw(now_s)?;
        }
        Ok(())
    }

    fn restarts(&self, workload: &str) -> bool {
        self.config.config.restart.unwrap_or(true) && act::is_restartable(&self.home, workload)
    }

    /// Tells the fleet, tells people, acts, and tells the fleet what came of it.
    fn happen(&mut self, events: Vec<Event>, now_s: f64) {
        let mut events = events;
        // Answers lead to further actions at most: a stop is confirmed, a restart done. A few rounds settle that.
        for _ in 0..4 {
            if events.is_empty() {
                break;
            }
            let mut problems = Vec::new();
            let policy = &self.config.config.policy;
            let actions = self.guard.decide(&events, now_s, policy, &mut problems);
            for problem in problems {
                self.trouble(&problem);
            }
            events = self.carry_out(&actions, now_s);
        }
    }

    fn carry_out(&mut self, actions: &[Action], now_s: f64) -> Vec<Event> {
        let mut answers = Vec::new();
        for action in actions {
            let watched = self.guard.watched.get(name_of(action));
            let verdict = watched.and_then(|watched| watched.verdict().copied());
            let handle = watched.map(|watched| watched.handle.clone());
            let mut problems = Vec::new();
            problems.extend(self.teller.tell(now_s, action, verdict.as_ref()).err());
            self.evictions += u64::from(matches!(action, Action::Stop { .. }));
            answers.extend(act::carry_out(
                action,
                handle.as_ref(),
                &self.sources,
                &self.home,
                &mut problems,
            ));
            for problem in problems {
                self.trouble(&problem);
            }
        }
        answers
    }

    /// Tells a problem, once in a while.
    fn trouble(&mut self, problem: &Problem) {
        if self.told_since.elapsed() >= TELL_AGAIN {
            self.told.clear();
            self.told_since = Instant::now();
        }
        if self.told.len() < 1_000 && self.told.insert(problem.to_string()) {
            self.teller.trouble(problem);
        }
    }

    fn draw(&self, now_s: f64) -> Result<()> {
        let of_day = now_s as u64 % 86_400;
        let clock = format!(
            "{:02}:{:02}:{:02} UTC",
            of_day / 3_600,
            of_day / 60 % 60,
            of_day % 60
        );
        let size = tcgetwinsize(std::io::stdout()).ok();
        let terminal = Terminal {
            is_coloured: printing::is_coloured(),
            // A terminal without a size says zero.
            size: size
                .filter(|size| size.ws_col > 0 && size.ws_row > 0)
                .map(|size| (usize::from(size.ws_col), usize::from(size.ws_row))),
        };
        let lines = view::lines(&self.guard);
        let screen = view::screen(&lines, &clock, &self.teller.last, terminal);
        // Home, each line cleared to its end, the rest cleared: nothing flickers.
        let lines = screen.replace('\n', "\u{1b}[K\n");
        printing::result(&format!("\u{1b}[H{lines}\u{1b}[J"))
    }
}

/// Whether a subject is protected, and whether it is ours to stop.
fn traits(subject: &Subject, config: &Config, is_dry: bool) -> Traits {
    let is_ours = match subject.handle {
        Handle::Workload(_) => true,
        Handle::Group(_) | Handle::Process { .. } => config.may_stop(&subject.name),
        Handle::Remote => false,
    };
    Traits {
        protected: config.protects(&subject.name),
        owned: is_ours && !is_dry,
        group: None,
    }
}

/// The fleet's state is large where much is watched.
fn bounds() -> Bounds {
    Bounds {
        state_bytes: LARGEST_FLEET,
        ..Bounds::default()
    }
}

fn name_of(action: &Action) -> &str {
    match action {
        Action::Warn { workload }
        | Action::Stop { workload, .. }
        | Action::Kill { workload, .. }
        | Action::Restart { workload, .. }
        | Action::Inspect { workload, .. }
        | Action::WouldEvict { workload, .. }
        | Action::Report { workload, .. } => workload,
    }
}

fn now_s() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
