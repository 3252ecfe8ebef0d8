//! Directories as administrators see them.

use admin_api::directory::{Directory as View, Names, ServerTrial};
use directory::attribute::Field;
use directory::person::{Person, Unusable};
use directory::read::Trial;
use directory::settings::Directory;

use super::refusal;

/// The settings.
pub(super) fn settings(settings: &Directory) -> View {
    let filled = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let attribute = |(field, attribute): (Field, &str)| (field.to_string(), attribute.to_owned());
    let mut trusted = trust::named(&settings.trust_pem);
    trusted.extend(settings.pins.iter().map(trust::name));
    View {
        name: settings.name.clone(),
        kind: settings.kind.name().to_owned(),
        servers: settings.servers.clone(),
        security: settings.security.name().to_owned(),
        trusted,
        bind_dn: filled(&settings.bind_dn),
        has_password: !settings.password.expose().is_empty(),
        base: settings.base.clone(),
        scope: if settings.is_one_level { "one" } else { "subtree" }.to_owned(),
        filter: settings.people().to_owned(),
        attributes: settings.map().iter().map(attribute).collect(),
        group_filter: filled(&settings.group_filter),
        every_minutes: settings.every_minutes,
        grace_hours: settings.grace_hours,
        lacks: settings.check().err().map(|failure| failure.what),
        users: 0,
        waiting: 0,
        gone: 0,
        groups: 0,
        is_reading: false,
        method: String::new(),
        read_unix_ms: None,
        failure: None,
    }
}

/// How the trial of a server went.
pub(super) fn trial(trial: Trial) -> ServerTrial {
    let mut view = ServerTrial {
        server: trial.server,
        refusal: None,
        people: 0,
        is_more: false,
        unusable: Names::default(),
        sample: Vec::new(),
        absent: Vec::new(),
    };
    match trial.outcome {
        Err(failure) => view.refusal = Some(refusal(&failure)),
        Ok(sample) => {
            view.people = u64::try_from(sample.people).unwrap_or(u64::MAX);
            view.is_more = sample.is_more;
            view.unusable = unusable(&sample.unusable);
            view.absent = sample.absent.iter().map(ToString::to_string).collect();
            view.sample = sample.person.as_ref().map(fields).unwrap_or_default();
        }
    }
    view
}

pub(super) fn unusable(entries: &[Unusable]) -> Names {
    let mut names = Names::default();
    for entry in entries {
        names.add(format!("{}: {}", entry.dn, entry.why));
    }
    names
}

fn fields(person: &Person) -> Vec<(String, String)> {
    let mut fields =
        vec![("dn".to_owned(), person.dn.clone()), ("id".to_owned(), person.id.clone())];
    let known = person.fields.iter();
    fields.extend(known.map(|(field, values)| (field.to_string(), values.join(", "))));
    fields
}
