//! What is told: to people, as JSON lines, to a hook and to a webhook.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use serde::Serialize;
use uc_foresight::{Verdict, eviction::Action};
use uc_model::{Problem, Result};

use super::{config::Config, webhook::Webhook};
use crate::{
    cli::Format,
    printing::{self, Mark, marked},
};

/// Hooks that run at once, at most; what comes while so many run is not told to the hook.
const MOST_HOOKS: usize = 8;

/// One event as it is told.
#[derive(Debug, Serialize)]
pub(super) struct News<'a> {
    /// Seconds since 1970.
    t_s: f64,
    #[serde(flatten)]
    action: &'a Action,
    leak_probability: Option<f64>,
    rss_bytes: Option<u64>,
    limit_bytes: Option<u64>,
    forecast_end_bytes: Option<u64>,
    reason: Option<String>,
}

/// Where news goes.
pub(super) struct Teller {
    format: Format,
    is_live: bool,
    hook: Option<PathBuf>,
    hooks: Vec<Child>,
    webhook: Option<Webhook>,
    /// The last lines, for the live view.
    pub(super) last: Vec<String>,
}

impl Teller {
    pub(super) fn new(format: Format, is_live: bool) -> Self {
        Self {
            format,
            is_live,
            hook: None,
            hooks: Vec::new(),
            webhook: None,
            last: Vec::new(),
        }
    }

    /// Tells whom this configuration names from now on.
    pub(super) fn follow(&mut self, config: &Config) -> Result<()> {
        self.hook.clone_from(&config.hook);
        let is_same = self.webhook.as_ref().is_some_and(|webhook| {
            config.webhook.as_ref() == Some(&webhook.address)
                && config.webhook_token_file == webhook.token_file
        });
        if !is_same {
            self.webhook = None;
            if let Some(address) = &config.webhook {
                let webhook = Webhook::open(address, config.webhook_token_file.clone())?;
                self.webhook = Some(webhook);
            }
        }
        Ok(())
    }

    /// What went wrong with what was told earlier.
    pub(super) fn problems(&self) -> Vec<Problem> {
        self.webhook
            .as_ref()
            .map_or_else(Vec::new, Webhook::problems)
    }

    /// Waits a while for the webhook to be told what it has not been told yet.
    pub(super) fn finish(&self) {
        if let Some(webhook) = &self.webhook {
            webhook.finish();
        }
    }

    /// Tells an action and what speaks for it.
    pub(super) fn tell(
        &mut self,
        t_s: f64,
        action: &Action,
        verdict: Option<&Verdict>,
    ) -> Result<()> {
        let news = News {
            t_s,
            action,
            leak_probability: verdict.map(Verdict::leak_probability),
            rss_bytes: verdict.map(|verdict| verdict.level_bytes as u64),
            limit_bytes: verdict.and_then(|verdict| verdict.limit_bytes),
            forecast_end_bytes: verdict.map(|verdict| verdict.forecast_end_bytes as u64),
            reason: verdict.map(Verdict::reason),
        };
        let json = serde_json::to_string(&news)
            .map_err(|error| Problem::internal("cannot write an event").caused_by(error))?;
        let (mark, words) = words(action);
        let reason = news
            .reason
            .as_ref()
            .map_or_else(String::new, |reason| format!(": {reason}"));
        self.remember(format!("{words}{reason}"));
        match self.format {
            Format::Json => printing::result(&format!("{json}\n"))?,
            Format::Text if self.is_live => {}
            Format::Text => printing::result(&format!("{}{reason}\n", marked(mark, &words)))?,
        }
        if let Some(webhook) = &self.webhook {
            webhook.send(&json);
        }
        match self.hook.clone() {
            Some(hook) => self.call(&hook, &json),
            None => Ok(()),
        }
    }

    /// Tells what went wrong; watching goes on.
    pub(super) fn trouble(&mut self, problem: &Problem) {
        self.remember(problem.to_string());
        match self.format {
            _ if self.is_live => {}
            Format::Text => printing::problem(problem, self.format),
            Format::Json => {
                let line = serde_json::json!({ "action": "problem", "problem": problem.to_view() });
                // Whoever reads events has gone if this fails; the next event tells.
                let _ = printing::result(&format!("{line}\n"));
            }
        }
    }

    fn remember(&mut self, line: String) {
        self.last.push(line);
        if self.last.len() > 8 {
            self.last.remove(0);
        }
    }

    fn call(&mut self, hook: &Path, json: &str) -> Result<()> {
        self.hooks
            .retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_)) | Err(_)));
        let failed = |error| {
            Problem::host("cannot run the hook")
                .at(hook.display())
                .caused_by(error)
        };
        if self.hooks.len() >= MOST_HOOKS {
            return Err(
                Problem::unavailable("the hook is not called: too many of it still run")
                    .at(hook.display())
                    .limit(MOST_HOOKS),
            );
        }
        let mut child = Command::new(hook)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(failed)?;
        if let Some(mut input) = child.stdin.take() {
            // A line fits into the pipe, so this never waits. A hook that does not read is no error.
            let _ = input.write_all(format!("{json}\n").as_bytes());
        }
        self.hooks.push(child);
        Ok(())
    }
}

fn words(action: &Action) -> (Mark, String) {
    match action {
        Action::Warn { workload } => (Mark::Attention, format!("{workload} probably leaks")),
        Action::Stop { workload, .. } => (Mark::Bad, format!("stopping {workload}")),
        Action::Kill { workload, .. } => {
            (Mark::Bad, format!("killing {workload}, which did not end"))
        }
        Action::Restart { workload, .. } => (Mark::Good, format!("starting {workload} again")),
        Action::Inspect { workload, .. } => {
            (Mark::Quiet, format!("asking what became of {workload}"))
        }
        Action::WouldEvict { workload, because } => (
            Mark::Bad,
            format!(
                "{workload} should be stopped, but is not: {}",
                reason(because)
            ),
        ),
        Action::Report { workload, report } => {
            (Mark::Attention, format!("{workload}: {}", reason(report)))
        }
    }
}

/// A reason's name with its dashes as spaces.
fn reason(value: &impl Serialize) -> String {
    let value = serde_json::to_value(value).unwrap_or_default();
    let name = value
        .as_str()
        .or_else(|| value["because"].as_str())
        .or_else(|| value["report"].as_str());
    name.unwrap_or("unknown").replace('-', " ")
}
