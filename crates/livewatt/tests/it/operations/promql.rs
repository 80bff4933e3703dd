//! Which metrics and labels an expression of Prometheus names. It reads what our own expressions are
//! made of and refuses the rest.

use std::collections::BTreeSet;

/// Functions and aggregations that our expressions use.
const FUNCTIONS: [&str; 13] = [
    "changes",
    "delta",
    "histogram_quantile",
    "increase",
    "label_values",
    "max",
    "min",
    "rate",
    "sum",
    "time",
    "topk",
    "clamp_min",
    "absent",
];
/// Words before a list of labels.
const GROUPINGS: [&str; 4] = ["by", "without", "on", "ignoring"];
const OPERATORS: [&str; 3] = ["and", "or", "unless"];

/// A metric as an expression names it.
#[derive(Debug, Default, PartialEq)]
pub struct Selector {
    pub metric: String,
    /// Labels and what they must be: with the operator, without quotes.
    pub matchers: Vec<(String, String)>,
}

/// What an expression names.
#[derive(Debug, Default)]
pub struct Named {
    pub selectors: Vec<Selector>,
    /// Labels it groups by.
    pub groups: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(char),
}

fn tokens(expression: &str) -> Vec<Token> {
    let mut found = Vec::new();
    let mut rest = expression.chars().peekable();
    while let Some(character) = rest.next() {
        if character == '"' {
            let text: String = rest.by_ref().take_while(|c| *c != '"').collect();
            found.push(Token::Text(text));
        } else if character.is_ascii_alphanumeric() || "_$.:".contains(character) {
            let mut word = character.to_string();
            while let Some(next) = rest.next_if(|c| c.is_ascii_alphanumeric() || "_.:".contains(*c))
            {
                word.push(next);
            }
            found.push(Token::Word(word));
        } else if !character.is_whitespace() {
            found.push(Token::Sign(character));
        }
    }
    found
}

/// What an expression names; panics at what it does not know.
pub fn named(expression: &str) -> Named {
    let tokens = tokens(expression);
    let mut named = Named::default();
    let mut at = 0;
    let is_sign = |at: usize, sign| tokens.get(at) == Some(&Token::Sign(sign));
    let is_grouping = |at: usize| matches!(tokens.get(at), Some(Token::Word(word)) if GROUPINGS.contains(&word.as_str()));
    let end = |from: usize, sign: char| {
        let found = (from..tokens.len()).find(|at| is_sign(*at, sign));
        found.unwrap_or_else(|| panic!("no {sign:?} in {expression}"))
    };
    while at < tokens.len() {
        at += 1;
        match &tokens[at - 1] {
            // A range: `[5m]`.
            Token::Sign('[') => at = end(at, ']') + 1,
            Token::Sign(_) | Token::Text(_) => {}
            Token::Word(word) if word.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {}
            Token::Word(word) if OPERATORS.contains(&word.as_str()) => {}
            Token::Word(word) if GROUPINGS.contains(&word.as_str()) => {
                assert!(is_sign(at, '('), "no labels behind {word}: {expression}");
                let close = end(at, ')');
                for token in &tokens[at + 1..close] {
                    if let Token::Word(label) = token {
                        named.groups.insert(label.clone());
                    }
                }
                at = close + 1;
            }
            Token::Word(word) if word == "label_values" => {
                // Grafana's own: a metric and a label.
                let [Token::Word(metric), Token::Sign(','), Token::Word(label)] =
                    &tokens[at + 1..at + 4]
                else {
                    panic!("not understood: {expression}");
                };
                named.groups.insert(label.clone());
                named.selectors.push(Selector {
                    metric: metric.clone(),
                    matchers: Vec::new(),
                });
                at += 5;
            }
            // With its labels in front, as in `sum by (…) (…)`, or without.
            Token::Word(word) if is_sign(at, '(') || is_grouping(at) => {
                assert!(FUNCTIONS.contains(&word.as_str()), "{word}: {expression}");
            }
            Token::Word(word) => {
                let mut selector = Selector {
                    metric: word.clone(),
                    matchers: Vec::new(),
                };
                if is_sign(at, '{') {
                    let close = end(at, '}');
                    selector.matchers = matchers(&tokens[at + 1..close], expression);
                    at = close + 1;
                }
                named.selectors.push(selector);
            }
        }
    }
    assert!(!named.selectors.is_empty(), "names no metric: {expression}");
    named
}

fn matchers(tokens: &[Token], expression: &str) -> Vec<(String, String)> {
    let of = |matcher: &[Token]| {
        let signs: String = matcher
            .iter()
            .filter_map(|token| match token {
                Token::Sign(sign) => Some(*sign),
                _ => None,
            })
            .collect();
        match (matcher.first(), matcher.last()) {
            (Some(Token::Word(label)), Some(Token::Text(value)))
                if ["=", "!=", "=~", "!~"].contains(&signs.as_str()) =>
            {
                (label.clone(), value.clone())
            }
            _ => panic!("no matcher: {matcher:?} in {expression}"),
        }
    };
    tokens
        .split(|token| *token == Token::Sign(','))
        .map(of)
        .collect()
}

#[test]
fn expressions_are_understood() {
    let found = named(
        r#"topk(10, histogram_quantile(0.99, sum by (le, a) (rate(x_bucket{b=~"1|2", c!="d"}[5m])))) > 1e3 and on (e) y == 0"#,
    );
    let names: Vec<&str> = found.selectors.iter().map(|s| s.metric.as_str()).collect();
    assert_eq!(names, ["x_bucket", "y"]);
    let matcher = |label: &str, value: &str| (label.to_owned(), value.to_owned());
    assert_eq!(
        found.selectors[0].matchers,
        [matcher("b", "1|2"), matcher("c", "d")]
    );
    assert_eq!(found.groups, ["a", "e", "le"].map(str::to_owned).into());
}
