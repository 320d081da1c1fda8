//! `portcullis fsck`: a store checked, and repaired where that is asked for.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _, stderr, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::backend::disk::{self, Problem, Summary, Verdict, Watch};
use crate::config::{Config, Overrides};

/// What is checked, and what is done about it.
#[derive(Debug, clap::Args)]
pub(super) struct Fsck {
    /// The disk backend's directory, instead of the configuration's
    path: Option<PathBuf>,
    /// The TOML file that says where the disk backend is
    #[arg(long, value_name = "FILE", env = "PORTCULLIS_CONFIG")]
    config: Option<PathBuf>,
    /// Where generated files, state and the disk backend live [default: portcullis-data, beside the
    /// configuration or in the working directory where there is none]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Make what is missing, remove what a crash left, and move what is damaged aside, to
    /// damaged/BUCKET/TIME in the same directory
    #[arg(long)]
    repair: bool,
    /// One JSON object a line: each problem, then the summary
    #[arg(long)]
    json: bool,
}

/// Runs it: the exit code is 0 when the store is sound, 1 when problems are left, and 2 when not all of
/// it could be read, or it could not be opened.
pub(super) fn run(fsck: &Fsck) -> ExitCode {
    match check(fsck) {
        Ok(Verdict::Sound) => ExitCode::SUCCESS,
        Ok(Verdict::Problems) => ExitCode::from(1),
        Ok(Verdict::Unknown) => ExitCode::from(2),
        Err(why) => {
            let _ = writeln!(stderr(), "portcullis: {why}");
            ExitCode::from(2)
        }
    }
}

fn check(fsck: &Fsck) -> Result<Verdict, String> {
    let path = match &fsck.path {
        Some(path) => path.clone(),
        None => configured(fsck)?,
    };
    let mut telling = Telling {
        json: fsck.json,
        repair: fsck.repair,
        bar: bar(),
        failed: None,
    };
    let checked = disk::fsck(&path, fsck.repair, &mut telling);
    telling.bar.finish_and_clear();
    let summary = checked.map_err(|error| format!("`{}`: {error}", path.display()))?;
    telling.summary(&summary);
    match telling.failed {
        // What nobody could read was not told.
        Some(error) => Err(format!("what was found cannot be written: {error}")),
        None => Ok(summary.verdict()),
    }
}

fn configured(fsck: &Fsck) -> Result<PathBuf, String> {
    let overrides = Overrides {
        data: fsck.data.clone(),
        without_secrets: true,
        unopened: true,
        ..Overrides::default()
    };
    let config = Config::load(fsck.config.as_deref(), &overrides);
    Ok(config.map_err(|error| error.to_string())?.disk.path)
}

/// What goes on, for who looks at a terminal.
fn bar() -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    styled(
        &bar,
        "{spinner} {elapsed_precise}  {bytes} read, {bytes_per_sec}  {msg}",
    );
    bar.set_message("looking how much there is to read");
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn styled(bar: &ProgressBar, template: &str) {
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
}

/// Tells problems on standard output, and progress on standard error.
struct Telling {
    json: bool,
    repair: bool,
    bar: ProgressBar,
    /// Why standard output could not be written.
    failed: Option<std::io::Error>,
}

impl Telling {
    fn line(&mut self, line: &str) {
        let write = || writeln!(stdout().lock(), "{line}");
        if let Err(error) = self.bar.suspend(write) {
            self.failed.get_or_insert(error);
        }
    }

    fn summary(&mut self, summary: &Summary) {
        let line = match self.json {
            true => json(&serde_json::json!({ "summary": summary, "left": summary.left() })),
            false => in_words(summary, self.repair),
        };
        self.line(&line);
    }
}

impl Watch for Telling {
    fn wants_size(&self) -> bool {
        !self.bar.is_hidden()
    }

    fn expects(&mut self, bytes: u64) {
        let template = "{bar:24} {percent}%  {bytes} of {total_bytes} read, {bytes_per_sec}, {eta} left  {msg}";
        styled(&self.bar, template);
        self.bar.set_length(bytes);
    }

    fn goes_on(&mut self, so_far: &Summary, bucket: &str) {
        if self.bar.is_hidden() {
            return;
        }
        self.bar.set_position(so_far.bytes);
        let mut message = format!("{} objects", HumanCount(so_far.objects));
        let found: u64 = so_far.found.values().sum();
        if found > 0 {
            let _ = write!(message, ", {found} problems");
        }
        self.bar.set_message(format!("{message}  {bucket}"));
    }

    fn found(&mut self, problem: &Problem) {
        let line = match self.json {
            true => json(problem),
            false => as_text(problem),
        };
        self.line(&line);
    }
}

fn json(value: &impl serde::Serialize) -> String {
    // Texts and numbers: nothing in them fails.
    serde_json::to_string(value).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"))
}

/// One line, whatever is in a name.
fn as_text(problem: &Problem) -> String {
    let mut line = format!("{}: {}", problem.kind, problem.path.escape_debug());
    if let (Some(bucket), Some(key)) = (&problem.bucket, &problem.key) {
        let _ = write!(line, " (s3://{bucket}/{})", key.escape_debug());
    }
    let done = match problem.repaired {
        true => "repaired",
        false => problem.remedy,
    };
    let _ = write!(line, ": {}: {done}", problem.what.escape_debug());
    line
}

fn in_words(summary: &Summary, repair: bool) -> String {
    let Summary {
        buckets,
        objects,
        parts,
        uploads,
        bytes,
        found,
        repaired,
    } = summary;
    let mut text = format!(
        "{buckets} buckets, {objects} objects, {uploads} uploads, {parts} parts, {} read: ",
        HumanBytes(*bytes)
    );
    let counts: Vec<_> = found
        .iter()
        .map(|(kind, n)| format!("{n} {kind}"))
        .collect();
    match counts.is_empty() {
        true => text.push_str("sound"),
        false => text.push_str(&counts.join(", ")),
    }
    if repair && !counts.is_empty() {
        let _ = write!(text, "; {repaired} repaired, {} left", summary.left());
    }
    if summary.verdict() == Verdict::Unknown {
        text.push_str("; not everything could be read");
    }
    text
}
