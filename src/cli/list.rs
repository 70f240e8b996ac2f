//! `list`: what the CA has issued, and how long it lasts.

use ::time::{Duration, OffsetDateTime};
use clap::Args;
use serde_json::json;

use super::output::Style;
use super::pki::{acknowledge, date, days_left, parse_span, store, trust, warn_of_ledger};
use super::table::{Column, Fit, Table};
use super::{Context, Exit, Outcome};
use crate::ca::Writer;
use crate::ca::catalogue::{Listed, Standing, catalogue};
use crate::ca::ledger::Event;
use crate::ca::rebuild::rebuild;

/// Certificates that end within this time are shown in yellow.
const SOON: Duration = Duration::days(30);

/// List the certificates that the CA has issued.
///
/// The ledger says what was issued, the directory what is in use. With --expires-within the exit code is 1 when any
/// certificate in use, or the CA itself, ends that soon. On a terminal a row is one line, and what does not fit is cut; a
/// pipe gets every value whole.
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
    value["expires_in_days"] = json!(days_left(one.not_after, now));
    value
}

/// The common name of an issuer, or its whole subject where it has none.
fn issuer(subject: &str) -> &str {
    let common_name = subject.split(", ").find_map(|part| part.strip_prefix("CN="));
    common_name.unwrap_or(subject)
}

const COLUMNS: [Column; 8] = [
    Column::text("NAME", Fit::Whole),
    Column::text("STATE", Fit::Whole),
    Column::text("ENDS", Fit::Whole),
    Column::number("DAYS"),
    Column::text("PROFILE", Fit::Whole),
    Column::text("ISSUER", Fit::Cut(8)),
    Column::text("NAMES", Fit::Cut(12)),
    Column::text("SERIAL", Fit::Optional),
];

fn table(context: &Context, listed: &[Listed], now: OffsetDateTime) {
    if listed.is_empty() {
        context.out.note("nothing to list");
        return;
    }
    let mut table = Table::new(&COLUMNS);
    for one in listed {
        let style = match one.standing {
            Standing::Valid if one.not_after - now >= SOON => Style::Green,
            Standing::Valid | Standing::NotYetValid => Style::Yellow,
            Standing::Replaced => Style::Dim,
            _ => Style::Red,
        };
        let cells = [
            one.name.clone(),
            one.standing.to_string(),
            date(one.not_after),
            days_left(one.not_after, now).to_string(),
            profile(one),
            one.issuer.as_deref().map_or("-", issuer).to_owned(),
            if one.sans.is_empty() { "-".into() } else { one.sans.join(" ") },
            one.serial.clone(),
        ];
        table.row(cells, Some(style));
    }
    table.print(&context.out);
}
