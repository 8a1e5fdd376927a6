//! What a sweep leaves besides its runs: `sweep.csv`, the loss against each setting, all curves together, and
//! a page with everything.

use crate::Result;
use crate::io::html::Page;
use crate::io::plots::curves::{self, CurvePanel, Series};
use crate::io::plots::points::{self, PointPanel};
use crate::sweep::combine::SEED;
use crate::sweep::ending::Outcome;
use crate::sweep::folder::Sweep;
use crate::sweep::results::{self, Kind, Results, Row};
use crate::train::summary::{Statistics, number};
use std::path::Path;

/// Groups whose curves have colours and names.
const NAMED: usize = 6;

/// Runs that differ by their seeds alone.
pub struct Group {
    /// The settings that differ, in words; "the only settings" where none does.
    pub label: String,
    /// Their places in the sweep.
    pub members: Vec<usize>,
    /// Over the runs that are done; none where one has failed, was dropped, or is not done.
    pub loss: Option<Statistics>,
}

/// The groups, the best first and those without a loss last.
pub fn groups(sweep: &Sweep, rows: &[Row]) -> Vec<Group> {
    let group = |members: Vec<usize>| {
        let label = sweep.runs[members[0]].describe(sweep.varied_but_seed());
        let label = if label.is_empty() { "all".to_owned() } else { label };
        let losses: Option<Vec<f64>> = members.iter().map(|&i| rows[i].final_loss()).collect();
        Group { label, members, loss: losses.map(|losses| Statistics::of(&losses)) }
    };
    let mut groups: Vec<Group> = sweep.groups().into_iter().map(group).collect();
    let worth = |group: &Group| group.loss.map_or(f64::INFINITY, |loss| loss.mean);
    groups.sort_by(|a, b| worth(a).total_cmp(&worth(b)));
    groups
}

/// The run with the smallest loss of those that are done.
pub fn best(rows: &[Row]) -> Option<usize> {
    let losses = rows.iter().enumerate().filter_map(|(i, row)| Some((i, row.final_loss()?)));
    losses.min_by(|a, b| a.1.total_cmp(&b.1)).map(|(i, _)| i)
}

/// "16 done, 1 failed", in the order of the outcomes.
pub fn counts<'a>(rows: impl Iterator<Item = &'a Row> + Clone) -> String {
    let count = |outcome: Outcome| rows.clone().filter(|row| row.outcome == outcome).count();
    let told =
        Outcome::ALL.into_iter().map(|outcome| (outcome, count(outcome))).filter(|(_, count)| *count > 0);
    told.map(|(outcome, count)| format!("{count} {outcome}")).collect::<Vec<_>>().join(", ")
}

/// Writes the table, the pictures and the page into the folder.
///
/// # Errors
/// Those of writing files.
pub fn write(folder: &Path, sweep: &Sweep, results: &Results) -> Result<()> {
    let Results { rows, kind } = results;
    results::write(&folder.join("sweep.csv"), sweep, rows)?;
    let groups = groups(sweep, rows);
    draw_curves(&folder.join("curves.png"), sweep, rows, *kind, &groups)?;
    let mut page = Page::new("unheat sweep");
    let seconds: f64 = rows.iter().map(Row::seconds).sum();
    page.paragraph(&format!(
        "{}: {}. Training took {} in all, runs side by side counted each.",
        runs(rows.len()),
        counts(rows.iter()),
        time(seconds)
    ));
    for made in results::made_by(sweep, folder) {
        page.paragraph(&format!("Trained with {made}."));
    }
    if let Some(best) = best(rows) {
        page.paragraph(&said_of_best(sweep, rows, &groups, best));
    }
    page.paragraph(kind.describe());
    page.heading("Settings, the best first");
    let header =
        ["settings", "runs", "loss: mean ± std over seeds", "smallest", "largest", "seconds per run"];
    let lines: Vec<[String; 6]> = groups.iter().map(|group| line_of_group(group, rows)).collect();
    page.table(&header, &lines);
    if !sweep.varied.is_empty() {
        let picture = folder.join("settings.png");
        draw_settings(&picture, sweep, rows)?;
        page.heading("Loss against each setting");
        page.paragraph(
            "Every dot is a run that is done; the other settings differ as well. Where values repeat, the \
             line joins their medians.",
        );
        page.picture(&picture, "Loss against each setting")?;
    }
    page.heading("Loss over steps");
    if groups.len() > NAMED {
        page.paragraph(&format!("The best {NAMED} have colours; the others are grey."));
    }
    page.picture(&folder.join("curves.png"), "Loss over steps")?;
    page.heading("All runs");
    let own = ["outcome", "steps", "loss", "seconds", "what it said last"];
    let flags: Vec<String> = sweep.varied.iter().map(|name| name.replace('_', "-")).collect();
    let header: Vec<&str> = ["run"].into_iter().chain(flags.iter().map(String::as_str)).chain(own).collect();
    let lines: Vec<Vec<String>> = (0..rows.len()).map(|i| line_of_run(sweep, rows, i)).collect();
    page.table(&header, &lines);
    page.heading("Settings that all runs share");
    page.paragraph("All others have their defaults. sweep.toml holds these and those of every run.");
    page.code(&sweep.common().to_string());
    page.write(&folder.join("report.html"))
}

/// The best settings over their seeds, and the best run.
pub fn said_of_best(sweep: &Sweep, rows: &[Row], groups: &[Group], best: usize) -> String {
    let run = &sweep.runs[best];
    let loss = number(rows[best].loss.unwrap_or(f64::NAN));
    let settings = run.describe(&sweep.varied);
    let settings = if settings.is_empty() { String::new() } else { format!(" ({settings})") };
    let single = format!("The best run is {:03}{settings}: loss {loss}.", run.number);
    match groups.first().and_then(|group| Some((group, group.loss?))) {
        Some((group, loss)) if group.members.len() > 1 && group.members.len() == rows.len() => {
            format!("The mean loss is {} ± {}. {single}", number(loss.mean), number(loss.std))
        }
        Some((group, loss)) if group.members.len() > 1 => format!(
            "The best settings are {}: loss {} ± {} over {} seeds. {single}",
            group.label,
            number(loss.mean),
            number(loss.std),
            group.members.len()
        ),
        _ => single,
    }
}

fn line_of_group(group: &Group, rows: &[Row]) -> [String; 6] {
    let own: Vec<&Row> = group.members.iter().map(|&i| &rows[i]).collect();
    let seconds = own.iter().map(|row| row.seconds()).sum::<f64>() / own.len() as f64;
    let none = || "–".to_owned();
    let [mean, low, high] = match group.loss {
        None => [none(), none(), none()],
        Some(loss) if own.len() == 1 => [number(loss.mean), none(), none()],
        Some(loss) => {
            [format!("{} ± {}", number(loss.mean), number(loss.std)), number(loss.min), number(loss.max)]
        }
    };
    [group.label.clone(), counts(own.iter().copied()), mean, low, high, format!("{seconds:.1}")]
}

fn line_of_run(sweep: &Sweep, rows: &[Row], i: usize) -> Vec<String> {
    let (run, row) = (&sweep.runs[i], &rows[i]);
    let mut cells = vec![format!("{:03}", run.number)];
    cells.extend(sweep.varied.iter().map(|name| run.value(name)));
    cells.push(row.outcome.to_string());
    cells.push(row.progressed.steps().to_string());
    cells.push(row.loss.map_or("–".to_owned(), number));
    cells.push(format!("{:.1}", row.seconds()));
    cells.push(row.message.clone());
    cells
}

fn time(seconds: f64) -> String {
    match seconds {
        ..120.0 => format!("{seconds:.1} s"),
        ..7200.0 => format!("{:.1} minutes", seconds / 60.0),
        _ => format!("{:.1} hours", seconds / 3600.0),
    }
}

fn draw_settings(path: &Path, sweep: &Sweep, rows: &[Row]) -> Result<()> {
    let panel = |name: &String| {
        let points = sweep.runs.iter().zip(rows);
        let points = points.filter_map(|(run, row)| Some((run.value(name), row.final_loss()?)));
        let flag = name.replace('_', "-");
        PointPanel {
            title: format!("loss against {flag}"),
            x_label: if *name == SEED { flag } else { format!("--{flag}") },
            y_label: "loss".to_owned(),
            points: points.collect(),
        }
    };
    points::points(path, &sweep.varied.iter().map(panel).collect::<Vec<_>>())
}

/// The x loss of every run, or its y loss where there is no truth.
fn draw_curves(path: &Path, sweep: &Sweep, rows: &[Row], kind: Kind, groups: &[Group]) -> Result<()> {
    let has_truth = kind != Kind::Y;
    let mut series = Vec::new();
    for (place, group) in groups.iter().enumerate() {
        for &i in &group.members {
            let rows = &rows[i].progressed.rows;
            series.push(Series {
                label: if place < NAMED { group.label.clone() } else { "others".to_owned() },
                steps: rows.iter().map(|row| row.step).collect(),
                values: rows
                    .iter()
                    .map(|row| if has_truth { row.x_l2_mean } else { row.y_l2_mean })
                    .collect(),
                is_faint: place >= NAMED,
                ..Series::default()
            });
        }
    }
    let (title, y_label) =
        if has_truth { ("x loss", "½‖x* − x‖²") } else { ("y loss", "½‖y* − y‖²") };
    let panel = CurvePanel {
        title: format!("{title} (mean of the batch)"),
        x_label: "step".to_owned(),
        y_label: y_label.to_owned(),
        series,
    };
    curves::curves(path, &runs(sweep.runs.len()), &[panel])
}

/// So many runs, in words.
pub fn runs(count: usize) -> String {
    if count == 1 { "1 run".to_owned() } else { format!("{count} runs") }
}
