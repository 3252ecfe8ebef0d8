//! The index by which people are found: words anywhere in what is known of them, whatever their
//! accents and case.

use std::collections::BTreeMap;

use memchr::memmem::Finder;
use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;

use crate::attribute::Field;
use crate::person::Person;

/// What stands between values: no query has it.
const BETWEEN: char = '\n';

/// People by id, each with what can be found, in a form without accents and case.
#[derive(Debug, Default)]
pub struct Index {
    by_id: BTreeMap<String, Vec<(Field, String)>>,
}

/// A query: every word of it must be found.
#[derive(Debug)]
pub struct Query {
    words: Vec<Finder<'static>>,
    field: Option<Field>,
}

impl Query {
    /// A query for these words, in one field or in any.
    #[must_use]
    pub fn new(text: &str, field: Option<Field>) -> Self {
        let folded = folded(text);
        let words = folded.split_whitespace();
        Self { words: words.map(|word| Finder::new(word).into_owned()).collect(), field }
    }

    /// Whether there is nothing to look for.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.words.is_empty()
    }
}

impl Index {
    /// Takes a person up, or anew.
    pub fn put(&mut self, person: &Person) {
        let mut found = vec![(Field::Id, text(Field::Id, std::iter::once(person.id.as_str())))];
        for (field, values) in &person.fields {
            if *field != Field::Manager {
                found.push((*field, text(*field, values.iter().map(String::as_str))));
            }
        }
        self.by_id.insert(person.id.clone(), found);
    }

    /// Forgets a person.
    pub fn remove(&mut self, id: &str) {
        self.by_id.remove(id);
    }

    /// How many people there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Whether there is nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// The ids of who is found: those in whom every word begins a word come first, each part in
    /// the order of ids.
    #[must_use]
    pub fn find(&self, query: &Query) -> Vec<&str> {
        let (mut starting, mut containing) = (Vec::new(), Vec::new());
        for (id, values) in &self.by_id {
            let mut begins_all = true;
            let has_all = query.words.iter().all(|word| {
                let (mut is_there, mut begins) = (false, false);
                for (field, value) in values {
                    if query.field.is_none_or(|wanted| wanted == *field) {
                        let stands = stands(word, value);
                        is_there |= stands.0;
                        begins |= stands.1;
                    }
                }
                begins_all &= begins;
                is_there
            });
            if has_all {
                let list = if begins_all { &mut starting } else { &mut containing };
                list.push(id.as_str());
            }
        }
        starting.append(&mut containing);
        starting
    }
}

/// Values in the form in which they are searched; a telephone number also as its digits alone.
fn text<'a>(field: Field, values: impl Iterator<Item = &'a str>) -> String {
    let is_number = matches!(
        field,
        Field::Telephone | Field::Mobile | Field::HomePhone | Field::IpPhone | Field::Fax
    );
    let mut text = String::new();
    for value in values {
        text.push_str(&folded(value));
        text.push(BETWEEN);
        if is_number {
            text.extend(value.chars().filter(char::is_ascii_digit));
            text.push(BETWEEN);
        }
    }
    text
}

/// Whether what is looked for stands in a value, and at the start of a word there.
fn stands(finder: &Finder<'_>, value: &str) -> (bool, bool) {
    let octets = value.as_bytes();
    let mut is_there = false;
    for at in finder.find_iter(octets) {
        is_there = true;
        let before = at.checked_sub(1).and_then(|before| octets.get(before));
        if before.is_none_or(|octet| octet.is_ascii() && !octet.is_ascii_alphanumeric()) {
            return (true, true);
        }
    }
    (is_there, false)
}

/// Without accents and case.
fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase) {
        match c {
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            'đ' | 'ð' => folded.push('d'),
            'þ' => folded.push_str("th"),
            'ı' => folded.push('i'),
            other => folded.push(other),
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(people: &[(&str, &[(Field, &str)])]) -> Index {
        let mut index = Index::default();
        for (id, fields) in people {
            let fields =
                fields.iter().map(|(field, value)| (*field, vec![(*value).to_owned()])).collect();
            let id = (*id).to_owned();
            index.put(&Person { key: [0; 16], dn: String::new(), id, fields });
        }
        index
    }

    fn find<'a>(index: &'a Index, text: &str) -> Vec<&'a str> {
        index.find(&Query::new(text, None))
    }

    #[test]
    fn accents_and_case_do_not_matter() {
        let index = index(&[
            ("m1", &[(Field::DisplayName, "Zoë MÜLLER-Groß")]),
            ("m2", &[(Field::DisplayName, "Søren Łukasz")]),
            ("m3", &[(Field::DisplayName, "Ἀθηνᾶ Παπαδοπούλου")]),
        ]);
        for text in ["zoe muller", "GROSS zoe", "mu\u{308}ller", "Müller"] {
            assert_eq!(find(&index, text), ["m1"], "{text}");
        }
        assert_eq!(find(&index, "soren lukasz"), ["m2"]);
        assert_eq!(find(&index, "αθηνα παπαδοπουλου"), ["m3"]);
        assert!(find(&index, "zoe soren").is_empty());
    }

    #[test]
    fn what_begins_a_word_comes_before_what_is_in_the_middle_of_one() {
        let index = index(&[
            ("a", &[(Field::DisplayName, "Johanna Stein")]),
            ("b", &[(Field::Mail, "anna.berg@example.org")]),
            ("c", &[(Field::DisplayName, "Eva Annas")]),
        ]);
        assert_eq!(find(&index, "anna"), ["b", "c", "a"]);
        assert_eq!(find(&index, "anna.berg@ex"), ["b"]);
        let only = Query::new("anna", Some(Field::Mail));
        assert_eq!(index.find(&only), ["b"]);
    }

    #[test]
    fn numbers_are_found_by_their_digits() {
        let index = index(&[("a", &[(Field::Telephone, "+49 (30) 123-456")])]);
        for text in ["123456", "+49 (30)", "4930123456", "456"] {
            assert_eq!(find(&index, text), ["a"], "{text}");
        }
    }

    #[test]
    fn who_was_removed_or_changed_is_not_found_as_before() {
        let mut index =
            index(&[("a", &[(Field::Title, "pilot")]), ("b", &[(Field::Title, "pilot")])]);
        index.remove("a");
        let fields = BTreeMap::from([(Field::Title, vec!["baker".to_owned()])]);
        index.put(&Person { key: [0; 16], dn: String::new(), id: "b".to_owned(), fields });
        assert!(find(&index, "pilot").is_empty());
        assert_eq!(find(&index, "baker"), ["b"]);
        assert_eq!(index.len(), 1);
    }
}
