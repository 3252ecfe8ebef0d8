//! Cuts a line into words: blanks part them, quotes keep blanks in.

/// A word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it says, quotes and backslashes resolved.
    pub(crate) text: String,
    /// Where it starts in the line, in bytes.
    pub(crate) start: usize,
    /// Whether any of it stood in quotes.
    pub(crate) is_quoted: bool,
}

/// A line in words.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Lexed {
    /// The words.
    pub(crate) tokens: Vec<Token>,
    /// The line ends inside quotes.
    pub(crate) is_open: bool,
    /// The line is empty or ends in a blank outside quotes: the last word is finished.
    pub(crate) is_between_words: bool,
}

/// Cuts the line. Double and single quotes keep blanks in; a backslash keeps the next character
/// as it is, except in single quotes.
pub(crate) fn lex(line: &str) -> Lexed {
    let mut lexed = Lexed { is_between_words: true, ..Lexed::default() };
    let mut quote = None;
    let mut word: Option<Token> = None;
    let mut characters = line.char_indices();
    while let Some((at, character)) = characters.next() {
        if quote.is_none() && (character == ' ' || character == '\t') {
            lexed.tokens.extend(word.take());
            lexed.is_between_words = true;
            continue;
        }
        lexed.is_between_words = false;
        let token =
            word.get_or_insert_with(|| Token { text: String::new(), start: at, is_quoted: false });
        match (character, quote) {
            ('"' | '\'', None) => {
                token.is_quoted = true;
                quote = Some(character);
            }
            (_, Some(open)) if open == character => quote = None,
            ('\\', None | Some('"')) => match characters.next() {
                Some((_, escaped)) => token.text.push(escaped),
                None => token.text.push('\\'),
            },
            _ => token.text.push(character),
        }
    }
    lexed.tokens.extend(word);
    lexed.is_open = quote.is_some();
    lexed
}

/// Writes a word so that [`lex`] reads it back, quoted only where it must be.
pub(crate) fn quote(word: &str) -> String {
    let is_plain =
        !word.is_empty() && !word.ends_with('?') && !word.contains([' ', '\t', '"', '\'', '\\']);
    if is_plain {
        return word.to_owned();
    }
    let mut quoted = String::with_capacity(word.len() + 2);
    quoted.push('"');
    for character in word.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{lex, quote};

    fn words(line: &str) -> Vec<String> {
        lex(line).tokens.into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn blanks_part_words_and_quotes_keep_them_together() {
        assert_eq!(words("  show\tuser  anna "), ["show", "user", "anna"]);
        assert_eq!(words(r#"display-name "Anna B." x"#), ["display-name", "Anna B.", "x"]);
        assert_eq!(words(r#"'it''s' "a \"b\" \\" c\ d"#), ["its", r#"a "b" \"#, "c d"]);
        assert_eq!(words(r#""" ''"#), ["", ""]);
    }

    #[test]
    fn the_end_of_the_line_tells_where_one_stands() {
        assert!(lex("").is_between_words);
        assert!(lex("show ").is_between_words);
        assert!(!lex("show").is_between_words);
        let open = lex(r#"x "a b "#);
        assert!(open.is_open && !open.is_between_words);
        assert_eq!(open.tokens[1].start, 2);
        assert!(open.tokens[1].is_quoted);
    }

    proptest! {
        #[test]
        fn what_is_quoted_is_read_back(list in prop::collection::vec("\\PC*", 0..5)) {
            let line = list.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
            prop_assert_eq!(words(&line), list);
        }

        #[test]
        fn any_line_can_be_cut(line in ".*") {
            for token in lex(&line).tokens {
                prop_assert!(line.is_char_boundary(token.start));
            }
        }
    }
}
