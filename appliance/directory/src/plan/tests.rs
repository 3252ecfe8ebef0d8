//! Plans over a small directory.

use std::collections::BTreeMap;

use super::*;
use crate::attribute::Field;

const HOUR: u64 = 3_600_000;
const NOW: u64 = 1_000 * HOUR;

fn person(number: u8, id: &str) -> Person {
    let dn = format!("uid={id},dc=x");
    Person { key: [number; 16], dn, id: id.to_owned(), fields: BTreeMap::new() }
}

fn known(people: &[(u8, &str, Standing)]) -> BTreeMap<Key, Known> {
    people
        .iter()
        .map(|(number, id, standing)| {
            let person = person(*number, id);
            (person.key, Known { person, standing: standing.clone() })
        })
        .collect()
}

fn users(ids: &[&str]) -> BTreeMap<Key, Known> {
    let numbered = (1..).zip(ids).map(|(number, id)| (number, *id, Standing::User));
    known(&numbered.collect::<Vec<_>>())
}

fn made(known: &BTreeMap<Key, Known>, free: usize, reading: &Reading) -> Plan {
    let others = BTreeMap::from([("local".to_owned(), false), ("foreign".to_owned(), true)]);
    plan(
        Before {
            known,
            others: &others,
            free,
            now_unix_ms: NOW,
            grace_ms: 24 * HOUR,
            is_forced: false,
        },
        reading,
    )
}

fn full(people: Vec<Person>, known: &BTreeMap<Key, Known>) -> Reading {
    let there: BTreeSet<Key> = people.iter().map(|person| person.key).collect();
    let gone = known.keys().filter(|key| !there.contains(*key)).copied().collect();
    Reading { is_full: true, people, gone, ..Reading::default() }
}

fn refused(plan: &Plan) -> Vec<(&str, &str)> {
    let refused = plan.steps.iter().filter_map(|step| match step {
        Step::Refuse(person, why) => Some((person.id.as_str(), why.as_str())),
        _ => None,
    });
    refused.collect()
}

#[test]
fn new_people_are_added_in_the_order_of_ids_as_far_as_the_machine_carries_them() {
    let nobody = BTreeMap::new();
    let reading = full(vec![person(3, "carl"), person(1, "anna"), person(2, "bert")], &nobody);
    let plan = made(&nobody, 2, &reading);
    assert_eq!(plan.steps[..2], [Step::Add(person(1, "anna")), Step::Add(person(2, "bert"))]);
    assert_eq!(refused(&plan)[0].0, "carl");
    // The next time is no different: those in stay in, and the same one waits.
    let mut before = users(&["anna", "bert"]);
    let why = refused(&plan)[0].1.to_owned();
    before.extend(known(&[(3, "carl", Standing::Waiting(why))]));
    let again = made(
        &before,
        0,
        &full(vec![person(3, "carl"), person(2, "bert"), person(1, "anna")], &before),
    );
    assert_eq!((again.steps.len(), again.unchanged), (0, 3));
    // When a place comes free, who waits gets it, though nothing is read of it.
    let plan = made(&before, 1, &Reading::default());
    assert_eq!(plan.steps, [Step::Add(person(3, "carl"))]);
}

#[test]
fn who_vanishes_is_disabled_at_once_and_deleted_after_the_grace_period() {
    let before = users(&["anna", "bert", "carl"]);
    let reading = full(vec![person(1, "anna"), person(2, "bert")], &before);
    assert_eq!(made(&before, 0, &reading).steps, [Step::Disable([3; 16])]);
    for (since, steps) in
        [(NOW - 23 * HOUR, vec![]), (NOW - 24 * HOUR, vec![Step::Delete([3; 16])])]
    {
        let gone = Standing::Gone { since_unix_ms: since };
        let before = known(&[(1, "anna", Standing::User), (3, "carl", gone)]);
        assert_eq!(made(&before, 0, &Reading::default()).steps, steps);
    }
}

#[test]
fn who_comes_back_is_enabled_even_after_the_grace_period() {
    let gone = Standing::Gone { since_unix_ms: NOW - 100 * HOUR };
    let before = known(&[(1, "anna", gone)]);
    let reading = full(vec![person(1, "anna")], &before);
    assert_eq!(made(&before, 1, &reading).steps, [Step::Return(person(1, "anna"))]);
    assert_eq!(refused(&made(&before, 0, &reading))[0].0, "anna");
}

#[test]
fn a_directory_that_has_lost_everybody_or_half_disables_nobody() {
    let before = users(&["anna"]);
    let plan = made(&before, 0, &full(vec![], &before));
    assert!(plan.held_back.unwrap().contains("1 of 1"));
    assert!(plan.steps.is_empty());
    let ids: Vec<String> = (0..20).map(|number| format!("u{number:02}")).collect();
    let before = users(&ids.iter().map(String::as_str).collect::<Vec<_>>());
    let left = |count: usize| -> Vec<Person> {
        before.values().take(count).map(|known| known.person.clone()).collect()
    };
    let plan = made(&before, 0, &full(left(10), &before));
    assert!(plan.held_back.is_some() && plan.steps.is_empty());
    let plan = made(&before, 0, &full(left(11), &before));
    assert_eq!((plan.held_back, plan.steps.len()), (None, 9));
    // Unless the administrator says so.
    let others = BTreeMap::new();
    let forced = Before {
        known: &before,
        others: &others,
        free: 0,
        now_unix_ms: NOW,
        grace_ms: HOUR,
        is_forced: true,
    };
    assert_eq!(super::plan(forced, &full(vec![], &before)).steps.len(), 20);
}

#[test]
fn a_rename_keeps_who_it_is() {
    let before = users(&["anna", "bert"]);
    let reading = full(vec![person(1, "anna.berg"), person(2, "bert")], &before);
    let rename = Step::Rename { from: "anna".to_owned(), person: person(1, "anna.berg") };
    assert_eq!(made(&before, 0, &reading).steps, [rename]);
    // To an id that somebody has: the user keeps the old one.
    let reading = full(vec![person(1, "bert"), person(2, "bert")], &before);
    let plan = made(&before, 0, &reading);
    let Step::Change(kept) = &plan.steps[0] else { panic!("{plan:?}") };
    assert_eq!((kept.id.as_str(), kept.dn.as_str()), ("anna", "uid=bert,dc=x"));
    assert_eq!(plan.steps.len(), 1);
}

#[test]
fn ids_that_cannot_be_had_are_named() {
    let nobody = BTreeMap::new();
    let people = vec![
        person(1, "local"),
        person(2, "foreign"),
        person(3, "o'neil"),
        person(5, "twice"),
        person(4, "twice"),
    ];
    let plan = made(&nobody, 9, &full(people, &nobody));
    let refused: BTreeMap<_, _> = refused(&plan).into_iter().collect();
    assert!(refused["foreign"].contains("another directory"));
    assert!(refused["o'neil"].contains("cannot be a user id"));
    assert!(refused["twice"].contains("uid=twice"));
    assert!(plan.steps.contains(&Step::Adopt(person(1, "local"))));
    assert!(plan.steps.contains(&Step::Add(person(4, "twice"))));
}

#[test]
fn what_has_changed_is_changed() {
    let before = users(&["anna"]);
    let mut changed = person(1, "anna");
    changed.fields.insert(Field::Mail, vec!["anna@x".to_owned()]);
    let reading = Reading { people: vec![changed.clone()], ..Reading::default() };
    assert_eq!(made(&before, 0, &reading).steps, [Step::Change(changed)]);
}
