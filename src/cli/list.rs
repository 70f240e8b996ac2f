//! `list`: what the CA has issued, and how long it lasts.

use ::time::{Duration, OffsetDateTime};
use clap::Args;
use serde_json::json;

use super::output::Style;
use super::pki::{acknowledge, days_left, parse_span, store, trust, warn_of_ledger};
use super::{Context, Exit, Outcome};
use crate::ca::Writer;
use crate::ca::catalogue::{Listed, Standing, catalogue};
use crate::ca::ledger::Event;
use crate::ca::rebuild::rebuild;
use crate::text;

/// List the certificates that the CA has issued.
///
/// The ledger says what was issued, the directory what is in use. With --expires-within the exit code is 1 when any
/// certificate in use, or the CA itself, ends that soon.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only those that end within this time, such as 30d; exit 1 when there are any.
    #[arg(long, value_name = "TIME", value_parser = parse_span)]
    expires_within: Option<Duration>,
    /// Also those that were replaced or revoked.
    #[arg(long)]
    all: bool,
    /// Write lines for certificates of this CA that the ledger lacks, such as when it was lost; then list.
    #[arg(long)]
    rebuild: bool,
}

/// Runs it.
pub fn run(context: &Context, args: &ListArgs) -> Outcome {
    let now = OffsetDateTime::now_utc();
    if args.rebuild {
        let mut writer = Writer::open_new(&context.global.pki_dir, &trust(context), "list --rebuild")?;
        warn_of_ledger(context, writer.store());
        let added = rebuild(&mut writer, now)?;
        context.out.note(format_args!("{} lines were added to the ledger", added.len()));
        if added.iter().any(|line| line.event == Event::Rebuild) {
            context.out.note("their profiles are guesses, marked with ?: no certificate says its profile");
        }
        acknowledge(context, writer, std::iter::empty())?;
    }
    let store = store(context)?;
    if !store.ledger().is_there() {
        context.out.warning("the ledger is missing; list --rebuild writes it anew from the certificates");
    }
    warn_of_ledger(context, &store);
    let mut listed = catalogue(&store, now)?;
    if let Some(within) = args.expires_within {
        listed.retain(|one| one.standing.is_in_use() && one.not_after - now <= within);
    } else if !args.all {
        listed.retain(|one| one.standing.is_in_use() || one.standing == Standing::Revoked);
    }
    if context.global.json {
        let documents: Vec<_> = listed.iter().map(|one| one_json(one, now)).collect();
        context.out.json(&json!({"certificates": documents}));
    } else {
        table(context, &listed, now);
    }
    if args.rebuild {
        context.out.check()?;
    }
    let any_expires = args.expires_within.is_some() && !listed.is_empty();
    Ok(if any_expires { Exit::No } else { Exit::Done })
}

fn profile(one: &Listed) -> String {
    let guess = if one.profile_guessed { "?" } else { "" };
    one.profile.as_ref().map_or_else(|| "-".into(), |profile| format!("{profile}{guess}"))
}

fn one_json(one: &Listed, now: OffsetDateTime) -> serde_json::Value {
    let mut value = serde_json::to_value(one).unwrap_or_default();
    value["expires_in_days"] = json!((one.not_after - now).whole_seconds().div_euclid(86_400));
    value
}

fn table(context: &Context, listed: &[Listed], now: OffsetDateTime) {
    let out = &context.out;
    if listed.is_empty() {
        out.note("nothing to list");
        return;
    }
    let rows: Vec<[String; 5]> = listed
        .iter()
        .map(|one| {
            let days = days_left(one.not_after, now);
            let cells = [
                one.name.clone(),
                profile(one),
                format!("{days}d"),
                one.standing.to_string(),
                one.serial.clone(),
            ];
            // Before they are measured.
            cells.map(|cell| text::escaped(&cell).into_owned())
        })
        .collect();
    let heads = ["NAME", "PROFILE", "ENDS IN", "STATE", "SERIAL"];
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0).max(heads[column].len())
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let line = |cells: [&str; 5]| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        padded.join("  ")
    };
    out.line(out.paint(format_args!("{}  NAMES", line(heads)), Style::Bold));
    for (row, one) in rows.iter().zip(listed) {
        let style = match one.standing {
            Standing::Valid if days_left(one.not_after, now) >= 30 => Style::Green,
            Standing::Valid | Standing::NotYetValid => Style::Yellow,
            Standing::Replaced => Style::Dim,
            _ => Style::Red,
        };
        let text = line([&row[0], &row[1], &row[2], &row[3], &row[4]]);
        let names = if one.sans.is_empty() { "-".into() } else { one.sans.join(" ") };
        out.line(format_args!("{}  {names}", out.paint(text, style)));
    }
}
