//! Renewal: an app's time is counted anew, never beyond its tier's longest life.

use dayfly_model::diagnostic::Diagnostic;
use dayfly_model::names::AppName;
use dayfly_model::platform::app::Lifetime;
use dayfly_model::platform::{App, Environment, Platform, duration_text};
use dayfly_model::rule::Rule;
use dayfly_model::snapshot::Snapshot;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::expiry::{Expiry, ExpiryReason, day, expiry};
use crate::history::Life;
use crate::proposal::{FileEdit, Proposal, ProposalAction, branch, set_fields};
use crate::situation::{Situation, subject};

/// The proposal to renew an app. With a `ttl` its time counts from today (`spec.renewed`); with `expires` the date moves
/// `by` this long, as far as the tier lets it, and counts from today where the tier's longest `ttl` asks for that. Refused
/// where nothing would be gained.
pub fn renew(
    platform: &Platform,
    snapshot: &Snapshot,
    situation: &Situation<'_>,
    name: &AppName,
    by: Option<SignedDuration>,
) -> Result<Proposal, Diagnostic> {
    let (app, environment) = subject(platform, name)?;
    let before = situation.expiry(app, environment);
    let refuse = |field: &str, message: String, help: String| {
        Err(app.spans.finding(Rule::RENEW_REFUSED, field, message).about(name).help(help))
    };
    let today = situation.now.to_zoned(TimeZone::UTC).date();
    let (field, lifetime) = match wanted(app, by, today, &before) {
        Ok(wanted) => wanted,
        Err((field, message, help)) => return refuse(field, message, help),
    };
    let renewal = Renewal::of(app, environment, situation, lifetime, today);
    if renewal.after.at <= before.at {
        return refuse(field, no_gain(name, environment, &before), help(&before));
    }
    // What was suspended because its time was up runs again.
    let resumes = app.suspend && before.is_due(situation.now);
    let edit = set_fields(snapshot, name, &renewal.fields(resumes), &["ttl", "expires"])?;
    Ok(proposal(app, environment, edit, &before, &renewal.after))
}

/// The field that a renewal is about, and the lifetime that it asks for.
///
/// # Errors
/// Why an app of its kind is not renewed like that: the field, the fact, and the next step.
fn wanted(
    app: &App,
    by: Option<SignedDuration>,
    today: Date,
    before: &Expiry,
) -> Result<(&'static str, Lifetime), (&'static str, String, String)> {
    let name = &app.name;
    match (app.lifetime, by) {
        (Lifetime::Ttl(_), Some(_)) => {
            let message = format!("{name} lives for a ttl, and `--by` moves the date of an app that has one");
            let help = format!("Leave `--by` out (`dayfly renew {name}`): the ttl counts anew. Or write another ttl.");
            Err(("spec.ttl", message, help))
        }
        (Lifetime::Ttl(_), None) if app.renewed == Some(today) => {
            let message = format!("{name} was renewed today already, and ends on {}", day(before.at));
            Err(("spec.renewed", message, "Renew it again on another day.".into()))
        }
        (Lifetime::Ttl(_), None) => Ok(("spec.renewed", app.lifetime)),
        (Lifetime::Until(_), None) => {
            let help = "Say by how much, such as 7d, or write a later date.".to_owned();
            Err(("spec.expires", "is a date, and a date is not renewed".into(), help))
        }
        (Lifetime::Until(at), Some(by)) => Ok(("spec.expires", Lifetime::Until(at.checked_add(by).unwrap_or(at)))),
    }
}

/// What becomes of an app that is renewed.
struct Renewal {
    lifetime: Lifetime,
    after: Expiry,
    /// The day that `spec.renewed` gets, where the app's time starts anew.
    renewed: Option<Date>,
}

impl Renewal {
    fn of(app: &App, environment: &Environment, situation: &Situation<'_>, lifetime: Lifetime, today: Date) -> Self {
        let (life, now) = (situation.life(&app.name), situation.now);
        let ends = |life: &Life| expiry(lifetime, environment, life, situation.baseline, now);
        let (as_it_is, renewed) = (ends(&life), ends(&Life { start: now, ..life.clone() }));
        // A later date counts from today where the tier's longest ttl from the old start would end it before.
        let starts_anew = renewed.at > as_it_is.at && app.renewed != Some(today);
        let after = if starts_anew { renewed } else { as_it_is };
        Self { lifetime, after, renewed: starts_anew.then_some(today) }
    }

    /// The fields of the manifest that change.
    fn fields(&self, resumes: bool) -> Vec<(&'static str, Value)> {
        let mut fields = Vec::new();
        if let Lifetime::Until(at) = self.lifetime {
            // No later date than the one that holds.
            let date = if self.after.at < at { last_day(self.after.at) } else { moment_text(at) };
            fields.push(("spec.expires", Value::String(date)));
        }
        fields.extend(self.renewed.map(|today| ("spec.renewed", Value::String(today.to_string()))));
        fields.extend(resumes.then_some(("spec.suspend", Value::Bool(false))));
        fields
    }
}

fn proposal(app: &App, environment: &Environment, edit: FileEdit, before: &Expiry, after: &Expiry) -> Proposal {
    let (name, until) = (&app.name, day(after.at));
    Proposal {
        action: ProposalAction::Renew,
        apps: vec![name.clone()],
        tier: app.tier.clone(),
        by: environment.changes,
        branch: branch(ProposalAction::Renew, name, &app.tier),
        edits: vec![edit],
        title: format!("{name}: renew until {until}"),
        body: format!(
            "{name} of {} would end on {}; renewed it ends on {until} by {}.",
            app.owner,
            day(before.at),
            after.reason
        ),
        labels: vec![],
        reason: format!("renewed until {until}"),
    }
}

/// A moment as manifests write it: the end of a day as that day, another as a time.
fn moment_text(at: Timestamp) -> String {
    let last = last_day(at);
    if last == day(at) { at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string() } else { last }
}

/// The last day before a moment.
fn last_day(at: Timestamp) -> String {
    day(at.checked_sub(SignedDuration::from_secs(1)).unwrap_or(at))
}

fn no_gain(name: &AppName, environment: &Environment, before: &Expiry) -> String {
    match &before.reason {
        ExpiryReason::MaxLifetime { max, born } => format!(
            "{name} was born on {} and {} lets no app live longer than {}, so it ends on {} whatever is renewed",
            day(*born),
            environment.tier,
            duration_text(*max),
            day(before.at)
        ),
        _ => format!("renewing {name} gains nothing: it ends on {} by {}", day(before.at), before.reason),
    }
}

fn help(before: &Expiry) -> String {
    match before.reason {
        ExpiryReason::MaxLifetime { .. } => {
            "Promote it to a tier that keeps apps longer, or let it go and make a new one.".into()
        }
        _ => "Let it run until then.".into(),
    }
}
