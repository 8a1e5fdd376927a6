//! What a setting takes in a sweep: a list of values, or a range of numbers.
//!
//! | written | values |
//! |---|---|
//! | `8,16,32` | these; one that has commas itself stands in brackets, as in `8,[16,32]` |
//! | `0..4` | the whole numbers from 0 to 4, for settings that are whole numbers |
//! | `0.1..0.5:3` | 3 numbers with equal distances: 0.1, 0.3, 0.5 |
//! | `1e-4..1e-2:3:log` | 3 numbers with equal ratios: 0.0001, 0.001, 0.01 |
//! | `1e-4..1e-2` | any number in between, for random draws; with `:log` its logarithm is uniform |

use crate::model::rng::Random;

/// More values than anybody means.
const MOST: u64 = 10_000;

/// The values of one setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// These, as a command line has them.
    Listed(Vec<String>),
    /// Any number of a range.
    Between(Range),
}

/// Numbers from one end to the other, both included.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    ends: Ends,
    /// Whether ratios count, not distances.
    log: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Ends {
    Whole(u64, u64),
    /// With the texts that were typed.
    Real((f64, f64), (String, String)),
}

/// What a setting can be, to tell lists and ranges from single values.
pub trait Kind {
    /// Whether the text is a value of the setting.
    fn takes(&self, text: &str) -> bool;
}

impl<F: Fn(&str) -> bool> Kind for F {
    fn takes(&self, text: &str) -> bool {
        self(text)
    }
}

/// Whether a setting is a whole number. One that takes any text, such as a device, has numbers that count
/// something.
fn is_whole(kind: &dyn Kind) -> bool {
    !kind.takes("0.5") || kind.takes("?")
}

impl Values {
    /// Reads a list, whose members may be ranges, as it stands on a command line.
    ///
    /// # Errors
    /// What is wrong with a range.
    pub fn parse(text: &str, kind: &dyn Kind) -> Result<Self, String> {
        let members = members(text);
        // A value with commas, such as motion:5,30, need not stand in brackets where its parts mean nothing.
        let is_one = members.len() > 1 && kind.takes(text) && !members.iter().any(|part| kind.takes(part));
        if is_one {
            return Ok(Self::Listed(vec![text.to_owned()]));
        }
        Self::of(members.into_iter().map(str::to_owned), kind)
    }

    /// The values of a list, whose members may be ranges.
    ///
    /// # Errors
    /// What is wrong with a range.
    pub fn of(members: impl Iterator<Item = String>, kind: &dyn Kind) -> Result<Self, String> {
        let members: Vec<String> = members.collect();
        let mut listed = Vec::new();
        for member in &members {
            match Range::parse(member, is_whole(kind))? {
                None if member.contains("..") && !kind.takes(member) => {
                    return Err(format!(
                        "{member}: a range has bare numbers, such as 0.5..2; units are for lists"
                    ));
                }
                None => listed.push(member.clone()),
                Some((range, Some(count))) => listed.append(&mut range.spread(count)),
                Some((range, None)) if members.len() == 1 => return Ok(Self::Between(range)),
                Some((range, None)) => match range.all() {
                    Some(mut all) => listed.append(&mut all),
                    None => {
                        let what = "stands in a list, so it needs a count";
                        return Err(format!("{member}: {what}, as in {}", range.with_count()));
                    }
                },
            }
        }
        Ok(Self::Listed(listed))
    }

    /// The values to combine with those of other settings.
    ///
    /// # Errors
    /// What a range lacks.
    pub fn listed(&self) -> Result<Vec<String>, String> {
        match self {
            Self::Listed(values) => Ok(values.clone()),
            Self::Between(range) => range.all().ok_or_else(|| {
                let counted = range.with_count();
                format!(
                    "holds any number of values: say how many, as in {counted}, or draw some with --random N"
                )
            }),
        }
    }

    /// One of the values at random.
    pub fn draw(&self, random: &mut Random) -> String {
        match self {
            Self::Listed(values) => values[(random.uniform() * values.len() as f64) as usize].clone(),
            Self::Between(range) => range.draw(random),
        }
    }
}

/// The parts between commas, but for those in brackets, which are dropped.
fn members(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0, 0, Vec::new());
    for (at, letter) in text.char_indices() {
        match letter {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth == 0 => {
                members.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    members.push(&text[start..]);
    members.into_iter().map(|part| bare(part.trim())).collect()
}

fn bare(part: &str) -> &str {
    part.strip_prefix('[').and_then(|part| part.strip_suffix(']')).unwrap_or(part)
}

impl Range {
    /// A range and its count, if it has one; none where the text is no range.
    fn parse(text: &str, whole: bool) -> Result<Option<(Self, Option<u64>)>, String> {
        let number = |text: &str| text.trim().parse().ok().filter(|number: &f64| number.is_finite());
        let Some((first, rest)) = text.split_once("..") else { return Ok(None) };
        let mut parts = rest.split(':');
        let last = parts.next().unwrap_or_default();
        let (Some(low), Some(high)) = (number(first), number(last)) else { return Ok(None) };
        let (mut count, mut log) = (None, false);
        for part in parts {
            match part.trim() {
                "log" if !log => log = true,
                part if count.is_none() && !log => {
                    let parsed = part.parse().ok().filter(|count| (2..=MOST).contains(count));
                    let wrong = || format!("{text}: the count must be a whole number from 2 to {MOST}");
                    count = Some(parsed.ok_or_else(wrong)?);
                }
                _ => {
                    let forms = "LOW..HIGH, LOW..HIGH:COUNT or LOW..HIGH:COUNT:log";
                    return Err(format!("{text}: write a range as {forms}"));
                }
            }
        }
        if low >= high {
            return Err(format!("{text}: a range begins with its lower end"));
        }
        if log && low <= 0.0 {
            return Err(format!("{text}: equal ratios need ends above 0"));
        }
        let ends = match whole {
            false => Ends::Real((low, high), (first.trim().to_owned(), last.trim().to_owned())),
            true => match (first.trim().parse(), last.trim().parse()) {
                (Ok(low), Ok(high)) => Ends::Whole(low, high),
                _ => return Err(format!("{text}: the ends must be whole numbers from 0 on")),
            },
        };
        let is_huge = matches!(ends, Ends::Whole(low, high) if high - low >= MOST);
        if is_huge && count.is_none() && !log {
            return Err(format!("{text}: holds more than {MOST} values; give it a count, as in {text}:5"));
        }
        Ok(Some((Self { ends, log }, count)))
    }

    /// How to write it with a count.
    fn with_count(&self) -> String {
        let log = if self.log { ":log" } else { "" };
        match &self.ends {
            Ends::Whole(low, high) => format!("{low}..{high}:5{log}"),
            Ends::Real(_, (low, high)) => format!("{low}..{high}:5{log}"),
        }
    }

    /// All of its numbers, if they are whole.
    fn all(&self) -> Option<Vec<String>> {
        match self.ends {
            Ends::Whole(low, high) if !self.log => {
                Some((low..=high).map(|value| value.to_string()).collect())
            }
            _ => None,
        }
    }

    /// So many numbers from one end to the other.
    fn spread(&self, count: u64) -> Vec<String> {
        let mut values: Vec<String> = (0..count).map(|i| self.at(i, count - 1)).collect();
        values.dedup(); // of whole numbers there may be fewer
        values
    }

    fn draw(&self, random: &mut Random) -> String {
        /// So many places, of which one is drawn.
        const PLACES: u64 = 1 << 53;
        match self.ends {
            Ends::Whole(low, high) if !self.log => {
                let numbers = (high - low) as f64 + 1.0;
                (low + (random.uniform() * numbers) as u64).min(high).to_string()
            }
            _ => self.at((random.uniform() * PLACES as f64) as u64, PLACES),
        }
    }

    /// The number at place `i` of `last`; the ends are exactly what was typed.
    fn at(&self, i: u64, last: u64) -> String {
        let share = i as f64 / last as f64;
        let between = |low: f64, high: f64| match self.log {
            true => (low.ln() + share * (high.ln() - low.ln())).exp().clamp(low, high),
            false => (low + share * (high - low)).clamp(low, high),
        };
        match &self.ends {
            Ends::Whole(low, _) if i == 0 => low.to_string(),
            Ends::Whole(_, high) if i == last => high.to_string(),
            Ends::Whole(low, high) => (between(*low as f64, *high as f64).round() as u64).to_string(),
            Ends::Real(_, (low, _)) if i == 0 => low.clone(),
            Ends::Real(_, (_, high)) if i == last => high.clone(),
            // Six digits are easier to read and to type again than seventeen.
            Ends::Real((low, high), _) => {
                let value = between(*low, *high);
                format!("{value:.5e}").parse().unwrap_or(value).to_string()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::rng::Purpose;

    fn real(text: &str) -> bool {
        text.parse::<f64>().is_ok()
    }

    fn whole(text: &str) -> bool {
        text.split(',').all(|part| part.parse::<u64>().is_ok())
    }

    fn listed(text: &str, kind: &dyn Kind) -> Vec<String> {
        Values::parse(text, kind).unwrap().listed().unwrap()
    }

    #[test]
    fn lists_and_ranges_are_told_apart() {
        assert_eq!(listed("1e-4,3e-4, 1e-3", &real), ["1e-4", "3e-4", "1e-3"]);
        assert_eq!(listed("8,[16,32],64", &whole), ["8", "16,32", "64"]);
        assert_eq!(listed("0..3", &whole), ["0", "1", "2", "3"]);
        assert_eq!(listed("0.1..0.5:3", &real), ["0.1", "0.3", "0.5"]);
        assert_eq!(listed("1e-4..1e-2:3:log", &real), ["1e-4", "0.001", "1e-2"]);
        assert_eq!(listed("0.0123456789..0.5:2", &real), ["0.0123456789", "0.5"]);
        assert_eq!(listed("0..2,5..7,9", &whole), ["0", "1", "2", "5", "6", "7", "9"]);
        assert_eq!(listed("1..2:2,5..6:2", &real), ["1", "2", "5", "6"]);
        let large = listed("9007199254740993..9007199254740995", &whole);
        assert_eq!(large, ["9007199254740993", "9007199254740994", "9007199254740995"]);
        assert_eq!(listed("8..64:4:log", &whole), ["8", "16", "32", "64"]);
        assert_eq!(listed("1..3:5", &whole), ["1", "2", "3"], "numbers that round alike are one");
        assert_eq!(listed("7,1..2:2", &real), ["7", "1", "2"]);
        assert_eq!(listed("a..b", &|_: &str| true), ["a..b"], "what has no numbers is a text");
        let operator = |text: &str| ["disk:3", "motion:5,30"].contains(&text);
        assert_eq!(listed("motion:5,30", &operator), ["motion:5,30"]);
        assert_eq!(listed("disk:3,[motion:5,30]", &operator), ["disk:3", "motion:5,30"]);
    }

    #[test]
    fn impossible_ranges_are_refused_in_a_line() {
        for (text, said) in [
            ("2..1", "begins with its lower end"),
            ("1..1", "begins with its lower end"),
            ("0..1:log", "above 0"),
            ("1..2:1", "from 2 to"),
            ("1..2:x", "from 2 to"),
            ("1..2:3:lin", "LOW..HIGH:COUNT:log"),
            ("1..2:log:3", "LOW..HIGH:COUNT:log"),
            ("1..2,5", "needs a count"),
            ("1..2,3..4", "needs a count"),
            ("40ms..80ms", "bare numbers"),
        ] {
            let error = Values::parse(text, &real).unwrap_err();
            assert!(error.contains(said) && error.contains(".."), "{text}: {error}");
        }
        for text in ["0.5..2", "0..1e9", "-3..2"] {
            assert!(Values::parse(text, &whole).is_err(), "{text}");
        }
        let open = Values::parse("1e-4..1e-2:log", &real).unwrap();
        assert!(open.listed().unwrap_err().contains("1e-4..1e-2:5:log"));
    }

    #[test]
    fn draws_stay_in_their_range_and_fill_it() {
        let mut random = Random::new(Purpose::Cases, 0, 0, 0);
        let mut draws = |text: &str, kind: &dyn Kind| -> Vec<f64> {
            let values = Values::parse(text, kind).unwrap();
            (0..1000).map(|_| values.draw(&mut random).parse().unwrap()).collect()
        };
        let logs = draws("1e-4..1e-2:log", &real);
        let below = logs.iter().filter(|&&v| v < 1e-3).count();
        assert!(logs.iter().all(|v| (1e-4..=1e-2).contains(v)) && (400..600).contains(&below), "{below}");
        let wholes = draws("2..5", &whole);
        for value in [2.0, 3.0, 4.0, 5.0] {
            let count = wholes.iter().filter(|&&v| v == value).count();
            assert!((180..320).contains(&count), "{value}: {count}");
        }
        let listed = draws("3,7", &real);
        assert!((400..600).contains(&listed.iter().filter(|&&v| v == 3.0).count()));
    }
}
